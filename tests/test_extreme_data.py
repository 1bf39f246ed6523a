"""Two hundred training steps on extreme data: every loss and every parameter stays finite.

Pyro's validation is on, as in all tests.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from pyro.infer import SVI, TraceMeanField_ELBO
from scipy.sparse import csr_matrix

import exvae
from exvae.data.corpora import Corpus
from exvae.data.errors import DataWarning

STEPS = 200
LEARNING_RATE = 5e-3
MODELS = ("effective-reads", "paper", "scvi")


def train(data, model, guide, *, learning_rate: float = LEARNING_RATE, size: int = 32) -> None:
    """Take the steps and check every loss, and the parameters and buffers at the end."""
    optimizer = exvae.optimizer(model, guide, learning_rate)
    svi = SVI(model, guide, optimizer, TraceMeanField_ELBO())
    steps = 0
    while steps < STEPS:
        for batch in data.batches(size):
            loss = svi.step(*batch)
            assert np.isfinite(loss), f"step {steps}"
            steps += 1
    for module in (model, guide):
        for name, own in module.state_dict().items():
            assert not own.isnan().any(), name
        for name, own in module.named_parameters():
            assert own.isfinite().all(), name


# Cells


def cells_of(expected: np.ndarray, num_bootstraps: int = 4, seed: int = 0) -> AnnData:
    """Draw cells with these expected reads, shape (cells, isoforms), two isoforms to a gene."""
    rng = np.random.default_rng(seed)
    estimates = rng.poisson(expected).astype(np.float32)
    estimates[estimates.sum(1) == 0, 0] = 1  # cells without reads are refused
    bootstraps = rng.poisson(estimates, (num_bootstraps, *estimates.shape)).astype(np.float32)
    num_cells, num_isoforms = estimates.shape
    return AnnData(
        csr_matrix(estimates),
        # A bootstrap of a shallow cell may have no reads.
        obs=pd.DataFrame(
            {"n_bootstraps": num_bootstraps}, index=[f"cell{n}" for n in range(num_cells)]
        ),
        var=pd.DataFrame(
            {"gene": [f"gene{n // 2}" for n in range(num_isoforms)]},
            index=[f"isoform{n}" for n in range(num_isoforms)],
        ),
        layers={f"infRep{n + 1}": csr_matrix(own) for n, own in enumerate(bootstraps)},
    )


def ordinary(num_cells: int = 30, num_isoforms: int = 12, **options: int) -> AnnData:
    rng = np.random.default_rng(1)
    return cells_of(rng.gamma(0.5, 40, (num_cells, num_isoforms)), **options)


def of_all_depths() -> AnnData:
    """Draw cells of 1 to 10 million reads."""
    rng = np.random.default_rng(1)
    return cells_of(np.logspace(0, 7, 32)[:, None] * rng.dirichlet(np.full(12, 0.5), 32))


def of_all_counts() -> AnnData:
    """Draw counts of 0 to a million in each cell."""
    rng = np.random.default_rng(1)
    return cells_of(rng.permuted(np.tile(np.r_[0, np.logspace(-2, 6, 11)], (30, 1)), axis=1))


def constant() -> AnnData:
    """Make isoforms that are the same in all cells and bootstraps, some of them zero."""
    adata = ordinary()
    values = csr_matrix(np.tile(np.float32([0, 1, 7, 0, 0, 1e4, 3, 3, 3, 0, 1, 2]), (30, 1)))
    adata.X = values
    for name in adata.layers:
        adata.layers[name] = values
    return adata


CELLS: dict[str, Callable[[], AnnData]] = {
    "all depths": of_all_depths,
    "all counts": of_all_counts,
    "one cell": lambda: ordinary(num_cells=1),
    "one isoform": lambda: ordinary(num_isoforms=1),
    "constant": constant,
    "two bootstraps": lambda: ordinary(num_bootstraps=2),
}


def train_cells(adata: AnnData, model: str, **options: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # few cells, or none of a gene
        prepared = exvae.prepare(adata, model=model)
    train(*prepared, **options)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", CELLS)
def test_cells(kind: str, model: str) -> None:
    train_cells(CELLS[kind](), model)


@pytest.mark.parametrize("model", MODELS)
def test_cells_at_ten_times_the_learning_rate(model: str) -> None:
    train_cells(ordinary(), model, learning_rate=10 * LEARNING_RATE)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_thousand_bootstraps(model: str) -> None:
    train_cells(ordinary(num_bootstraps=1000), model)


# Documents


def documents_of(lengths: list[int], vocabulary: int, seed: int = 0) -> Corpus:
    """Draw documents of these lengths, of two topics."""
    rng = np.random.default_rng(seed)
    words = [
        (rng.integers(0, vocabulary, length) + number % 2 * (vocabulary // 2)) % vocabulary
        for number, length in enumerate(lengths)
    ]
    return Corpus(
        words=np.concatenate(words).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        vocabulary=np.array([f"word{number}" for number in range(vocabulary)]),
    )


GUIDES = ("exchangeable", "fixed-length")
SHORT = [5] * 40
DOCUMENTS: dict[str, Callable[[], Corpus]] = {
    "one word each": lambda: documents_of([1] * 40, 20),
    "a vocabulary of one": lambda: documents_of(SHORT, 1),
    "one document": lambda: documents_of([8], 20),
    "100 000 words beside five": lambda: documents_of([*SHORT, 100_000], 50),
}


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_documents(kind: str, guide: str) -> None:
    train(*exvae.prepare(DOCUMENTS[kind](), topics=3, guide=guide))


@pytest.mark.parametrize("guide", GUIDES)
def test_documents_at_ten_times_the_learning_rate(guide: str) -> None:
    prepared = exvae.prepare(documents_of(SHORT, 30), topics=3, guide=guide)
    train(*prepared, learning_rate=10 * LEARNING_RATE)


@pytest.mark.slow
def test_a_vocabulary_of_a_million() -> None:
    torch.set_num_threads(1)
    train(*exvae.prepare(documents_of(SHORT, 1_000_000), topics=3))
