"""The commands that check fits, as users type them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from exvae.data.corpora import write_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.h5ad.reading import read_cells
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.demo import simulate_isoforms
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting as isoforms
from exvae.experiments.isoforms.settings import IsoformConfig
from exvae.experiments.lda import fitting as lda
from exvae.models import MODELS

from ...small_data import draw_cells

TRAINING = TrainingConfig(epochs=1, batch_size=16, learning_rate=5e-3, device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Write a corpus and cells, and fits of them."""
    place = tmp_path_factory.mktemp("fits")
    write_corpus(simulate_corpus(60, 3, 40, 20).corpus, place / "corpus.npz")
    corpus = read_corpus(place / "corpus.npz")
    lda.fit(corpus, lda.LDAConfig(num_topics=3), TRAINING, place / "lda")
    simulate_isoforms(place / "cells.h5ad", 20, 12, 3, num_types=2, depth=240.0, seed=0)
    draw_cells().write_h5ad(place / "reads.h5ad")
    for model in MODELS:
        cells = read_cells(place / ("reads.h5ad" if model == "reads" else "cells.h5ad"))
        isoforms.fit(cells, IsoformConfig(model=model), TRAINING, place / model)
    return place


@pytest.mark.parametrize(
    "arguments",
    [
        ("lda", "lda", "corpus.npz", "--split", "all"),
        ("lda", "lda", "corpus.npz", "--latents", "prior"),
        ("isoforms", "effective-reads", "cells.h5ad", "--subset", "held-out"),
        ("isoforms", "effective-reads", "cells.h5ad", "--latents", "prior"),
        ("isoforms", "paper", "cells.h5ad"),
        ("isoforms", "scvi", "cells.h5ad"),
        ("isoforms", "reads", "reads.h5ad"),
    ],
)
def test_a_check_writes_a_picture_and_numbers(
    exvae, folder: Path, tmp_path: Path, arguments: tuple
) -> None:
    kind, fit, data, *options = arguments
    out = tmp_path / "check"
    options += ["--replicates", 4, "--out", out, "--json"]
    told = exvae(kind, "check", folder / fit, folder / data, *options).json
    assert all(0 < value < 1 for value in told["p_values"].values())
    files = [Path(name) for name in told["files"]]
    assert sorted(files) == sorted(out.iterdir())
    assert files[0].read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(files[1])
    assert dict(zip(table["statistic"], table["p_value"], strict=True)) == told["p_values"]
    assert dict(zip(table["statistic"], table["verdict"], strict=True)) == told["verdicts"]
    assert set(table["level"]) <= {"fits", "close enough", "misfit"}
    again = exvae(kind, "check", folder / fit, folder / data, *options).json
    assert again == told


def test_verdicts_are_printed_a_line_each(exvae, folder: Path, tmp_path: Path) -> None:
    arguments = ["check", folder / "scvi", folder / "cells.h5ad", "--out", tmp_path]
    told = exvae("isoforms", *arguments, "--max-cells", 9)
    assert told.status == 0
    table = pd.read_csv(tmp_path / "check_statistics.csv")
    lines = [": ".join(row) for row in table[["statistic", "verdict"]].to_numpy()]
    *printed, scope, picture, statistics, curves = told.out.splitlines()
    assert printed == lines
    assert scope == "cells: 9 of 20, chosen at random; replicates: 20"
    assert picture.endswith("check.png")
    assert statistics.endswith("check_statistics.csv")
    assert curves.endswith("check_curves.csv")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["lda", "check", "{folder}/lda", "{folder}/corpus.npz"], "--out"),
        (["lda", "check", "{folder}/scvi", "{folder}/corpus.npz", "--out", "{out}"], "lda"),
        (["lda", "check", "{folder}/lda", "{folder}/no.npz", "--out", "{out}"], "no.npz"),
        (["isoforms", "check", "{folder}/scvi", "{folder}/no", "--out", "{out}"], "no"),
        (
            ["isoforms", "check", "{folder}/scvi", "{folder}/cells.h5ad", "--out", "{out}/x/y"],
            "folder",
        ),
        (
            ["isoforms", "check", "{folder}/scvi", "{folder}/cells.h5ad", "--out", "{file}"],
            "is a file",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    exvae, folder: Path, tmp_path: Path, arguments: list, named: str
) -> None:
    places = {"folder": folder, "out": tmp_path / "out", "file": folder / "corpus.npz"}
    result = exvae(*[argument.format(**places) for argument in arguments])
    assert result.status == 2
    assert len(result.err.splitlines()) == 1
    assert named in result.err
    assert not list(tmp_path.iterdir())
