"""The summand of the likelihood: mass of a count times density of the bootstraps given it.

All numbers are float64. Densities are without what is the same for all counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...data.compiled_functions import (
    HALF_LOG_2_PI,
    digamma_deficit,
    inlined,
    log,
    log1p,
    stirling_of_any,
    stirling_remainder,
)


class Rules(NamedTuple):
    """Which likelihood: is the error of the estimate shared, is the noise relative to the count."""

    shared: bool
    relative: bool


class Entry(NamedTuple):
    """Numbers of an isoform in a cell that the summand is made of."""

    mean: float  # mu (reads)
    dispersion: float  # theta
    per_total: float  # 1 / (mu + theta)
    spread: float  # log(1 + mu / theta)
    log_mean: float
    remainder: float  # of Stirling's formula for theta
    deficit: float  # log(theta) - digamma(theta)
    half_precision: float  # 1 / (2 f^2), f the noise scale (reads)
    half_positives: float  # m / 2, m the number of bootstraps that are not zero
    centre: float  # their mean (reads)
    weight: float  # kappa m, which multiplies the squared distance of the mean from the count
    squares: float  # around the mean where the noise depends on the count, elsewhere 0
    relative: bool  # whether it does


@inlined
def prepare(mean, dispersion, scale, positives, rules):
    """Compute fields of an entry from ``per_total`` to ``half_precision``, and ``weight``."""
    remainder, deficit = stirling_of_any(dispersion)
    per_total, spread = 1 / (mean + dispersion), log1p(mean / dispersion)
    weight = positives / (1 + positives) if rules.shared else positives
    half_precision = 0.5 / (scale * scale)
    return per_total, spread, log(mean), remainder, deficit, half_precision, weight


@inlined
def log_density(u, log_above, per_above, entry):
    """Log density of the bootstraps, given log(1 + u) and 1 / (1 + u).

    Also gives their squared distances from the count in units of twice their variance.
    """
    distance = u - entry.centre
    squares = entry.squares + entry.weight * distance * distance
    squares *= entry.half_precision * (per_above if entry.relative else 1.0)
    log_variance = log_above if entry.relative else 0.0
    return -squares - entry.half_positives * log_variance, squares


@inlined
def log_mass(u, log_above, per_above, entry):
    """Log mass of a count u >= 1 of the negative binomial, and its slope in theta.

    Deviances, so that few digits are lost where counts or theta are large.
    """
    successes = u + entry.dispersion
    per_successes = 1 / successes
    relative = (u - entry.mean) * entry.per_total
    log_ratio = log1p(relative)
    value = (successes - 0.5) * log_ratio - u * (log_above - entry.log_mean) - 0.5 * log_above
    value += stirling_remainder(per_successes) - stirling_remainder(per_above)
    value += (1 - HALF_LOG_2_PI) - entry.remainder - 0.5 * entry.spread
    return value, log_ratio - relative + entry.deficit - digamma_deficit(per_successes)


@inlined
def _inward(entry):
    """Factor of -1 / (1 + u) in the log density where the noise is relative."""
    distance = 1 + entry.centre
    return (entry.squares + entry.weight * distance * distance) * entry.half_precision


@inlined
def slope_and_curvature(u, entry):
    """Slope of the log of the summand in a count u >= 1, and a bound on its curvature's size."""
    above, below = u + (entry.dispersion - 0.5), u + 0.5
    slope = log(above * entry.mean * entry.per_total / below)
    curvature = abs(1 / below - 1 / above)
    rate = entry.weight * entry.half_precision
    if entry.relative:
        per_above = 1 / (1 + u)
        inward = _inward(entry) * per_above * per_above
        outward = entry.half_positives * per_above
        return slope + inward - rate - outward, curvature + (2 * inward + outward) * per_above
    return slope + 2 * rate * (entry.centre - u), curvature + 2 * rate


@inlined
def mode_of_density(entry):
    """Count around which the bootstraps are likely, per factor of 1 + u; the mean if there is none.

    Where the noise is relative, the root of inward / v - rate v - m / 2 in v = 1 + u, written
    without a difference.
    """
    if entry.half_positives == 0:
        return entry.mean
    if not entry.relative:
        return entry.centre
    inward, half = _inward(entry), 0.5 * entry.half_positives
    rate = entry.weight * entry.half_precision
    return inward / (half + np.sqrt(half * half + inward * rate)) - 1
