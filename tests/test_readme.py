"""The README is short, and its Python runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from pyro.infer import TraceMeanField_ELBO
from torch import nn

import exvae
from exvae.experiments.fitting.datasets import Subset

from .small_data import write_data, write_quantified

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
MOST_LINES, MOST_LINES_OF_A_LOOP, MOST_BYTES_OF_THE_PICTURE = 200, 15, 150_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the cells and the corpus that the README names."""
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quantified(folder: Path) -> Path:
    """Add the quantified cells that the README names."""
    write_quantified(folder)
    return folder


def run(part: str) -> dict[str, Any]:
    """Run the block of the README that holds this text."""
    (code,) = (block for block in PYTHON if part in block)
    scope: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), scope)
    return scope


def loss(data: Subset, model: nn.Module, guide: nn.Module) -> float:
    """Negative ELBO (nats) of all data."""
    elbo = TraceMeanField_ELBO(num_particles=10)
    model.eval(), guide.eval()
    return elbo.loss(model, guide, *data.batch(np.arange(len(data))))


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= MOST_LINES


def test_the_picture_is_small() -> None:
    (picture,) = re.findall(r"!\[[^]]+\]\((.+\.png)\)", TEXT)
    assert 0 < (ROOT / picture).stat().st_size < MOST_BYTES_OF_THE_PICTURE


def test_badges_are_true() -> None:
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    versions = re.findall(r"Python :: (3\.\d+)", setup)
    (licence,) = re.findall(r"^license = (.+)$", setup, re.MULTILINE)
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{licence} License")
    said = {"python": f"Python {versions[0]} to {versions[-1]}", "licence": f"Licence: {licence}"}
    for name, text in said.items():
        assert f"![{text}](docs/pictures/{name}.svg)" in TEXT
        badge = (ROOT / "docs" / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
        shown = re.findall(r"<text [^>]+>([^<]+)</text>", badge)
        assert " ".join(shown).lower() == text.replace(":", "").lower()


def test_loops_are_short() -> None:
    loops = [block for block in PYTHON if "svi.step" in block]
    assert len(loops) == 2
    for loop in loops:
        code = loop.splitlines()
        assert len([line for line in code if line.strip()]) <= MOST_LINES_OF_A_LOOP


def test_the_quick_start_with_isoforms_runs(quantified: Path) -> None:
    found = run("exvae.IsoformModel")
    cells = found["adata"]
    assert cells.obsm["X_exvae"].shape == (20, 10)
    layer = anndata.AnnData(cells.layers["expression_log1p"]).to_df().to_numpy()
    correlation = np.corrcoef(np.log1p(cells.X.toarray()).ravel(), layer.ravel())
    assert correlation[0, 1] > 0.9
    assert found["genes"].shape == (20, 2)
    assert repr(exvae.load(quantified / "MODEL")) == repr(found["model"])


def test_the_table_names_what_is_exported(quantified: Path) -> None:
    cells = run("exvae.IsoformModel")["adata"]
    rows = TEXT.split("| in `expression.h5ad`")[1].split("\n\n")[0]
    named = set(re.findall(r'\["(expression.*?)"\]', rows))
    assert len(named) >= 4
    assert named <= set(cells.layers)
    assert "X_exvae" in cells.obsm and "exvae" in cells.uns


def test_the_quick_start_with_topics_runs(folder: Path) -> None:
    found = run("exvae.TopicModel")
    assert found["words"].shape == (20, 11)
    documents = found["documents"]
    assert documents.shape == (40, 22)
    np.testing.assert_allclose(documents.filter(like="topic_").sum(axis=1), 1, atol=1e-4)
    assert documents["label"].tolist() == found["news"]["section"].tolist()


def test_the_loop_of_isoforms_learns(folder: Path) -> None:
    written = anndata.read_h5ad("cells.h5ad")
    # More bootstraps than a training step draws, so that inference must ask for all.
    for number in range(5, 9):
        written.layers[f"infRep{number}"] = written.layers["infRep1"]
    written.write_h5ad("cells.h5ad")
    found = run("guide.posteriors")
    assert (found["cells"].offsets.diff() == 8).all()
    estimates = anndata.read_h5ad("cells.h5ad").X.toarray()
    expression = found["expression"].mean.numpy()
    assert expression.shape == estimates.shape
    inside = (found["low"].numpy() <= estimates) & (estimates <= found["high"].numpy())
    assert inside[estimates > 2].mean() > 0.8
    correlation = np.corrcoef(np.log1p(estimates).ravel(), np.log1p(expression).ravel())
    assert correlation[0, 1] > 0.9
    untrained = loss(*exvae.prepare("cells.h5ad", latent_size=5))
    trained = loss(*(found[name] for name in ("data", "model", "guide")))
    assert trained < 0.9 * untrained


def test_the_loop_of_topics_learns(folder: Path) -> None:
    found = run("Predictive(")
    documents = found["documents"]
    num_words = len(documents.obs)
    assert found["replicated"].shape == (20, num_words)
    assert found["proportions"].shape == (30, 5)
    observed = documents.obs.bincount(minlength=20) / num_words
    replicated = found["replicated"].flatten().bincount(minlength=20) / (20 * num_words)
    assert (observed - replicated).abs().max() < 0.05
    untrained = loss(*exvae.prepare("corpus.tsv", topics=5))
    trained = loss(*(found[name] for name in ("data", "model", "guide")))
    assert trained < 0.9 * untrained


def test_the_variant_is_the_file() -> None:
    path = ROOT / "docs" / "variants" / "mixture_prior.py"
    assert path.read_text(encoding="utf-8") in PYTHON
