"""Damaged files of a fit are read or refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from exvae.data.h5ad.reading import read_cells
from exvae.experiments import loading
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting as isoforms
from exvae.experiments.isoforms.settings import IsoformConfig
from exvae.experiments.lda import fitting as lda

from ..fuzzing import Target, Tries, faults
from ..small_data import draw_cells, draw_corpus

TRAINING = TrainingConfig(epochs=1, batch_size=16, learning_rate=1e-3, device="cpu")


def fit_topics(folder: Path) -> Path:
    lda.fit(draw_corpus(), lda.LDAConfig(num_topics=2), TRAINING, folder / "fit")
    return folder / "fit"


def fit_isoforms(folder: Path) -> Path:
    config = IsoformConfig(model="scvi")
    isoforms.fit(read_cells(draw_cells()), config, TRAINING, folder / "fit")
    return folder / "fit"


read = partial(loading.load, device="cpu")
TARGETS = {
    f"{name}: {part}": Target(write, read, pattern)
    for name, write in (("topics", fit_topics), ("isoforms", fit_isoforms))
    for part, pattern in (("checkpoint", "*.pt"), ("texts", "*[!p][!t]"))
}


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> Tries:
    return Tries(TARGETS, tmp_path_factory.mktemp("fits"))


def test_a_sample_of_damaged_fits(attempt: Tries) -> None:
    counts, found = faults(attempt, TARGETS, range(6))
    assert not found
    assert counts["refused"] > 2 * len(TARGETS)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_many_damaged_fits(attempt: Tries, name: str) -> None:
    _, found = faults(attempt, [name], range(300))
    assert not found
