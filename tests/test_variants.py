"""Every file of docs/variants is short, works from the command line and in Python, and is shown."""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from pyro.infer import SVI, TraceMeanField_ELBO
from typer.testing import CliRunner

import exvae
from exvae.data.corpora import write_corpus
from exvae.experiments import cli

from .small_data import draw_cells, draw_corpus, write_data

DOCS = Path(__file__).resolve().parents[1] / "docs"
FILES = sorted((DOCS / "variants").glob("*.py"))
PAGE = (DOCS / "variants.md").read_text(encoding="utf-8")
MOST_LINES = 15
CELL_VARIANTS = {
    "pooling": "attention_pooling:AttentionPooling",
    "decoder": "linear_decoder:Loadings",
    "model": "log_normal_isoforms:LogNormalIsoforms",
    "prior": "mixture_prior:MixtureIsoforms",
    "guide": "mean_guide:MeanGuide",
}
TOPIC_VARIANTS = {
    "pooling": "attention_pooling:AttentionPooling",
    "guide": "logistic_normal_guide:LogisticNormalGuide",
}
# A prior is part of a model.
OPTIONS = {"prior": "model"}
Run = Callable[..., dict]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in the folder of the variants and give what it prints."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(DOCS / "variants")

    def command(*arguments: object) -> dict:
        words = [*map(str, arguments), "--json"]
        result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return command


@pytest.fixture
def variant(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], type]:
    """Import a class as ``module:Class`` from the folder of the variants."""
    monkeypatch.syspath_prepend(DOCS / "variants")

    def imported(place: str) -> type:
        module, name = place.split(":")
        return getattr(importlib.import_module(module), name)

    return imported


def losses(data, model, guide) -> list[float]:
    svi = SVI(model, guide, exvae.optimizer(model, guide, 5e-3), TraceMeanField_ELBO())
    return [svi.step(*batch) for batch in data.batches(10)]


def as_option(kind: str) -> str:
    return OPTIONS.get(kind, kind)


@pytest.mark.parametrize("kind", CELL_VARIANTS)
def test_a_variant_of_cells_takes_steps(kind: str, variant) -> None:
    place = CELL_VARIANTS[kind]
    options = {as_option(kind): variant(place)}
    data, model, guide = exvae.prepare(draw_cells(), batch_key="batch", **options)
    assert np.isfinite(losses(data, model, guide)).all()
    parts = {type(part).__name__ for module in (model, guide) for part in module.modules()}
    assert place.split(":")[1] in parts


@pytest.mark.parametrize("kind", TOPIC_VARIANTS)
def test_a_variant_of_topic_models_takes_steps(kind: str, variant) -> None:
    place = TOPIC_VARIANTS[kind]
    data, model, guide = exvae.prepare(draw_corpus(), topics=3, **{kind: variant(place)})
    assert np.isfinite(losses(data, model, guide)).all()
    assert place.split(":")[1] in {type(part).__name__ for part in guide.modules()}


def check_fit(run: Run, fit: list[object], out: Path, option: str, place: str) -> None:
    """Fit for an epoch, go on for another; the folder remembers the class."""
    run(*fit, "--out", out, f"--{option}", place, "--epochs", 1)
    ended = run(*fit, "--out", out, f"--{option}", place, "--epochs", 2, "--resume")
    assert ended["epoch"] == 2
    assert json.loads((out / "config.json").read_text())["model"][option] == place
    metrics = pd.read_csv(out / "metrics.csv")
    assert metrics["epoch"].tolist() == [1, 2]
    assert np.isfinite(metrics.to_numpy(float)).all()


@pytest.mark.parametrize("kind", CELL_VARIANTS)
def test_a_variant_of_cells_works_from_the_command_line(run: Run, kind: str, tmp_path) -> None:
    cells, out, exported = tmp_path / "cells.h5ad", tmp_path / "fit", tmp_path / "exported.h5ad"
    draw_cells().write_h5ad(cells)
    fit = ["isoforms", "fit", cells, "--batch-key", "batch", "--device", "cpu"]
    check_fit(run, fit, out, as_option(kind), CELL_VARIANTS[kind])
    measured = run("isoforms", "evaluate", out, cells, "--trust", "--likelihood-samples", 3)
    assert measured["cells"] == 24
    assert np.isfinite(list(measured.values())).all()
    run("isoforms", "export", out, cells, "--out", exported, "--trust", "--samples", 3)
    written = anndata.read_h5ad(exported)
    assert np.isfinite(written.obsm["X_exvae"]).all()
    names = [f"expression{name}" for name in ("_q0.1", "", "_q0.9", "_sd")]
    layers = [written.layers[name].toarray() for name in names]
    low, mean, high, sd = layers
    assert np.isfinite(layers).all()
    assert (low <= high).all() and (sd >= 0).all() and (sd > 0).any()
    # Zeros alone are left out: more than one read is likely in every other entry.
    assert (written.layers["expression"].data >= 0).all() and (mean > 0).mean() > 0.9


@pytest.mark.parametrize("kind", TOPIC_VARIANTS)
def test_a_variant_of_topic_models_works_from_the_command_line(
    run: Run, kind: str, tmp_path
) -> None:
    corpus, out, table = tmp_path / "corpus.npz", tmp_path / "fit", tmp_path / "topics.csv"
    write_corpus(draw_corpus(), corpus)
    fit = ["lda", "fit", corpus, "--topics", 3, "--device", "cpu"]
    check_fit(run, fit, out, kind, TOPIC_VARIANTS[kind])
    measured = run("lda", "evaluate", out, corpus, "--trust", "--split", "all")
    assert np.isfinite(list(measured.values())).all()
    assert 1 < measured["perplexity_amortised"] < 100
    assert len(run("lda", "topics", out, "--trust")["topics"]) == 3
    for refine in (0, 5):
        run("lda", "infer", out, corpus, "--trust", "--out", table, "--refine", refine)
        shares = pd.read_csv(table, index_col="document").filter(like="topic_")
        assert shares.shape == (30, 3)
        np.testing.assert_allclose(shares.sum(1), 1, atol=1e-4)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write the files that the page names."""
    write_data(tmp_path)
    for path in FILES:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("line", re.findall(r"^exvae (.+)$", PAGE, re.MULTILINE))
def test_the_commands_of_the_page_run(run: Run, data: Path, monkeypatch, line: str) -> None:
    monkeypatch.chdir(data)
    words = line.split()
    run(*words, "--epochs", 1)
    options = json.loads((data / words[words.index("--out") + 1] / "config.json").read_text())
    set_ = dict(word.split("=") for word in words if "=" in word)
    assert options["model"]["options"] == {name: json.loads(own) for name, own in set_.items()}


@pytest.mark.parametrize("code", re.findall(r"```python\n(import exvae\n.*?)```", PAGE, re.DOTALL))
def test_the_python_of_the_page_runs(variant, data: Path, monkeypatch, code: str) -> None:
    monkeypatch.chdir(data)
    scope: dict[str, object] = {}
    exec(compile(code, "variants.md", "exec"), scope)
    assert np.isfinite(losses(scope["data"], scope["model"], scope["guide"])).all()


def code_lines(source: str) -> int:
    """Count lines that are no import, docstring, comment or blank."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if text or isinstance(node, (ast.Import, ast.ImportFrom)):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)


def test_lines_of_code_are_counted() -> None:
    assert code_lines('"""Doc\nstring."""\n\nimport a\n\n# why\nx = (\n    1,\n)\n') == 3


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_variant_is_short(path: Path) -> None:
    assert 0 < code_lines(path.read_text(encoding="utf-8")) <= MOST_LINES


def test_the_page_shows_every_variant_as_it_is() -> None:
    shown = re.findall(r"`docs/variants/(\w+\.py)`:?\n\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert dict(shown) == {path.name: path.read_text(encoding="utf-8") for path in FILES}
    assert len(shown) == len(FILES)


def test_every_variant_is_tested() -> None:
    tested = {place.split(":")[0] for place in (*CELL_VARIANTS.values(), *TOPIC_VARIANTS.values())}
    assert tested == {path.stem for path in FILES}
