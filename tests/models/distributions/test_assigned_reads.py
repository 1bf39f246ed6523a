"""The distribution of assigned reads, against scipy and quadrature in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from exvae.data.genes import Genes
from exvae.models.distributions.assigned_reads import AssignedReads
from exvae.models.distributions.negative_binomial import ZINB

GENES = Genes(torch.tensor([0, 0, 1]), 2)
MEAN, THETA, OFF = [3.0, 1.5], [0.7, 4.0], [0.2, 0.05]
USAGE, KAPPA = [0.3, 0.7, 1.0], [2.5, 6.0]


def distribution(dtype: torch.dtype = torch.float64) -> AssignedReads:
    mean, theta, off, usage, kappa = (
        torch.tensor(values, dtype=dtype) for values in (MEAN, THETA, OFF, USAGE, KAPPA)
    )
    totals = ZINB(mean, theta, off.logit(), validate_args=True)
    return AssignedReads(totals, usage, kappa, GENES, validate_args=True)


def log_prob(counts: tuple[int, ...]) -> float:
    """Log probability of reads by scipy's distributions."""
    totals = (counts[0] + counts[1], counts[2])
    found = stats.betabinom.logpmf(counts[0], totals[0], KAPPA[0] * USAGE[0], KAPPA[0] * USAGE[1])
    for total, mean, theta, off in zip(totals, MEAN, THETA, OFF, strict=True):
        mass = (1 - off) * stats.nbinom.pmf(total, theta, theta / (theta + mean))
        found += np.log(mass + off * (total == 0))
    return found


def test_log_prob_is_the_product_of_known_distributions() -> None:
    counts = list(itertools.product(range(6), range(6), range(4)))
    found = distribution().log_prob(torch.tensor(counts, dtype=torch.float64))
    # Dirichlet parameters are raised by 1e-6.
    np.testing.assert_allclose(found, [log_prob(own) for own in counts], atol=1e-5)
    single = distribution(torch.float32).log_prob(torch.tensor(counts, dtype=torch.float32))
    np.testing.assert_allclose(single, found, atol=1e-4)


def test_masses_sum_to_one() -> None:
    counts = torch.cartesian_prod(*[torch.arange(60.0, dtype=torch.float64)] * 2)
    counts = torch.cat([counts, torch.zeros(len(counts), 1)], -1)
    silent = stats.nbinom.pmf(0, THETA[1], THETA[1] / (THETA[1] + MEAN[1])) * (1 - OFF[1]) + OFF[1]
    assert distribution().log_prob(counts).exp().sum() == pytest.approx(silent, rel=1e-4)


def test_draws_have_mean_and_variance() -> None:
    torch.manual_seed(0)
    reads = distribution().sample((40_000,))
    assert reads.shape == (40_000, 3)
    assert (reads == reads.round()).all()
    error = (distribution().variance / len(reads)).sqrt()
    assert ((reads.mean(0) - distribution().mean).abs() < 4 * error).all()
    torch.testing.assert_close(reads.var(0), distribution().variance, rtol=0.1, atol=0)


def test_rates_given_reads_have_their_posterior() -> None:
    torch.manual_seed(0)
    reads = torch.tensor([4.0, 1.0, 0.0], dtype=torch.float64)
    rates = distribution().draw_rates(reads, 40_000)
    shape = THETA[0] + 5
    expected = stats.gamma(shape, scale=1 / (THETA[0] / MEAN[0] + 1))
    assert stats.kstest(rates.totals[:, 0], expected.cdf).pvalue > 1e-3
    usage = stats.beta(KAPPA[0] * USAGE[0] + 4, KAPPA[0] * USAGE[1] + 1)
    assert stats.kstest(rates.usage[:, 0], usage.cdf).pvalue > 1e-3
    # A gene without reads may be off.
    zero = (1 - OFF[1]) * stats.nbinom.pmf(0, THETA[1], THETA[1] / (THETA[1] + MEAN[1]))
    off = OFF[1] / (OFF[1] + zero)
    assert (rates.totals[:, 1] == 0).double().mean() == pytest.approx(off, abs=0.01)


def test_genes_of_one_isoform_have_no_division() -> None:
    alone = Genes(torch.arange(2), 2)
    parts = [torch.tensor(values, dtype=torch.float64) for values in (MEAN, THETA, OFF)]
    kappa = torch.tensor(KAPPA, dtype=torch.float64)
    totals = ZINB(*parts[:2], parts[2].logit())
    reads = AssignedReads(totals, torch.ones(2), kappa, alone)
    found = reads.log_prob(torch.tensor([2.0, 0.0], dtype=torch.float64))
    expected = log_prob((0, 2, 0)) - stats.betabinom.logpmf(0, 2, 0.75, 1.75)
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_expanding_repeats() -> None:
    expanded = distribution().expand(torch.Size([4, 2]))
    assert expanded.batch_shape == (4, 2)
    assert expanded.event_shape == (3,)
    reads = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(
        expanded.log_prob(reads), distribution().log_prob(reads).expand(4, 2)
    )
    assert expanded.sample().shape == (4, 2, 3)


@pytest.mark.parametrize("name", ["usage", "concentration"])
def test_parameters_must_be_positive(name: str) -> None:
    parts = {"usage": torch.tensor(USAGE), "concentration": torch.tensor(KAPPA)}
    parts[name] = -parts[name]
    one = torch.ones(2)
    with pytest.raises(ValueError, match=name):
        AssignedReads(ZINB(one, one, one), **parts, genes=GENES, validate_args=True)
