"""How far estimates scatter for each read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from exvae.data.cells import Cells, summarise
from exvae.data.genes import Genes
from exvae.data.overdispersion import inferential_dispersions
from exvae.models.distributions.gamma_poisson import BootstrapGammaPoisson
from exvae.models.distributions.gene_reads import BootstrapGeneReads, Division

ISOFORMS = 5
# Genes of two, one and two isoforms.
GENES = np.array([0, 1, 2, 2, 0])


def cells_of(draws: np.ndarray, numbers: np.ndarray) -> Cells:
    """Make cells of bootstraps of shape (bootstraps, cells, isoforms), zero beyond ``numbers``."""
    num_cells = draws.shape[1]
    bootstraps = tuple(scipy.sparse.csr_matrix(own.astype(np.float32)) for own in draws)
    return Cells(
        names=np.array([f"cell{n}" for n in range(num_cells)]),
        isoforms=np.array([f"iso{g}" for g in range(draws.shape[2])]),
        genes=None,
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
    draws[np.arange(4)[:, None] >= numbers] = 0.0
    return draws, numbers


def expected(draws: np.ndarray, numbers: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Compute the dispersions of genes, of totals and of divisions, by their definition."""
    found = []
    for gene in range(GENES.max() + 1):
        sums = np.ones(4)
        for n in chosen:
            own = draws[: numbers[n], n][:, gene == GENES]
            if len(own) > 1:
                total, mean = own.sum(1), own.mean(0)
                share = mean / max(mean.sum(), 1e-300)
                rest = own - share * total[:, None]
                sums += [
                    total.var(ddof=1),
                    mean.sum(),
                    rest.var(0, ddof=1).sum(),
                    mean.sum() * (share * (1 - share)).sum(),
                ]
        found.append((max(sums[0] / sums[1], 1.0), max(sums[2] / sums[3], 1.0)))
    return np.array(found).T


@pytest.mark.parametrize("chosen", [np.arange(5), np.array([3, 2, 0])])
@pytest.mark.parametrize("block", [1 << 20, 12])
def test_dispersions_are_ratios_of_variances(chosen: np.ndarray, block: int) -> None:
    draws, numbers = draw()
    cells = cells_of(draws, numbers)
    found = inferential_dispersions(cells, chosen, GENES, block_size=block)
    np.testing.assert_allclose(found, expected(draws, numbers, chosen), rtol=1e-5)


def test_statistics_tell_of_genes_of_one_isoform() -> None:
    draws, numbers = draw()
    cells = replace(cells_of(draws, numbers), bootstraps=())
    own = [draws[: numbers[n], n] for n in range(5) if numbers[n] > 1]
    variances = sum(values.var(0, ddof=1) for values in own)
    wanted = (variances + 1) / (sum(values.mean(0) for values in own) + 1)
    genes = np.array([3, 1, 0, 4, 2])
    found = inferential_dispersions(cells, np.arange(5), genes)
    np.testing.assert_allclose(found.totals[genes], np.maximum(wanted, 1.0), rtol=1e-5)
    assert (found.divisions == 1).all()


@pytest.mark.parametrize("genes", [GENES, np.arange(ISOFORMS)])
def test_bootstraps_that_never_move_scatter_as_counts_do(genes: np.ndarray) -> None:
    draws = np.broadcast_to(np.arange(100.0, 600.0, 100.0), (4, 5, ISOFORMS))
    found = inferential_dispersions(cells_of(draws, np.full(5, 4)), np.arange(5), genes)
    assert (found.totals == 1.0).all()
    assert (found.divisions == 1.0).all()


def test_what_is_not_seen_scatters_as_counts_do() -> None:
    draws, numbers = draw()
    draws[:, :, GENES == 0] = 0.0
    found = inferential_dispersions(cells_of(draws, numbers), np.arange(5), GENES)
    assert found.totals[0] == found.divisions[0] == 1.0


def test_dispersions_of_simulated_bootstraps_are_those_of_the_simulation() -> None:
    torch.manual_seed(0)
    genes = Genes(torch.from_numpy(GENES), 3)
    totals, divisions = torch.tensor([1.0, 3.0, 1.0]), torch.tensor([1.0, 1.0, 12.0])
    distribution = BootstrapGeneReads(
        BootstrapGammaPoisson(
            torch.full((2000, 3), 300.0),
            torch.tensor(4.0),
            torch.tensor(-50.0),
            totals,
            totals,
            num_bootstraps=20,
        ),
        Division(torch.tensor([0.6, 1.0, 0.5, 0.5, 0.4]), 50 * totals, divisions, divisions),
        genes,
    )
    draws = distribution.sample().movedim(-1, 0).numpy()
    found = inferential_dispersions(cells_of(draws, np.full(2000, 20)), np.arange(2000), GENES)
    np.testing.assert_allclose(found.totals, totals, rtol=0.04)
    np.testing.assert_allclose(found.divisions, [1.0, 1.0, 12.0], rtol=0.1)
