"""How far estimates scatter for each read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from exvae.data.cells import Cells, summarise
from exvae.data.inferential_dispersion import inferential_dispersions

ISOFORMS = 5


def cells_of(draws: np.ndarray, numbers: np.ndarray, genes: np.ndarray | None = None) -> Cells:
    """Make cells of bootstraps of shape (bootstraps, cells, isoforms), zero beyond ``numbers``."""
    num_cells = draws.shape[1]
    bootstraps = tuple(scipy.sparse.csr_matrix(own.astype(np.float32)) for own in draws)
    return Cells(
        names=np.array([f"cell{n}" for n in range(num_cells)]),
        isoforms=np.array([f"iso{g}" for g in range(draws.shape[2])]),
        genes=genes,
        counts=bootstraps[0],
        bootstraps=bootstraps,
        summary=summarise(bootstraps),
        num_bootstraps=numbers,
        obs=pd.DataFrame(index=range(num_cells)),
        batches=np.zeros(num_cells, np.int64),
    )


def draw() -> tuple[np.ndarray, np.ndarray]:
    """Draw bootstraps of which some are zero, and their numbers; one cell has one."""
    rng = np.random.default_rng(0)
    numbers = np.array([4, 2, 1, 4, 3])
    draws = rng.gamma(2.0, 3.0, (4, 5, ISOFORMS)) * (rng.random((4, 5, ISOFORMS)) < 0.7)
    draws[:, :, 3] *= 0.05  # so little that it does not count for its gene
    draws[np.arange(4)[:, None] >= numbers] = 0.0
    return draws, numbers


def expected(draws: np.ndarray, numbers: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Compute the dispersions of isoforms by their definition."""
    own = [draws[: numbers[n], n] for n in chosen if numbers[n] > 1]
    variances = sum(values.var(0, ddof=1) for values in own)
    return (variances + 1) / (sum(values.mean(0) for values in own) + 1)


@pytest.mark.parametrize("chosen", [np.arange(5), np.array([3, 2, 0])])
def test_dispersions_are_variance_over_mean(chosen: np.ndarray) -> None:
    draws, numbers = draw()
    found = inferential_dispersions(cells_of(draws, numbers), chosen)
    np.testing.assert_allclose(found, expected(draws, numbers, chosen), rtol=1e-5)


def test_isoforms_of_a_gene_share_one_but_for_those_without_reads() -> None:
    draws, numbers = draw()
    genes = np.array(["b", "a", "b", "b", "c"])
    found = inferential_dispersions(cells_of(draws, numbers, genes), np.arange(5)).numpy()
    own = expected(draws, numbers, np.arange(5))
    shared = (own[0] ** 2 + own[2] ** 2) / (own[0] + own[2])
    assert found[0] == found[2] == pytest.approx(shared, rel=1e-5)
    np.testing.assert_allclose(found[[1, 3, 4]], own[[1, 3, 4]], rtol=1e-5)


def test_counts_drawn_anew_have_one() -> None:
    rng = np.random.default_rng(1)
    reads = rng.poisson(20.0, (400, ISOFORMS))
    draws = rng.poisson(reads, (20, 400, ISOFORMS)).astype(float)
    found = inferential_dispersions(cells_of(draws, np.full(400, 20)), np.arange(400))
    np.testing.assert_allclose(found, 1.0, atol=0.05)
    tripled = inferential_dispersions(cells_of(3 * draws, np.full(400, 20)), np.arange(400))
    np.testing.assert_allclose(tripled, 3.0, atol=0.15)
