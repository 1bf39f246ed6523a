"""Empirical Bayes priors of effects: against integrals, and calibrated where they are true."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from exvae.experiments.isoforms.effect_prior import (
    EffectPrior,
    Estimates,
    Mixture,
    log_bayes_factors,
    normal_errors,
    tails,
)

EFFECTS = 0.05 * 2.0 ** np.arange(0.0, 4.5, 0.5)


def test_bayes_factors() -> None:
    value, error = np.array([0.0, 0.11, -0.7]), np.array([0.05, 0.1, 0.2])
    centres = np.linspace(-0.3, 0.4, len(EFFECTS))
    factors = log_bayes_factors(value, error, EFFECTS, centres)
    assert factors.shape == (3, len(EFFECTS))
    for i, (d, s) in enumerate(zip(value, error, strict=True)):
        for k, effect in enumerate(EFFECTS):
            marginal = quad(
                lambda x, d=d, s=s, e=effect, c=centres[k]: norm.pdf(d, x, s) * norm.pdf(x, c, e),
                -5,
                5,
                points=[centres[k], d],
                limit=200,
            )[0]
            assert factors[i, k] == pytest.approx(np.log(marginal / norm.pdf(d, 0, s)), abs=1e-6)


def test_few_degrees_of_freedom_make_errors_larger() -> None:
    value, error = np.array([0.5, 0.5, 0.0, 80.0]), np.array([0.1, 0.1, 0.1, 0.1])
    normal = normal_errors(value, error, np.array([5.0, 1e9, 3.0, 1e9]))
    assert normal[0] > 1.3 * error[0]
    np.testing.assert_allclose(normal[1:], error[1:], rtol=1e-6)


def test_posteriors_are_those_of_the_prior() -> None:
    rng = np.random.default_rng(0)
    number, error = 4000, rng.uniform(0.1, 0.4, 4000)
    truth = rng.normal(0, 0.8, number) * (rng.random(number) < 0.4)
    seen = truth + error * rng.normal(size=number)
    estimates = Estimates.of(seen, error, np.arange(number), EFFECTS)
    prior = EffectPrior.learned(estimates)
    assert prior.changed * prior.included == pytest.approx(0.4, abs=0.08)
    posterior = prior.posterior(estimates)
    np.testing.assert_allclose(posterior.weights.sum(1), 1)
    beyond = (posterior.weights * tails(posterior.mean, posterior.variance, 0.3)).sum(1)
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.0)):
        chosen = (low <= beyond) & (beyond <= high)
        assert (np.abs(truth) > 0.3)[chosen].mean() == pytest.approx(
            beyond[chosen].mean(), abs=0.06
        )
    mean = (posterior.weights * posterior.mean).sum(1)
    assert ((mean - truth) ** 2).mean() < 0.8 * ((seen - truth) ** 2).mean()
    # Regressing the truth on its posterior mean gives slope one.
    assert np.polyfit(mean, truth, 1)[0] == pytest.approx(1, abs=0.05)


def test_normals_away_from_zero_fit_effects_that_are_never_small() -> None:
    rng = np.random.default_rng(1)
    truth = rng.choice([-0.6, 0.6], 2000) * rng.normal(1, 0.1, 2000)
    seen = truth + 0.3 * rng.normal(size=2000)
    effects, centres = np.array([0.4, 0.8, 0.2, 0.2]), np.array([0.0, 0.0, -0.6, 0.6])
    errors = []
    for means in (None, centres):
        estimates = Estimates.of(seen, np.full(2000, 0.3), np.arange(2000), effects, means)
        prior = EffectPrior.learned(estimates)
        posterior = prior.posterior(estimates)
        errors.append((((posterior.weights * posterior.mean).sum(1) - truth) ** 2).mean())
    assert prior.weights[2:].sum() > 0.9
    assert errors[1] < 0.8 * errors[0]


def test_added_units_without_a_change() -> None:
    rng = np.random.default_rng(2)
    estimates = Estimates.of(rng.normal(0, 0.3, 10), np.full(10, 0.1), np.arange(10), EFFECTS)
    few, many = (EffectPrior.learned(estimates, number).changed for number in (0, 30))
    assert many < 0.5 * few


def test_tails_of_points_and_normals() -> None:
    assert tails(np.array([0.0, 0.5, -0.5]), np.zeros(3), 0.3).tolist() == [0, 1, 1]
    both = norm.cdf(-0.4, 0.1, 0.2) + norm.sf(0.4, 0.1, 0.2)
    assert tails(np.array([0.1]), np.array([0.04]), 0.4)[0] == pytest.approx(both)


def test_effects_that_are_surely_zero() -> None:
    nothing = Mixture.zeros(2, 3)
    assert (nothing.weights * tails(nothing.mean, nothing.variance, 0.1)).sum() == 0
    assert nothing.take(np.array([1, 1, 0])).weights.shape == (3, 4)
