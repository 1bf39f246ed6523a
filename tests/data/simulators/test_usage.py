"""How isoforms share the molecules of genes."""

from __future__ import annotations

import numpy as np
import pytest

from exvae.data.simulators.usage import draw_usage, sums_of_genes, vary_usage

# A hundred genes of 1, 2, 3 and 4 isoforms each, whose isoforms do not lie together.
GENES = np.random.default_rng(0).permutation(np.repeat(np.arange(400), np.arange(400) % 4 + 1))


def test_usage_sums_to_one_and_some_genes_switch() -> None:
    usage, switching = draw_usage(GENES, 5, np.random.default_rng(1), switching_share=0.35)
    np.testing.assert_allclose(sums_of_genes(usage, GENES), 1.0)
    assert len(set(GENES[switching])) == 105  # of the 300 genes with several isoforms
    assert np.isin(GENES, GENES[switching]).tolist() == switching.tolist()
    assert (usage[:, ~switching] == usage[0, ~switching]).all()
    assert (usage[1:, switching] != usage[0, switching]).all()


@pytest.mark.parametrize("concentration", [0.5, 1.0, 5.0])
def test_usage_is_dirichlet(concentration: float) -> None:
    usage, _ = draw_usage(
        GENES, 60, np.random.default_rng(2), concentration=concentration, switching_share=1.0
    )
    of_four = usage[:, np.bincount(GENES)[GENES] == 4].ravel()
    variance = 0.25 * 0.75 / (4 * concentration + 1)
    assert of_four.mean() == pytest.approx(0.25)
    assert of_four.var() == pytest.approx(variance, rel=0.05)


def test_small_concentrations() -> None:
    usage, _ = draw_usage(GENES, 3, np.random.default_rng(3), concentration=1e-4)
    np.testing.assert_allclose(sums_of_genes(usage, GENES), 1.0)
    assert ((usage > 0.999) | (usage < 0.001)).mean() > 0.99


def test_no_gene_has_several_isoforms() -> None:
    usage, switching = draw_usage(np.arange(6), 2, np.random.default_rng(4), switching_share=1.0)
    assert (usage == 1).all()
    assert not switching.any()


@pytest.mark.parametrize("noise", [0.05, 0.5, 0.95])
def test_usage_varies_between_cells(noise: float) -> None:
    genes = np.array([0, 0, 1, 1, 1, 2])
    mean = np.array([0.3, 0.7, 0.5, 0.5, 0.0, 1.0])
    cells = 40_000
    varied = vary_usage(np.tile(mean, (cells, 1)), genes, noise, np.random.default_rng(5))
    np.testing.assert_allclose(sums_of_genes(varied, genes), 1.0)
    largest = mean * (1 - mean)
    standard_error = np.sqrt(noise * largest / cells)
    assert (np.abs(varied.mean(0) - mean) <= 5 * standard_error + 1e-9).all()
    np.testing.assert_allclose(varied.var(0), noise * largest, rtol=0.05, atol=1e-9)


def test_without_noise_usage_is_kept() -> None:
    usage = np.full((3, 2), 0.5)
    assert vary_usage(usage, np.zeros(2, int), 0.0, np.random.default_rng(6)) is usage
