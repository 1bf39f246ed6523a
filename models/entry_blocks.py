"""Where the summand of an entry matters: compiled loops over blocks of entries, for float32.

The arithmetic is that of :mod:`exvae.models.fixed_nodes`, for many entries side by side. A block is
one array that holds a field of all its entries after another, so that all that is known of them
stays in the first cache. A loop over a block does not branch, so that it is vectorised.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .float32_math import (
    asinh,
    digamma_excess_of_large,
    exp,
    f,
    inlined,
    log,
    log1p,
    log_gamma,
    log_ratio,
    logaddexp,
    reciprocal_and_remainder,
    softplus,
    stirling_remainder_of_small,
)

# Entries whose windows are found side by side; what is known of them fits the first cache.
BLOCK = 128
# Fields of a block: parameters and statistics of an entry, then what is found out about it.
(
    MEAN,
    DISPERSION,
    DROPOUT,
    SCALE,
    LOGITS,
    CONCENTRATION,
    ZEROS,
    POSITIVES,
    CENTRE,
    SQUARES,
    WIDTH,
    CUT,
    MASS,
    PANELS,
    FIRST,
    LAST,
    PEAK,
    SPAN,
    EDGE,
    CENTRE_OF_PANEL,
    DISTANCE,
    OUTER,
    INNER,
    COUNT,
    WEIGHT,
    ROOT,
    LOGIT,
    MODE,
    PAST,
    LARGEST,
    TOTAL,
    BY_MEAN,
    BY_DISPERSION,
    BY_DROPOUT,
    BY_SCALE,
    BY_LOGITS,
    BY_CONCENTRATION,
    READ,
) = range(38)
# Of the table of an entry's zero factor, eight numbers around a count.
READS = 8
# What is kept of a window, from FIRST on.
KEPT = 4
INPUTS = 10
FIELDS = READ + READS

_NEWTON_STEPS = 6
_CUT = f(9)
_PANEL_DEVIATIONS = f(2)
_PANEL_LOG_WIDTH = f(0.8)
_WIDER = f(1.6)
# Panels per unit of asinh(distance from the peak in its standard deviations).
_PANELS_PER_STRETCH = f(1.6)
_LOG_TWO = f(math.log(2))
_LOG_TWO_PI = f(math.log(2 * math.pi))


class Rules(NamedTuple):
    """Which likelihood, for compiled code."""

    adaptive: bool
    shared: bool
    rectified: bool
    # 1 where the noise variance grows as 1 + u.
    growth: np.float32


# The summand, given what is the same for all counts


@inlined
def prior_varying(u, mean, dispersion):
    """Log probability of a count u > 0, up to what is the same for all counts.

    With it its slope in the dispersion, up to the same.
    """
    successes, above, excess = u + dispersion, u + f(1), u - mean
    per_total = f(1) / (mean + dispersion)
    per_successes, successes_remainder = reciprocal_and_remainder(successes)
    per_above, above_remainder = reciprocal_and_remainder(above)
    ratio, relative = successes * per_total, excess * per_total
    gamma_ratio = log_ratio(ratio, relative)
    step = log_ratio(
        ratio * (mean * per_above),
        -(dispersion * (excess + f(1)) + mean) * (per_total * per_above),
    )
    value = (u + f(0.5)) * step + (dispersion - f(1)) * gamma_ratio
    value += successes_remainder - above_remainder
    slope = gamma_ratio - relative + digamma_excess_of_large(per_successes)
    return value, slope


@inlined
def prior_constant(mean, dispersion):
    """Give what :func:`prior_varying` leaves out."""
    return (
        f(1)
        - f(0.5) * (_LOG_TWO_PI + log1p(mean / dispersion) + log(mean))
        - stirling_remainder_of_small(dispersion)
    )


@inlined
def precision_left(positives, rules):
    """kappa, how much of the precision of the mean the estimate's own error leaves."""
    return f(1) / (f(1) + positives) if rules.shared else f(1)


@inlined
def squared_deviations(u, block, i, rules):
    """Q(u)."""
    positives, away = block[POSITIVES * BLOCK + i], block[CENTRE * BLOCK + i] - u
    weight = precision_left(positives, rules) * positives
    return block[SQUARES * BLOCK + i] + weight * away * away


@inlined
def variance_at(u, block, i, rules):
    """Noise variance of one bootstrap given u; for adaptive noise its prior rate."""
    scale, half = block[SCALE * BLOCK + i], f(0.5) * block[CONCENTRATION * BLOCK + i]
    return scale * scale * (f(1) + rules.growth * u) * (half if rules.adaptive else f(1))


@inlined
def density_varying(u, block, i, rules):
    """Log density of the positive bootstraps given u, up to what is the same for all counts."""
    half = f(0.5) * block[POSITIVES * BLOCK + i]
    variance = variance_at(u, block, i, rules)
    ratio = f(0.5) * squared_deviations(u, block, i, rules) / variance
    averaged = (f(0.5) * block[CONCENTRATION * BLOCK + i] + half) * log(f(1) + ratio)
    return -half * log(variance) - (averaged if rules.adaptive else ratio)


@inlined
def density_constant(block, i, rules):
    """Give what :func:`density_varying` leaves out, and what zeros say whatever u is."""
    positives, logits = block[POSITIVES * BLOCK + i], block[LOGITS * BLOCK + i]
    constant = -positives * softplus(logits) - block[ZEROS * BLOCK + i] * softplus(-logits)
    constant += f(0.5) * (log(precision_left(positives, rules)) - positives * _LOG_TWO_PI)
    half = f(0.5) * block[CONCENTRATION * BLOCK + i]
    averaged = log_gamma(half + f(0.5) * positives) - log_gamma(half)
    return constant + (averaged if rules.adaptive else f(0))


# Where the summand matters


@inlined
def height(y, block, i, rules):
    """Summand without the zero factor, up to a constant, per unit of y = log(1 + u)."""
    u = exp(y) - f(1)
    prior, _ = prior_varying(u, block[MEAN * BLOCK + i], block[DISPERSION * BLOCK + i])
    return prior + density_varying(u, block, i, rules) + y


@inlined
def height_at_zero(block, i, rules):
    """Summand at u = 0 without the zero factor, up to the same constant."""
    mean, dispersion = block[MEAN * BLOCK + i], block[DISPERSION * BLOCK + i]
    prior = log_prior_at_zero(mean, dispersion, block[DROPOUT * BLOCK + i])
    kept = -softplus(block[DROPOUT * BLOCK + i])
    return prior - kept - prior_constant(mean, dispersion) + density_varying(f(0), block, i, rules)


@inlined
def log_prior_at_zero(mean, dispersion, dropout):
    """Log P(u = 0) of the zero-inflated negative binomial."""
    kept = -dispersion * log1p(mean / dispersion)
    return logaddexp(kept, dropout) - softplus(dropout)


@inlined
def data_peak(block, i, rules):
    """Count where the density of the positive bootstraps is largest."""
    positives, mean = max(block[POSITIVES * BLOCK + i], f(1)), block[CENTRE * BLOCK + i]
    squares, scale = block[SQUARES * BLOCK + i], block[SCALE * BLOCK + i]
    weight, square, centre = (
        precision_left(positives, rules) * positives,
        scale * scale,
        f(1) + mean,
    )
    spread = squares + weight * centre * centre
    if rules.adaptive:
        concentration = block[CONCENTRATION * BLOCK + i]
        quadratic = weight * (concentration + f(2) * positives)
        linear = positives * (concentration * square - f(2) * weight * centre)
        root = np.sqrt(linear * linear + f(4) * quadratic * concentration * spread)
        return f(0.5) * (root - linear) / quadratic - f(1)
    if rules.growth > f(0):
        linear = positives * square
        root = np.sqrt(linear * linear + f(4) * spread * weight)
        return f(2) * spread / (linear + root) - f(1)
    return mean


@inlined
def newton_step(y, block, i, rules):
    """Step towards the peak in y = log(1 + u): the new y, the peak's width, and the step."""
    mean, dispersion = block[MEAN * BLOCK + i], block[DISPERSION * BLOCK + i]
    positives = block[POSITIVES * BLOCK + i]
    half, weight = f(0.5) * positives, precision_left(positives, rules) * positives
    v = exp(y)
    u = v - f(1)
    above, below = u + dispersion - f(0.5), u + f(0.5)
    slope = log(above / below) - log1p(dispersion / mean)
    curvature = f(1) / above - f(1) / below
    variance = variance_at(u, block, i, rules)
    per_v = rules.growth / (f(1) + rules.growth * u)
    pull = weight * (u - block[CENTRE * BLOCK + i])
    half_squares = f(0.5) * squared_deviations(u, block, i, rules)
    prior_half = f(0.5) * block[CONCENTRATION * BLOCK + i]
    total = variance + half_squares
    score = (variance * per_v + pull) / total
    averaged_slope = prior_half * per_v - (prior_half + half) * score
    averaged_curvature = (prior_half + half) * (score * score - weight / total)
    averaged_curvature -= prior_half * per_v * per_v
    push = (pull - half_squares * per_v) / variance
    fixed_curvature = half * per_v * per_v - weight / variance + f(2) * push * per_v
    slope += averaged_slope if rules.adaptive else -half * per_v - push
    curvature += averaged_curvature if rules.adaptive else fixed_curvature
    slope = slope * v + f(1)
    curvature = curvature * v * v + slope - f(1)
    sign = f(1) if slope > f(0) else f(-1)
    step = -slope / curvature if curvature < f(0) else sign
    step = max(f(-1), min(step, f(1)))
    width = f(1) / np.sqrt(max(-curvature, f(0.25)))
    return max(y + step, _LOG_TWO), width, step


@inlined
def window_end(y, peak, width, cut, block, i, rules):
    """Go from the peak in steps of its width until the summand is cut off."""
    end = y + width * np.sqrt(f(2) * cut)
    # A first guess can be far too large where the peak is at u = 1; the last steps only go on.
    for smallest in (f(0.2), f(0.4), f(1)):
        drop = max(peak - height(max(end, _LOG_TWO), block, i, rules), f(0.3))
        stretch = np.sqrt(f(1.3) * cut / drop)
        end = y + (end - y) * max(smallest, min(stretch, f(3)))
    return max(end, _LOG_TWO)


@inlined
def favour_of_zeros(y, block, i, rules):
    """Bound how much more likely the zeros are at y = log(1 + u) than at large counts, in nats."""
    location, spread = ratio_at(exp(y) - f(1), block, i, rules)
    lowest = location - f(4) * np.sqrt(spread)
    # Bound of the normal tail within a hundredth of it.
    far = max(lowest, f(0))
    log_tail = -f(0.5) * far * far - log(far + np.sqrt(far * far + f(2.5465))) - f(0.2258)
    log_tail = min(log_tail, f(0)) if lowest > f(0) else f(0)
    return block[ZEROS * BLOCK + i] * softplus(log_tail - block[LOGITS * BLOCK + i])


@inlined
def ratio_at(u, block, i, rules):
    """Mode and variance, about, of r = e / sigma given u and the bootstraps that are not zero."""
    positives, variance = block[POSITIVES * BLOCK + i], variance_at(u, block, i, rules)
    remaining = f(1) / (f(1) + positives)
    expectation = (u + positives * block[CENTRE * BLOCK + i]) * remaining
    expectation = expectation if rules.shared else u
    remaining = remaining if rules.shared else f(0)
    concentration = f(0.5) * (block[CONCENTRATION * BLOCK + i] + positives)
    rate = (variance + f(0.5) * squared_deviations(u, block, i, rules)) / concentration
    mode = expectation / np.sqrt(rate if rules.adaptive else variance)
    scatter = f(0.25) * mode * mode / concentration
    return mode, remaining + (scatter if rules.adaptive else f(0))


@inlined
def find_peaks(block, rules):
    """Climb to the peak of every entry's summand."""
    for i in range(BLOCK):
        some = block[POSITIVES * BLOCK + i] > f(0)
        data = data_peak(block, i, rules) if some else f(0)
        start = max(data if some else block[MEAN * BLOCK + i], f(1))
        y = log1p(start)
        for _ in range(_NEWTON_STEPS):
            y, width, step = newton_step(y, block, i, rules)
        settled = (abs(step) < f(0.1) * width) | (y <= _LOG_TWO)
        peak = height(y, block, i, rules)
        # What is next to nothing beside u = 0 need not be summed either.
        mass = peak + log(f(2.5) * width)
        at_zero = height_at_zero(block, i, rules)
        block[PEAK * BLOCK + i] = y
        block[WIDTH * BLOCK + i] = width if settled else f(-1)
        block[CUT * BLOCK + i] = max(_CUT - max(at_zero - mass, f(0)), f(1))
        block[MASS * BLOCK + i] = logaddexp(mass, at_zero)


@inlined
def find_windows(block, rules):
    """Find where every entry must be summed and on how many panels; infinite where none will do."""
    for i in range(BLOCK):
        y, width, cut = block[PEAK * BLOCK + i], block[WIDTH * BLOCK + i], block[CUT * BLOCK + i]
        peak = height(y, block, i, rules)
        settled = (width > f(0)) & (abs(peak) < f(1e30))
        width = abs(width)
        some = block[POSITIVES * BLOCK + i] > f(0)
        high = window_end(y, peak, width, cut, block, i, rules)
        favour = f(0)
        if rules.rectified:
            guess = max(y - width * np.sqrt(f(2) * cut), _LOG_TWO)
            favour = favour_of_zeros(guess, block, i, rules)
        low = window_end(y, peak, -width, cut + f(1.5) * favour, block, i, rules)
        if rules.rectified:
            favour = favour_of_zeros(low, block, i, rules)
        low = low if some else _LOG_TWO
        first = max(np.floor(exp(low) - f(1)), f(1))
        last = max(np.ceil(exp(high) - f(1)), first)
        # Far from the prior there may be a second peak on the way to it.
        places = data_peak(block, i, rules), block[MEAN * BLOCK + i], f(1), np.sqrt(first)
        lowest = block[MASS * BLOCK + i] - _CUT + f(2)
        below = peak - height(low, block, i, rules) > cut - f(1) + favour
        good = peak - height(high, block, i, rules) > cut - f(1)
        good = good & settled & (below | (low <= _LOG_TWO))
        good = good & ~hides(places, first, last, lowest, block, i, rules)
        extent = log((last + f(1.5)) / (first + f(0.5)))
        panels = extent / min(_PANEL_DEVIATIONS * width, _PANEL_LOG_WIDTH)
        panels = min(panels, (last - first + f(1)) * f(1 / 3))
        # Where tails are heavy all counts from 1 on are summed, on panels that grow with the
        # distance from the peak. What the prior makes likely must not be lost on the way there.
        mean, dispersion = block[MEAN * BLOCK + i], block[DISPERSION * BLOCK + i]
        end = log1p(max(prior_end(block, i), exp(y + _WIDER * (high - y)) - f(1)))
        reached = peak - height(end, block, i, rules) > cut - f(1)
        prior_width = prior_width_of(block, i)
        wide = prior_width > f(0.3) * abs(log1p(mean) - y)
        stretched = asinh((y - _LOG_TWO) / width) + asinh((end - y) / width)
        # Next to u = 1 the prior can be steep: then its panels must not be far from the peak.
        steep = dispersion <= f(0.5)
        wide = wide & (~steep | (y < f(5)))
        stretched *= _PANELS_PER_STRETCH * (f(2) if steep else f(1))
        # Without a bootstrap that is not zero there is the prior alone to go by.
        alone = ~good & ~some
        end = log1p(prior_end(block, i)) if alone else end
        even = (end - _LOG_TWO) / min(_PANEL_DEVIATIONS * prior_width, _PANEL_LOG_WIDTH)
        settled = alone | good | (settled & reached & wide)
        panels = even if alone else (panels if good else stretched)
        block[FIRST * BLOCK + i] = first if good else f(1)
        block[LAST * BLOCK + i] = last if good else np.ceil(exp(end) - f(1))
        block[PANELS * BLOCK + i] = panels if settled else f(np.inf)
        block[SPAN * BLOCK + i] = f(0) if good | alone else width


@inlined
def prior_width_of(block, i):
    """Width of the negative binomial in log(1 + u), about: its coefficient of variation."""
    return np.sqrt(f(1) / block[MEAN * BLOCK + i] + f(1) / block[DISPERSION * BLOCK + i])


@inlined
def prior_end(block, i):
    """Count beyond which the negative binomial holds next to nothing."""
    mean = block[MEAN * BLOCK + i]
    excess = f(1) + mean / block[DISPERSION * BLOCK + i]
    return np.ceil(mean + f(6) * np.sqrt(mean * excess) + f(10) * excess)


@inlined
def hides(places, first, last, lowest, block, i, rules):
    """Tell whether the summand is not small at one of four counts outside the window."""
    hidden = False
    for k in range(4):
        u = max(places[k], f(1))
        outside = (u < first - f(1)) | (u > last + f(1))
        hidden |= outside & (height(log1p(u), block, i, rules) > lowest)
    return hidden


@inlined
def reach_over_prior(block, rules):
    """Let windows hold all counts that the negative binomial alone makes likely, too.

    Where u = 0 is out of the question, so is a count that was dropped, and nothing changes.
    """
    for i in range(BLOCK):
        first, last = block[FIRST * BLOCK + i], block[LAST * BLOCK + i]
        panels, width = block[PANELS * BLOCK + i], abs(block[WIDTH * BLOCK + i])
        mass = height(block[PEAK * BLOCK + i], block, i, rules) + log(f(2.5) * width)
        odds = height_at_zero(block, i, rules) - mass
        if rules.rectified:
            odds += favour_of_zeros(f(0), block, i, rules)
        # Stretched windows reach as far already.
        reaching = ((first <= f(1)) | (odds > -_CUT)) & (block[SPAN * BLOCK + i] <= f(0))
        end = max(last, prior_end(block, i))
        # Windows of few counts are enumerated, on panels that need not be fine.
        fine = max(panels, min(last - first + f(1), f(12)))
        prior_width = prior_width_of(block, i)
        size = min(log((last + f(0.5)) / (first - f(0.5))) / fine, _PANEL_LOG_WIDTH)
        size = min(size, _PANEL_DEVIATIONS * prior_width)
        even = min(log((end + f(0.5)) / f(1.5)) / size, end * f(1 / 3))
        # A peak that is narrow beside all that gets panels that grow with the distance from it, to
        # no more than the prior's width where the prior is.
        y = block[PEAK * BLOCK + i]
        away = log1p(block[MEAN * BLOCK + i]) - y
        finer = np.sqrt(width * width + away * away) / (_PANEL_DEVIATIONS * prior_width)
        stretched = asinh((y - _LOG_TWO) / width) + asinh(max(log1p(end) - y, f(0)) / width)
        stretched *= max(_PANELS_PER_STRETCH, finer)
        narrow = reaching & (even > f(20)) & (stretched < even)
        more = stretched if narrow else even
        block[FIRST * BLOCK + i] = f(1) if reaching else first
        block[LAST * BLOCK + i] = end if reaching else last
        block[PANELS * BLOCK + i] = more if reaching & (panels < f(np.inf)) else panels
        block[SPAN * BLOCK + i] = width if narrow else block[SPAN * BLOCK + i]
