"""The summand of the likelihood: mass of a count times density of the bootstraps given it.

Functions are of the i-th entry of a block (:mod:`.blocks`). Densities are without what is the
same for all counts, the row ``CONSTANT``.
"""

from __future__ import annotations

import numpy as np

from . import rows
from .blocks import at
from .float64_math import (
    HALF_LOG_2_PI,
    digamma_deficit,
    inlined,
    log,
    log1p,
    stirling_remainder,
)


@inlined
def log_density(u, log_above, per_above, block, i, rules):
    """Log density of the bootstraps, given log(1 + u) and 1 / (1 + u).

    Also gives their squared distances from the count in units of twice their variance.
    """
    distance = u - block[at(rows.CENTRE, i)]
    squares = block[at(rows.SQUARES, i)] + block[at(rows.WEIGHT, i)] * distance * distance
    squares *= block[at(rows.HALF_PRECISION, i)] * (per_above if rules.relative else 1.0)
    log_variance = log_above if rules.relative else 0.0
    return -squares - block[at(rows.HALF_POSITIVES, i)] * log_variance, squares


@inlined
def log_mass(u, per_u, log_u, block, i):
    """Log mass of a count u >= 3 of the negative binomial, and its slope in theta.

    Deviances, so that no digits are lost where counts or theta are large.
    """
    successes = u + block[at(rows.DISPERSION, i)]
    per_successes = 1 / successes
    relative = (u - block[at(rows.MEAN, i)]) * block[at(rows.PER_TOTAL, i)]
    log_ratio = log1p(relative)
    value = (successes - 0.5) * log_ratio - u * (log_u - block[at(rows.LOG_MEAN, i)]) - 0.5 * log_u
    value += stirling_remainder(per_successes) - stirling_remainder(per_u)
    value -= block[at(rows.REMAINDER, i)] + HALF_LOG_2_PI + 0.5 * block[at(rows.SPREAD, i)]
    slope = log_ratio - relative + block[at(rows.DEFICIT, i)] - digamma_deficit(per_successes)
    return value, slope


@inlined
def _inward(block, i):
    """Factor of -1 / (1 + u) in the log density where the noise is relative."""
    distance = 1 + block[at(rows.CENTRE, i)]
    squares = block[at(rows.SQUARES, i)] + block[at(rows.WEIGHT, i)] * distance * distance
    return squares * block[at(rows.HALF_PRECISION, i)]


@inlined
def slopes(u, block, i, rules):
    """Slope of the log of the summand in a count u >= 1, and a bound on its curvature's size."""
    above, below = u + (block[at(rows.DISPERSION, i)] - 0.5), u + 0.5
    per_above, per_below = 1 / above, 1 / below
    slope = log(above * block[at(rows.MEAN, i)] * block[at(rows.PER_TOTAL, i)] * per_below)
    curvature = abs(per_below - per_above)
    rate = block[at(rows.WEIGHT, i)] * block[at(rows.HALF_PRECISION, i)]
    if rules.relative:
        per_above = 1 / (1 + u)
        inward = _inward(block, i) * per_above * per_above
        outward = block[at(rows.HALF_POSITIVES, i)] * per_above
        slope += inward - rate - outward
        curvature += (2 * inward + outward) * per_above
    else:
        slope += 2 * rate * (block[at(rows.CENTRE, i)] - u)
        curvature += 2 * rate
    return slope, curvature


@inlined
def mode_of_density(block, i, rules):
    """Count around which the bootstraps are likely, per factor of 1 + u; the mean if there is none.

    Where the noise is relative, the root of inward / v - rate v - m / 2 in v = 1 + u, written
    without a difference.
    """
    mode, positives = block[at(rows.CENTRE, i)], block[at(rows.HALF_POSITIVES, i)]
    if rules.relative:
        inward, half = _inward(block, i), 0.5 * positives
        rate = block[at(rows.WEIGHT, i)] * block[at(rows.HALF_PRECISION, i)]
        mode = inward / (half + np.sqrt(half * half + inward * rate)) - 1
    return mode if positives > 0 else block[at(rows.MEAN, i)]
