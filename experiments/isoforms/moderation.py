"""Moderated variances: few replicates borrow the variances of other isoforms.

The variances of all isoforms are draws from a scaled inverse chi-squared distribution around a
trend (Smyth, Statistical Applications in Genetics and Molecular Biology 3, 2004; the trend as in
limma).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

# Degree of the polynomial of the logarithms that is the trend.
_DEGREE = 2
# More isoforms than the trend has coefficients.
_LEAST_TESTS = 10
# Bounds of the degrees of freedom of the prior.
_PRIOR_FREEDOM = (1e-3, 1e6)


class Moderated(NamedTuple):
    """Moderated variances.

    Attributes
    ----------
    variance
        Shape (tests,).
    prior_freedom
        Degrees of freedom that all isoforms add to those of one.
    """

    variance: np.ndarray
    prior_freedom: float


def moderate(variance: np.ndarray, freedom: np.ndarray, level: np.ndarray) -> Moderated:
    """Shrink variances towards their trend.

    Parameters
    ----------
    variance
        Sample variances, shape (tests,).
    freedom
        Their degrees of freedom, shape (tests,).
    level
        Positive values that the variances depend on, such as means, shape (tests,).
    """
    usable = (variance > 0) & (level > 0)
    if usable.sum() < _LEAST_TESTS:
        return Moderated(variance, 0.0)
    half, location = freedom / 2, np.log(np.maximum(level, level[usable].min()))
    # Logarithms of sample variances, without their bias.
    values = np.log(variance[usable]) - digamma(half[usable]) + np.log(half[usable])
    trend = np.polynomial.Polynomial.fit(location[usable], values, _DEGREE)
    excess = np.var(values - trend(location[usable])) - polygamma(1, half[usable]).mean()
    prior_freedom = 2 * _inverse_trigamma(excess)
    prior = np.exp(trend(location) + digamma(prior_freedom / 2) - np.log(prior_freedom / 2))
    moderated = (prior_freedom * prior + freedom * variance) / (prior_freedom + freedom)
    return Moderated(moderated, prior_freedom)


def _inverse_trigamma(value: float) -> float:
    """Find x with trigamma(x) = value, within the bounds of the degrees of freedom."""
    low, high = (bound / 2 for bound in _PRIOR_FREEDOM)
    if value <= polygamma(1, high):
        return high
    if value >= polygamma(1, low):
        return low
    return brentq(lambda x: polygamma(1, x) - value, low, high)
