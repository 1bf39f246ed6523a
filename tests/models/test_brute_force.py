"""The reference of the likelihood is right itself: checked without its grids and statistics."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import nbinom, norm


def example(brute_force, **changes: float):
    parameters = brute_force.Parameters(
        mean=4.0,
        inverse_dispersion=2.5,
        dropout_logits=-1.2,
        noise_scale=0.9,
        bootstrap_dropout_logits=-0.7,
    )
    return parameters._replace(**changes)


def density(x, e, sigma, parameters):
    """Density of one bootstrap given what the bootstraps share."""
    pi = 1 / (1 + math.exp(-parameters.bootstrap_dropout_logits))
    if x == 0:
        return pi
    return (1 - pi) * norm.pdf(x, e, sigma)


def naive_log_prob(bootstraps, parameters, kind) -> float:
    """Sum over u, integrate over e, of the product of B densities."""
    error, noise = kind
    p_dropout = 1 / (1 + math.exp(-parameters.dropout_logits))
    theta = parameters.inverse_dispersion
    steps, step_weights = np.zeros(1), np.ones(1)
    if error == "shared":
        steps = np.linspace(-9, 9, 181)
        step_weights = norm.pdf(steps) * 0.1
    total = 0.0
    for u in range(100):
        prior = (1 - p_dropout) * nbinom.pmf(u, theta, theta / (theta + parameters.mean))
        prior += p_dropout * (u == 0)
        sigma = parameters.noise_scale * (1 if noise == "absolute" else math.sqrt(1 + u))
        e = u + steps * sigma
        product = math.prod(density(x, e, sigma, parameters) for x in bootstraps)
        total += prior * (product * np.ones_like(steps) @ step_weights)
    return math.log(total)


@pytest.mark.parametrize(
    "bootstraps", [(0.0,), (3.7,), (-1.3, 0.4), (0.0, 2.2), (5.1, 3.4)], ids=str
)
def test_agrees_with_direct_integration(brute_force, kind, bootstraps) -> None:
    parameters = example(brute_force)
    summary = brute_force.Summary.of(np.array(bootstraps))
    actual = brute_force.log_prob(parameters, summary, kind)
    assert actual == pytest.approx(naive_log_prob(bootstraps, parameters, kind), abs=1e-6)


@pytest.mark.parametrize("bootstraps", [(-0.4, 0.3, 1.2), (3.7, 0.0, 5.2, 6.1, 0.0)], ids=str)
def test_agrees_with_averages_over_draws(brute_force, kind, bootstraps) -> None:
    error, noise = kind
    parameters = example(brute_force)
    rng = np.random.default_rng(1)
    theta = parameters.inverse_dispersion
    p_dropout = 1 / (1 + math.exp(-parameters.dropout_logits))
    u = rng.poisson(rng.gamma(theta, parameters.mean / theta, 400_000))
    u = np.where(rng.uniform(size=u.shape) < p_dropout, 0, u)
    variance = parameters.noise_scale**2 * (1.0 if noise == "absolute" else 1 + u)
    sigma = np.sqrt(variance)
    e = rng.normal(u, sigma) if error == "shared" else u
    products = math.prod(density(x, e, sigma, parameters) for x in bootstraps)
    summary = brute_force.Summary.of(np.array(bootstraps))
    actual = math.exp(brute_force.log_prob(parameters, summary, kind))
    deviation = actual - products.mean()
    assert abs(deviation) <= 4 * products.std() / math.sqrt(len(u)) + 1e-12


def panels(low: float, high: float, number: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(number)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


def test_one_bootstrap_has_total_mass_one(brute_force, kind) -> None:
    parameters = example(brute_force)
    mass = math.exp(brute_force.log_prob(parameters, brute_force.Summary(1, 0, 0.0, 0.0), kind))
    for low, high in ((0.0, 20.0), (20.0, 100.0), (-20.0, 0.0)):
        for x, weight in zip(*panels(low, high, 40), strict=True):
            summary = brute_force.Summary(0, 1, x, 0.0)
            mass += weight * math.exp(brute_force.log_prob(parameters, summary, kind))
    assert mass == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("noise", ["relative", "absolute"])
def test_two_bootstraps_have_total_mass_one(brute_force, noise) -> None:
    parameters = example(brute_force, mean=3.0)
    kind = brute_force.Kind("shared", noise)

    def mass_at(*bootstraps: float) -> float:
        summary = brute_force.Summary.of(np.array(bootstraps))
        return math.exp(brute_force.log_prob(parameters, summary, kind))

    parts = [panels(-12, 0, 14), panels(0, 12, 14), panels(12, 60, 12)]
    nodes, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    mass = mass_at(0.0, 0.0)
    mass += 2 * sum(w * mass_at(0.0, x) for x, w in zip(nodes, weights, strict=True))
    for (x, v), (y, w) in itertools.product(zip(nodes, weights, strict=True), repeat=2):
        if x <= y:
            mass += v * w * mass_at(x, y) * (1 if x == y else 2)
    assert mass == pytest.approx(1.0, abs=2e-4)


def test_the_negative_binomial_in_blocks_and_tails(brute_force) -> None:
    # Ratios of neighbours have a closed form without any gamma function.
    for mean, theta in ((1e-3, 1e-2), (3.0, 0.5), (1e5, 1e6), (1e5, 1e-2), (40.0, 1e12)):
        start = -theta * math.log1p(mean / theta)
        k = np.arange(3000.0)
        ratios = np.log((k + theta) / (k + 1)) - np.log1p(theta / mean)
        expected = start + np.concatenate([[0.0], np.cumsum(ratios)])
        actual = brute_force.log_negative_binomial(np.arange(3001.0), mean, theta)
        np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-10)


def test_sums_in_blocks_are_sums_over_every_integer(brute_force) -> None:
    kind = brute_force.Kind("shared", "relative")
    for mean, scale, summary in (
        (3000.0, 0.5, brute_force.Summary(0, 4, 20_000.0, 300.0)),
        (20_000.0, 0.01, brute_force.Summary(0, 4, 3000.0, 300.0)),
        (900.0, 30.0, brute_force.Summary(3, 0, 0.0, 0.0)),
        (900.0, 3.0, brute_force.Summary(3, 2, 1500.0, 1e6)),
    ):
        for theta in (0.5, 1e5):
            parameters = example(
                brute_force, mean=mean, noise_scale=scale, inverse_dispersion=theta
            )
            every = np.arange(150_000.0)
            expected = logsumexp(brute_force.log_joint(every, parameters, summary, kind))
            actual = brute_force.log_prob(parameters, summary, kind)
            assert actual == pytest.approx(expected, abs=1e-9), (mean, scale, theta)


def test_masses_of_bins_are_integrals_of_the_density(brute_force, kind) -> None:
    parameters = example(brute_force)
    zero = brute_force.Summary(1, 0, 0.0, 0.0)
    mass_at_zero = math.exp(brute_force.log_prob(parameters, zero, kind))
    for k in (0, 1, 6):
        low = -30.0 if k == 0 else k - 0.5
        nodes, weights = panels(low, k + 0.5, 60 if k == 0 else 10)
        mass = mass_at_zero if k == 0 else 0.0
        for x, weight in zip(nodes, weights, strict=True):
            summary = brute_force.Summary(0, 1, x, 0.0)
            mass += weight * math.exp(brute_force.log_prob(parameters, summary, kind))
        actual = brute_force.log_prob_of_bin(k, parameters, kind)
        assert actual == pytest.approx(math.log(mass), abs=1e-5)
