"""Bootstraps of gamma rates: limits, samples, calibration and shapes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from exvae.data.bootstraps import BootstrapMean
from exvae.models.distributions.gamma_poisson import (
    BootstrapGammaPoisson,
    EffectiveReads,
    draw_rates,
    log_gamma_poisson,
)

SMALLEST_P_VALUE = 1e-4
PARAMETERS = {
    "mean": [0.3, 4.0, 60.0, 900.0],
    "inverse_dispersion": [0.2, 1.5, 3.0, 50.0],
    "dropout_logits": [-1.0, -2.0, -3.0, -40.0],
    "error_dispersion": [1.0, 2.5, 0.8, 6.0],
    "bootstrap_dispersion": [1.0, 4.0, 0.8, 9.0],
}


def build(num_bootstraps: int = 3, **changes: object) -> BootstrapGammaPoisson:
    values = {**PARAMETERS, **changes}
    return BootstrapGammaPoisson(
        *(torch.as_tensor(values[name], dtype=torch.get_default_dtype()) for name in PARAMETERS),
        num_bootstraps=num_bootstraps,
        validate_args=True,
    )


def many(number: int) -> BootstrapMean:
    """Summarise a million bootstraps, all alike: the estimate is known."""
    return BootstrapMean(torch.full((4,), 1e6), torch.full((4,), float(number)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_real_counts_continue_the_negative_binomial(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    mean, theta = np.exp(rng.uniform(-6, 10, 3000)), np.exp(rng.uniform(-4, 10, 3000))
    count = np.exp(rng.uniform(-8, 10, 3000)) * (rng.random(3000) < 0.9)
    tensors = [torch.tensor(part, dtype=dtype) for part in (count, mean, theta)]
    found = log_gamma_poisson(*tensors)
    gamma = scipy.special.gammaln
    expected = gamma(count + theta) - gamma(theta) - gamma(count + 1)
    expected += -theta * np.log1p(mean / theta) - count * np.log1p(theta / mean)
    np.testing.assert_allclose(found, expected, atol=2e-3, rtol=3e-5)
    leaves = [part.requires_grad_() for part in tensors[1:]]
    slopes = torch.autograd.grad(log_gamma_poisson(tensors[0], *leaves).sum(), leaves)
    assert all(bool(slope.isfinite().all()) for slope in slopes)


def test_with_many_bootstraps_of_counts_it_is_the_zero_inflated_negative_binomial() -> None:
    distribution = build(10**6, error_dispersion=1.0, bootstrap_dispersion=1.0)
    mean, theta, logits = (np.array(PARAMETERS[name]) for name in list(PARAMETERS)[:3])
    dropped = 1 / (1 + np.exp(-logits))
    for k in (0, 1, 5, 70):
        pmf = scipy.stats.nbinom.pmf(k, theta, theta / (theta + mean))
        expected = np.log((1 - dropped) * pmf + dropped * (k == 0))
        np.testing.assert_allclose(distribution.log_prob(many(k)), expected, atol=1e-3)


def test_the_quasi_likelihood_is_that_of_effective_reads() -> None:
    """Written out: a negative binomial of effective reads, by reads, and the exact zero."""
    rng = np.random.default_rng(0)
    numbers = np.array([1, 2, 4, 30])
    sets = [
        rng.gamma(1.0, 10.0, (4, number)) * (rng.random((4, number)) < 0.6) for number in numbers
    ]
    sets[0][:] = [[0.0], [7.5], [0.3], [80.0]]
    sets[1][1] = sets[2][2] = 0.0
    mean, theta, logits, error, bootstrap = (np.array(part) for part in PARAMETERS.values())
    gammaln = scipy.special.gammaln
    for number, own in zip(numbers, sets, strict=True):
        average = own.mean(-1)
        exposure = 1 / (error + bootstrap / number)
        reads, expected = average * exposure, mean * exposure
        log_prob = gammaln(reads + theta) - gammaln(theta) - gammaln(reads + 1)
        log_prob += theta * np.log(theta / (theta + expected))
        log_prob += reads * np.log(expected / (theta + expected))
        log_prob += np.log(exposure) - np.log1p(np.exp(logits))
        exposure = (1 - np.exp(-number * error / bootstrap)) / error
        zero = (theta / (theta + mean * exposure)) ** theta
        dropped = 1 / (1 + np.exp(-logits))
        at_zero = np.log(dropped + (1 - dropped) * zero)
        found = build(int(number)).log_prob(torch.tensor(own).float())
        expected = np.where(average > 0, log_prob, at_zero)
        np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("num_bootstraps", [1, 10])
def test_the_density_of_large_means_integrates_to_one(num_bootstraps: int) -> None:
    distribution = build(
        num_bootstraps,
        mean=[100.0] * 4,
        inverse_dispersion=[5.0, 20.0, 20.0, 200.0],
        dropout_logits=-50.0,
        error_dispersion=[1.0, 3.0, 2.0, 4.0],
        bootstrap_dispersion=[1.0, 2.0, 5.0, 6.0],
    )
    means = torch.linspace(0.01, 800, 20_000)
    bootstraps = means.view(-1, 1, 1).expand(-1, 4, num_bootstraps)
    mass = torch.trapezoid(distribution.log_prob(bootstraps).double().exp(), means, dim=0)
    torch.testing.assert_close(mass, torch.ones(4).double(), rtol=0, atol=0.01)


@pytest.mark.parametrize("dispersion", [0.5, 0.7])
def test_multiples_of_less_than_a_read_are_rounded_to_the_nearest(dispersion: float) -> None:
    """Of estimates that are multiples of half a read two are rounded to each count."""
    distribution = build(
        1,
        mean=[20.0] * 4,
        inverse_dispersion=30.0,
        error_dispersion=dispersion,
        dropout_logits=-50.0,
    )
    mass = distribution.log_prob_of_bin(torch.arange(200.0)[:, None])[:, 0].double().exp().numpy()
    theta = 30.0
    pmf = scipy.stats.nbinom.pmf(np.arange(500), theta, theta / (theta + 20.0 / dispersion))
    multiples = np.arange(500) * dispersion
    mean = (pmf * multiples).sum()
    variance = (pmf * (multiples - mean) ** 2).sum()
    counts = np.arange(200)
    assert (mass * counts).sum() == pytest.approx(mean, abs=0.01)
    # Spreading a multiple and rounding what comes of it add a little.
    found = (mass * (counts - mean) ** 2).sum()
    assert found == pytest.approx(variance + dispersion**2 / 12 + 1 / 12, rel=0.01)


def test_effective_reads_are_fewer_where_estimates_scatter() -> None:
    distribution = build()
    bootstraps = torch.tensor([[0.0, 3.0, 6.0]]).expand(4, -1)
    for value in (bootstraps, BootstrapMean.of(bootstraps)):
        count, exposure = distribution.effective_reads(value)
        scatter = distribution.error_dispersion + distribution.bootstrap_dispersion / 3
        torch.testing.assert_close(exposure, 1 / scatter)
        torch.testing.assert_close(count, 3.0 / scatter)
    torch.testing.assert_close(
        distribution.log_prob(bootstraps),
        distribution.log_prob(BootstrapMean.of(bootstraps)),
    )


@pytest.mark.parametrize("num_bootstraps", [1, 2, 20])
def test_all_bootstraps_are_zero_as_often_as_in_samples(num_bootstraps: int) -> None:
    torch.manual_seed(0)
    distribution = build(num_bootstraps, mean=[0.3, 1.0, 2.0, 5.0])
    draws = distribution.sample(torch.Size([40_000]))
    found = (draws == 0).all(-1).double().mean(0)
    expected = distribution.log_prob(torch.zeros(4, num_bootstraps)).exp().double()
    error = (expected * (1 - expected) / len(draws)).sqrt()
    assert ((found - expected).abs() < 4.5 * error).all()


def test_bootstraps_of_different_numbers() -> None:
    summary = BootstrapMean.of(torch.tensor([[2.0, 0.0], [4.0, 1.0]]).repeat_interleave(2, 0))
    number = summary.number + torch.tensor([0.0, 3.0, 0.0, 7.0])
    summary = BootstrapMean(number, summary.mean * 2 / number)
    together = build().log_prob(summary)
    for entry in range(4):
        alone = build(**{name: [value[entry]] for name, value in PARAMETERS.items()})
        own = BootstrapMean(*(part[entry : entry + 1] for part in summary))
        torch.testing.assert_close(alone.log_prob(own)[0], together[entry])


def test_moments_are_those_of_samples() -> None:
    torch.manual_seed(0)
    distribution = build()
    draws = distribution.sample((60_000,))
    assert draws.shape == (60_000, 4, 3)
    mean, variance = draws.mean(0), draws.var(0)
    error = (distribution.variance / len(draws)).sqrt()
    assert ((mean - distribution.mean).abs() < 4.5 * error).all()
    squares = (draws - distribution.mean).square()
    error = squares.std(0) / len(draws) ** 0.5
    assert ((variance - distribution.variance).abs() < 4.5 * error).all()
    # Bootstraps share the estimate's error: their covariance is what they do not have alone.
    shared = torch.stack([torch.cov(own.T)[0, 1] for own in draws.unbind(1)])
    alone = distribution.bootstrap_dispersion * distribution.mean[:, 0]
    products = (draws[..., 0] - distribution.mean[:, 0]) * (draws[..., 1] - distribution.mean[:, 1])
    error = products.std(0) / len(draws) ** 0.5
    assert ((shared - (distribution.variance[:, 0] - alone)).abs() < 4.5 * error).all()


@pytest.mark.parametrize("dispersion", [1.0, 4.0])
def test_posteriors_are_calibrated(dispersion: float) -> None:
    rng = np.random.default_rng(3)
    entries, number = 4000, 200
    mean, theta = np.exp(rng.uniform(0, 6, entries)), np.exp(rng.uniform(-1, 3, entries))
    rate = rng.gamma(theta, mean / theta)
    estimate = dispersion * rng.poisson(rate / dispersion)
    bootstraps = dispersion * rng.poisson(estimate[:, None] / dispersion, (entries, number))
    tensors = [torch.tensor(part).float() for part in (mean, theta)]
    logits, scatter = torch.tensor(-40.0), torch.tensor(dispersion)
    torch.manual_seed(0)

    def ranks(scatter: Tensor) -> np.ndarray:
        distribution = BootstrapGammaPoisson(
            *tensors, logits, scatter, scatter, num_bootstraps=number
        )
        draws = distribution.draw_rates(torch.tensor(bootstraps).float(), 300)
        return (draws < torch.tensor(rate).float()).double().mean(0).numpy()

    jitter = rng.uniform(0, 1 / 300, entries)
    assert scipy.stats.kstest(ranks(scatter) + jitter, "uniform").pvalue > SMALLEST_P_VALUE
    for factor in (0.5, 2.0):
        wrong = ranks(scatter * factor) + jitter
        observed, _ = np.histogram(wrong.clip(0, 1), bins=20, range=(0.0, 1.0))
        assert scipy.stats.chisquare(observed).pvalue < SMALLEST_P_VALUE


def test_rates_of_counts_that_were_dropped_come_from_the_prior() -> None:
    torch.manual_seed(0)
    reads = EffectiveReads(torch.tensor([0.0, 3.0]), torch.tensor([0.5, 0.5]))
    mean, theta = torch.tensor(8.0), torch.tensor(2.0)
    draws, dropped = draw_rates(mean, theta, torch.tensor(40.0), reads, 20_000)
    assert dropped.mean(0).tolist() == [1.0, 0.0]
    # A zero is a dropout; a count that is not zero is none.
    expected = torch.tensor([8.0, (2 + 3.0) / (2 / 8 + 0.5)])
    assert ((draws.mean(0) - expected).abs() < 4.5 * draws.std(0) / len(draws) ** 0.5).all()


def test_rates_are_zero_as_often_as_they_were_dropped() -> None:
    torch.manual_seed(0)
    distribution = build()
    bootstraps = torch.zeros(4, 3)
    zero = (distribution.draw_rates(bootstraps, 20_000) == 0).double().mean(0)
    kept = torch.sigmoid(-distribution.dropout_logits).log() + log_gamma_poisson(
        torch.zeros(4),
        distribution.rate_mean * distribution.effective_reads(bootstraps).exposure,
        distribution.inverse_dispersion,
    )
    dropped = torch.sigmoid(distribution.dropout_logits)
    expected = (dropped / (dropped + kept.exp())).double()
    torch.testing.assert_close(zero, expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("error_dispersion", [0.5, 0.83, 1.0, 3.7, 20.0])
def test_masses_of_whole_counts_sum_to_one(error_dispersion: float) -> None:
    distribution = build(1, mean=[0.3, 4.0, 20.0, 60.0], error_dispersion=error_dispersion)
    bins = torch.arange(3000.0)[:, None]
    masses = distribution.log_prob_of_bin(bins).exp()
    torch.testing.assert_close(masses.sum(0), torch.ones(4), atol=2e-4, rtol=0)
    # Without gaps: whatever the quantifier says has a probability.
    assert (masses[:100] > 0).all()
    mean = (bins * masses).sum(0)
    first = scipy.stats.nbinom.pmf(
        1,
        distribution.inverse_dispersion,
        1 / (1 + distribution.rate_mean / error_dispersion / distribution.inverse_dispersion),
    )
    # The first multiple is spread further down, and what is below half a read counts as zero.
    allowed = torch.tensor(first).float() * max(error_dispersion / 4, 0.5) + 0.01
    assert ((mean - distribution.mean[:, 0]).abs() < allowed + 1e-3 * mean).all()


def test_masses_of_counts_are_those_of_the_negative_binomial() -> None:
    distribution = build(1, error_dispersion=1.0, dropout_logits=-200.0)
    mean, theta = (np.array(PARAMETERS[name]) for name in list(PARAMETERS)[:2])
    k = np.arange(50)[:, None]
    expected = scipy.stats.nbinom.logpmf(k, theta, theta / (theta + mean))
    found = distribution.log_prob_of_bin(torch.tensor(k).float())
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-4)


def test_shapes_and_copies() -> None:
    distribution = build()
    wide = distribution.expand((5, 4))
    assert wide.batch_shape == (5, 4)
    draws = wide.sample((2,))
    assert draws.shape == (2, 5, 4, 3)
    assert wide.log_prob(draws).shape == (2, 5, 4)
    torch.testing.assert_close(wide.log_prob(draws)[1, 2], distribution.log_prob(draws[1, 2]))
    assert wide.mean.shape == wide.variance.shape == (5, 4, 3)
    copied = copy.deepcopy(distribution)
    torch.testing.assert_close(copied.log_prob(draws[0, 0]), distribution.log_prob(draws[0, 0]))
    assert wide.to_event(2).log_prob(draws).shape == (2,)


@pytest.mark.parametrize("name", ["mean", "inverse_dispersion", "error_dispersion"])
def test_impossible_parameters_are_errors(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        build(**{name: [1.0, 2.0, 0.0, 1.0]})


@pytest.mark.parametrize("value", [-1.0, torch.nan])
def test_impossible_bootstraps_are_errors(value: float) -> None:
    bootstraps = torch.ones(4, 3)
    bootstraps[2, 1] = value
    with pytest.raises(ValueError, match="support"):
        build().log_prob(bootstraps)
