"""The posterior of expression as users get it, against closed forms and quadrature.

A gene's reads are known as a gamma given the bootstraps, its usage as a Dirichlet. Behind them the
expression scatters with a common error, whose share c has the prior Beta(1/2, 1/4).
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from exvae.data.posteriors import SampledPosterior
from exvae.models.isoforms import EffectiveReadIsoforms
from exvae.models.scvi import RATES_PER_SAMPLE

# Isoform 0 is a gene of its own; the others are of one.
GENES, FRACTIONS = [1, 0, 0], [0.2, 0.6, 0.2]
LIBRARY = 60.0
TOTALS, DIVISIONS = [3.0, 5.0], [12.0, 1.0]
BOOTSTRAPS = torch.tensor(
    [[[9.0, 14.0, 0.0, 11.0], [30.0, 22.0, 25.0, 35.0], [6.0, 0.0, 10.0, 8.0]]]
)
B = BOOTSTRAPS.shape[-1]
LATENT_DRAWS = 200
# Of a standard error.
ALLOWED = 4.5


def midpoints(distribution, number: int) -> np.ndarray:
    """Values of equal probability that stand for a distribution of scipy."""
    return distribution.ppf((np.arange(number) + 0.5) / number)


def own_dispersion(dispersion: float) -> float:
    """Give the dispersion of a cell's own error: a third of the ambiguity is its own."""
    return 1 + (dispersion - 1) / 3


def rate_of(gene: int, mean_bootstrap: float, theta: float):
    """Posterior of a gene's rate, which is no dropout, as a distribution of scipy."""
    mean = LIBRARY * (0.2 if gene else 0.8)
    exposure = 1 / (own_dispersion(TOTALS[gene]) + TOTALS[gene] / B)
    shape, rate = theta + mean_bootstrap * exposure, theta / mean + exposure
    return scipy.stats.gamma(shape, scale=1 / rate)


SHARE = scipy.stats.beta(0.5, 0.25)


def posterior_of(
    small_models: ModuleType, log_theta: float, bootstraps: Tensor = BOOTSTRAPS, **options: object
) -> tuple[SampledPosterior, EffectiveReadIsoforms]:
    """Give the posterior of expression, shape (1, isoforms), and the model."""
    options = {"dropout": "none", **options}
    model = small_models.effective_reads(
        GENES, FRACTIONS, totals=TOTALS, divisions=DIVISIONS, **options
    )
    small_models.without_states(model)
    model.dispersion.log_inverse_dispersion.data.fill_(log_theta)
    samples = [small_models.latents_of([LIBRARY])] * LATENT_DRAWS
    obs = small_models.observation(bootstraps)
    with torch.no_grad():
        return model.expression(samples, torch.zeros(1, dtype=torch.int64), obs), model


@pytest.mark.parametrize("log_theta", [0.0, 8.0])
def test_reads_of_a_gene_have_mean_variance_and_quantiles_of_the_closed_form(
    small_models: ModuleType, log_theta: float
) -> None:
    posterior, _ = posterior_of(small_models, log_theta)
    rate = rate_of(1, 8.5, np.exp(log_theta))
    ambiguity = TOTALS[1] - 1
    mean, variance = rate.mean(), rate.var() + SHARE.mean() * ambiguity * rate.mean()
    draws = posterior.draws[:, 0, 0].double()
    root = len(draws) ** 0.5
    assert abs(float(posterior.mean[0, 0]) - mean) < ALLOWED * variance**0.5 / root
    scatter = float((draws - mean).square().std())
    assert abs(float(posterior.variance[0, 0]) - variance) < ALLOWED * scatter / root
    # The distribution function, for every rate and every share.
    rates, shares = midpoints(rate, 150)[:, None], midpoints(SHARE, 500)
    scale = np.maximum(shares * ambiguity, 1e-3)
    for level in (0.025, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.975):
        value = float(posterior.quantile(level)[0, 0])
        found = scipy.stats.gamma.cdf(value, rates / scale, scale=scale).mean()
        assert abs(found - level) < ALLOWED * (level * (1 - level)) ** 0.5 / root


@pytest.mark.parametrize("log_theta", [0.0, 8.0])
def test_reads_of_isoforms_have_mean_and_variance_of_the_closed_form(
    small_models: ModuleType, log_theta: float
) -> None:
    posterior, _ = posterior_of(small_models, log_theta)
    rate = rate_of(0, 34.0, np.exp(log_theta))
    rates = midpoints(rate, 40)[:, None, None]
    shares, levels = midpoints(SHARE, 150)[:, None], (np.arange(40) + 0.5) / 40
    scale = np.maximum(shares * (TOTALS[0] - 1), 1e-3)
    totals = scipy.stats.gamma.ppf(levels, rates / scale, scale=scale)
    reads = totals / np.maximum(shares * (DIVISIONS[0] - 1), 1e-3)
    # Usage is a Dirichlet: kappa, exp(2) at first, and effective reads of the bootstraps.
    effective = np.array([28.0, 6.0]) / (own_dispersion(DIVISIONS[0]) + DIVISIONS[0] / B)
    concentration = np.exp(2.0) * np.array([0.75, 0.25]) + effective
    usage = concentration / concentration.sum()
    squares = usage * (1 - usage) / (concentration.sum() + 1) + usage**2
    for isoform in (0, 1):
        # Moments of the Dirichlet of Perks' prior, half a read for each of two isoforms.
        first = reads * usage[isoform] + 0.5
        second = reads**2 * squares[isoform] + reads * usage[isoform] + 0.25
        mean = np.mean(totals * first / (reads + 1))
        square = np.mean(totals**2 * (second + first) / ((reads + 1) * (reads + 2)))
        draws = posterior.draws[:, 0, 1 + isoform].double()
        for statistic, expected in ((draws, mean), (draws.square(), square)):
            allowed = ALLOWED * float(statistic.std()) / len(draws) ** 0.5
            assert abs(float(statistic.mean()) - expected) < allowed + 2e-3 * expected


def test_each_draw_has_a_share_of_its_own(small_models: ModuleType) -> None:
    """Draws of one share would scatter alike, and their variance be as uncertain as the share."""
    posterior, model = posterior_of(small_models, 8.0)
    obs = small_models.observation(BOOTSTRAPS)
    latents = small_models.latents_of([LIBRARY])
    with torch.no_grad():
        variances = torch.stack(
            [
                model.expression([latents], torch.zeros(1, dtype=torch.int64), obs).variance[0, 0]
                for _ in range(200)
            ]
        )
    kurtosis = scipy.stats.kurtosis(posterior.draws[:, 0, 0].numpy(), fisher=False)
    expected = ((kurtosis - 1) / RATES_PER_SAMPLE) ** 0.5
    assert float(variances.std() / variances.mean()) == pytest.approx(expected, rel=0.25)


def test_genes_are_off_as_often_as_zeros_are_dropouts(small_models: ModuleType) -> None:
    posterior, model = posterior_of(
        small_models, 2.0, torch.zeros_like(BOOTSTRAPS), dropout="constant"
    )
    dropped, theta = torch.sigmoid(model.dropout.dropout_logits).tolist(), np.exp(2.0)
    for gene, isoforms in enumerate(([1, 2], [0])):
        own = own_dispersion(TOTALS[gene])
        exposure = (1 - np.exp(-B * own / TOTALS[gene])) / own
        mean = LIBRARY * (0.2 if gene else 0.8)
        kept = (1 - dropped[gene]) * (1 + mean * exposure / theta) ** -theta
        expected = dropped[gene] / (dropped[gene] + kept)
        off = (posterior.draws[:, 0, isoforms].sum(-1) < 1e-20).double()
        error = (expected * (1 - expected) / len(off)) ** 0.5
        assert abs(float(off.mean()) - expected) < ALLOWED * error


@pytest.mark.parametrize("kind", ["effective", "scvi"])
def test_all_draws_of_the_latent_variables_count_alike(small_models: ModuleType, kind: str) -> None:
    # The same cell again and again, whose rates are drawn anew.
    cells = 60
    if kind == "scvi":
        model = small_models.scvi(FRACTIONS)
        obs = torch.tensor([[2.0, 5.0, 1.0]]).expand(cells, -1)
    else:
        model = small_models.effective_reads(
            GENES, FRACTIONS, totals=[40.0, 40.0], divisions=DIVISIONS, dropout="none"
        )
        obs = small_models.observation(BOOTSTRAPS.expand(cells, -1, -1))
    small_models.without_states(model)
    model.dispersion.log_inverse_dispersion.data.fill_(2.0)
    batches = torch.zeros(cells, dtype=torch.int64)

    def mean(*libraries: float) -> Tensor:
        samples = [small_models.latents_of([library] * cells) for library in libraries]
        with torch.no_grad():
            return model.expression(samples * 8, batches, obs).mean.mean(0)

    few, many = mean(10.0), mean(80.0)
    assert (1.5 * few < many).all()
    torch.testing.assert_close(mean(10.0, 80.0, 80.0), (few + 2 * many) / 3, rtol=0.03, atol=0)
    torch.testing.assert_close(mean(80.0, 10.0, 10.0), (2 * few + many) / 3, rtol=0.03, atol=0)
