"""Several processes of torchrun import and evaluate as one does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from exvae.data.corpora import write_corpus
from exvae.data.h5ad.reading import read_cells
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting as isoforms
from exvae.experiments.isoforms.settings import IsoformConfig
from exvae.experiments.lda import fitting as topics

from ...data.quantified.quantifier_output import draw_cell, write_salmon
from ...data.reads.bus_folder import write_bus
from ...small_data import draw_cells
from ..fitting.test_distributed import ENVIRONMENT, TORCHRUN, told
from .shared_commands import run

PROGRAM = Path(__file__).with_name("shared_commands.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with results of quantifiers, cells, their truth, a corpus, and fits."""
    folder = tmp_path_factory.mktemp("shared")
    for number in range(5):
        write_salmon(folder / "salmon" / f"cell{number}", draw_cell(number))
    write_bus(folder / "bus")
    adata = draw_cells()
    adata.write_h5ad(folder / "cells.h5ad")
    expected = adata.X.toarray() + 1.0
    types = adata.obs["cell_type"].to_numpy(np.str_)
    np.savez(
        folder / "truth.npz",
        expected=expected,
        cell_type=types,
        transcripts=adata.var_names.to_numpy().astype(np.str_),
    )
    cells, training = read_cells(adata, "batch"), TrainingConfig(1, 16, 5e-3, device="cpu")
    for name in ("reads", "scvi"):
        members = {"members": 2, "member_epochs": 1} if name == "reads" else {}
        isoforms.fit(cells, IsoformConfig(model=name, options=members), training, folder / name)
    # Some documents have a single word, and no halves.
    corpus = simulate_corpus(40, 3, 12, 3.0, topic_concentration=1.0, seed=1).corpus
    corpus = corpus.select(corpus.lengths > 0)
    assert (corpus.lengths == 1).any()
    write_corpus(corpus, folder / "corpus.npz")
    topics.fit(corpus, topics.LDAConfig(3), training, folder / "topics")
    return folder


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_give_what_one_gives(folder: Path, tmp_path: Path, processes: int) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    for out in (together, alone):
        out.mkdir()
    command = [*TORCHRUN, str(processes), str(PROGRAM), str(folder), str(together)]
    finished = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert finished.returncode == 0, finished.stderr
    expected = run(folder, alone)
    for rank in range(processes):
        found = json.loads((together / f"{rank}.json").read_text())
        assert found["reads"] == expected["reads"]
        assert found["scvi"] == expected["scvi"]
        # Matrix products of another number of threads round otherwise.
        assert found["topics"] == pytest.approx(expected["topics"], rel=1e-6)
    for name in ("s.h5ad", "bus.h5ad"):
        assert (together / name).read_bytes() == (alone / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["isoforms", "import", "salmon", "--processes", "2"], "leave out --processes"),
        (["isoforms", "import", "salmon", "--t2g", "missing.tsv"], "missing.tsv"),
    ],
)
def test_an_error_is_told_once(
    folder: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    command = [*TORCHRUN, "2", "-m", "exvae", *arguments, "--out", str(tmp_path / "out.h5ad")]
    finished = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=folder)
    assert finished.returncode != 0
    (line,) = told(finished.stderr)
    assert message in line
    assert not list(tmp_path.iterdir())
