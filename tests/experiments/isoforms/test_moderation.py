"""Moderated variances: drawn from their prior, the prior is found."""

from __future__ import annotations

import numpy as np
import pytest

from exvae.experiments.isoforms.moderation import moderate


def drawn(prior_freedom: float, freedom: int, number: int = 5000) -> tuple[np.ndarray, ...]:
    """Draw variances around a trend, and their estimates from few values."""
    rng = np.random.default_rng(0)
    level = rng.lognormal(1, 1, number)
    trend = 0.2 * level**1.5
    truth = trend * prior_freedom / rng.chisquare(prior_freedom, number)
    seen = truth * rng.chisquare(freedom, number) / freedom
    return truth, seen, np.full(number, float(freedom)), level


@pytest.mark.parametrize("prior_freedom", [4.0, 20.0])
def test_the_prior_is_found(prior_freedom: float) -> None:
    truth, seen, freedom, level = drawn(prior_freedom, 4)
    found = moderate(seen, freedom, level)
    assert found.prior_freedom == pytest.approx(prior_freedom, rel=0.2)
    errors = [np.std(np.log(values / truth)) for values in (found.variance, seen)]
    assert errors[0] < 0.75 * errors[1]
    # The mean of the prior and the sample, by their degrees of freedom.
    share = found.prior_freedom / (found.prior_freedom + 4)
    prior = (found.variance - (1 - share) * seen) / share
    np.testing.assert_allclose(prior, 0.2 * level**1.5, rtol=0.3)


def test_equal_variances_are_pooled() -> None:
    rng = np.random.default_rng(1)
    seen = rng.chisquare(3, 2000) / 3
    found = moderate(seen, np.full(2000, 3.0), np.linspace(1, 2, 2000))
    assert found.prior_freedom > 100
    np.testing.assert_allclose(found.variance, 1, rtol=0.2)


def test_few_tests_stay_as_they_are() -> None:
    seen = np.array([1.0, 5.0, 0.0])
    found = moderate(seen, np.full(3, 4.0), np.ones(3))
    assert found.prior_freedom == 0
    np.testing.assert_array_equal(found.variance, seen)
