"""Entries whose zeros draw the count away from where their other bootstraps have it.

:func:`~.entry_blocks.find_windows` looks at the summand without the zero factor. Of entries with
bootstraps that are zero and others that are not most of the summand may lie elsewhere, or be
narrower. They are told apart after they were summed, and summed again over all counts, on panels
around the peak of the whole summand. What that cannot sum, or what lies where the tables of the
zero factor bend too sharply to be interpolated, is left to the adaptive quadrature.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from .entry_blocks import (
    BLOCK,
    BY_DROPOUT,
    CENTRE_OF_PANEL,
    COUNT,
    DISPERSION,
    DISTANCE,
    DROPOUT,
    EDGE,
    FIRST,
    INNER,
    LAST,
    LOGIT,
    MEAN,
    OUTER,
    PANELS,
    PEAK,
    POSITIVES,
    READ,
    ROOT,
    SPAN,
    TOTAL,
    WEIGHT,
    WIDTH,
    ZEROS,
    density_constant,
    height,
    newton_step,
    prior_constant,
)
from .float32_math import (
    OPTIONS,
    asinh,
    exp,
    f,
    inlined,
    log,
    log1p,
    sigmoid,
    softplus,
    softplus_and_slope,
)
from .zero_lookup import (
    OVERLOOKED,
    SUMMED,
    UNFIT,
    bump_read,
    furthest_count,
    mode_turn,
    read_bump,
)

_LOG_TWO = f(math.log(2))
# What lies outside a window must be so many nats less than all.
_NEGLIGIBLE = f(6)
# How much zeros may draw at a peak, in its standard deviations.
_LARGEST_DRAW, _LARGEST_DRAW_STRETCHED = f(1.5), f(0.5)
# By how many nats all may be more than what is within a standard deviation of the peak, if that is
# where most is.
_LARGEST_EXCESS = f(2.5)
# At how many counts the summand is looked at: by the peak, at the ends of the window, beyond them,
# where zeros draw in neither direction, at zero, and at the prior mean.
_BELOW, _BY_PEAK, _ABOVE, _TURN, _ZERO, _MEAN = (0, 1, 2), (3, 4), (5, 6, 7, 8), 9, 10, 11
LOOKS = 12
_CHECKED = (3, 4, 10)
# At how many counts the peak of the whole summand is looked for, and how often closer.
_STEPS, _CLOSER_STEPS, _TIMES_CLOSER = 64, 6, 4
# By how many nats interpolated tables may err, about, and which share of their fourth differences
# is taken for their error.
_LARGEST_ERROR, _ERROR_SHARE = f(1e-2), f(0.03)
# With up to so many zeros and no other bootstrap tables are always interpolated well enough; with
# an error that is shared, with more.
_MANY_ZEROS, _MANY_ZEROS_SHARED = f(40), f(120)
# How often steps from the peak are doubled until the summand has fallen.
_DOUBLINGS = 18
_PANELS_PER_STRETCH = f(1.6)


@inlined
def empty_looks():
    """Give room for what is found at all counts that are looked at, of a block.

    Those are positions log(1 + u), heights of the summand without the zero factor, what zeros
    gain, and how much that may err.
    """
    return np.empty((4, LOOKS, BLOCK), np.float32)


@inlined
def many_zeros(block, i, rules):
    """Tell whether an entry has more zeros than tables are always good enough for."""
    return block[ZEROS * BLOCK + i] > (_MANY_ZEROS_SHARED if rules.shared else _MANY_ZEROS)


@inlined
def needs_judging(size, block, rules):
    """Tell whether any of the first entries of a block has zeros and others, or many zeros."""
    needed = False
    for i in range(size):
        needed |= (block[POSITIVES * BLOCK + i] > f(0)) | many_zeros(block, i, rules)
    return needed


@inlined
def look(k, looks, rows, block, rules):
    """Find the summand at counts: its height without the zero factor, and what zeros gain.

    Of the prior mean only the height is needed, of zero and of where the mode turns only the gain.
    """
    # Loops over one array alone are vectorised.
    for i in range(BLOCK):
        block[WEIGHT * BLOCK + i] = looks[0, k, i]
    if k != _MEAN:
        for i in range(BLOCK):
            block[COUNT * BLOCK + i] = exp(block[WEIGHT * BLOCK + i]) - f(1)
        read_bump(rows, block, rules)
        for i in range(BLOCK):
            block[COUNT * BLOCK + i] = softplus(bump_read(block, i))
        for i in range(BLOCK):
            looks[2, k, i] = block[COUNT * BLOCK + i]
    if k not in (_TURN, _ZERO):
        for i in range(BLOCK):
            block[WEIGHT * BLOCK + i] = height(block[WEIGHT * BLOCK + i], block, i, rules)
        for i in range(BLOCK):
            looks[1, k, i] = block[WEIGHT * BLOCK + i]


@inlined
def table_error(block, i):
    """How much the bump that was read last may err for its table is interpolated, about."""
    below, above = fourth_difference(READ, block, i), fourth_difference(READ + 1, block, i)
    _, odds = softplus_and_slope(block[(READ + 2) * BLOCK + i])
    return _ERROR_SHARE * odds * max(abs(below), abs(above))


@inlined
def fourth_difference(field, block, i):
    """Fourth difference of five fields of an entry."""
    outer = block[field * BLOCK + i] + block[(field + 4) * BLOCK + i]
    inner = block[(field + 1) * BLOCK + i] + block[(field + 3) * BLOCK + i]
    return outer + f(6) * block[(field + 2) * BLOCK + i] - f(4) * inner


@numba.njit(**OPTIONS)
def judge(size, nodes, rows, block, rules, looks, verdict):
    """Tell what becomes of the first entries of a block, whose sums are done.

    ``OVERLOOKED`` are entries of which much of the summand may lie outside their windows, or whose
    panels may not be where it is largest; ``UNFIT`` those whose tables cannot be trusted.

    Parameters
    ----------
    size
        How many entries.
    nodes
        How many counts above zero each was summed on.
    rows, block, rules
        Of the block, with the results of the sums.
    looks
        Room, of :func:`empty_looks`.
    verdict
        To be written, shape (BLOCK,), int8.
    """
    for i in range(BLOCK):
        peak = block[PEAK * BLOCK + i]
        _, width, _ = newton_step(peak, block, i, rules)
        high = log1p(block[LAST * BLOCK + i])
        end = max(log1p(furthest_count(block, i)), high)
        block[EDGE * BLOCK + i] = log1p(block[FIRST * BLOCK + i])
        block[CENTRE_OF_PANEL * BLOCK + i] = high
        block[DISTANCE * BLOCK + i] = end
        block[OUTER * BLOCK + i] = max(peak - width, _LOG_TWO)
        block[INNER * BLOCK + i] = peak + width
        turn = max(f(1), min(mode_turn(block, i, rules), exp(end) - f(1)))
        block[ROOT * BLOCK + i] = log1p(turn)
        block[LOGIT * BLOCK + i] = log1p(max(block[MEAN * BLOCK + i], f(1)))
    for i in range(BLOCK):
        low, high = block[EDGE * BLOCK + i], block[CENTRE_OF_PANEL * BLOCK + i]
        end = block[DISTANCE * BLOCK + i]
        looks[0, 0, i] = _LOG_TWO
        looks[0, 1, i] = f(0.5) * (_LOG_TWO + low)
        looks[0, 2, i] = low
        looks[0, 3, i] = block[OUTER * BLOCK + i]
        looks[0, 4, i] = block[INNER * BLOCK + i]
        looks[0, 5, i] = high
        looks[0, 6, i] = high + f(0.05) * (end - high)
        looks[0, 7, i] = high + f(0.2) * (end - high)
        looks[0, 8, i] = end
        looks[0, _TURN, i] = block[ROOT * BLOCK + i]
        looks[0, _ZERO, i] = f(0)
        looks[0, _MEAN, i] = block[LOGIT * BLOCK + i]
    below = False
    for i in range(BLOCK):
        below |= block[FIRST * BLOCK + i] > f(1)
    for k in range(LOOKS):
        if below | (k > 2):
            look(k, looks, rows, block, rules)
        if k in _CHECKED:
            for i in range(BLOCK):
                block[WEIGHT * BLOCK + i] = table_error(block, i)
            for i in range(BLOCK):
                looks[3, k, i] = block[WEIGHT * BLOCK + i]
    for i in range(BLOCK):
        all_ = block[TOTAL * BLOCK + i] - density_constant(block, i, rules)
        all_ += softplus(block[DROPOUT * BLOCK + i])
        all_ -= prior_constant(block[MEAN * BLOCK + i], block[DISPERSION * BLOCK + i])
        block[EDGE * BLOCK + i] = all_
        block[DISTANCE * BLOCK + i] = share_of_zero(block, i)
        width = f(0.5) * (block[INNER * BLOCK + i] - block[OUTER * BLOCK + i])
        block[OUTER * BLOCK + i] = log(max(width, f(1e-30)))
    for i in range(size):
        all_ = block[EDGE * BLOCK + i]
        first, last = block[FIRST * BLOCK + i], block[LAST * BLOCK + i]
        outside = f(-1e30)
        if first > f(1):
            for k in range(2):
                outside = max(outside, most_between(k, looks, i))
        outside = max(outside, most_above(looks, i))
        draw = f(0.5) * abs(looks[2, 3, i] - looks[2, 4, i])
        stretched = block[SPAN * BLOCK + i] > f(0)
        drawn = draw > (_LARGEST_DRAW_STRETCHED if stretched else _LARGEST_DRAW)
        drawn = drawn & (last - first + f(1) > f(nodes))
        # Stretched panels are wide where they are far from the peak: there must not be more.
        near = max(looks[1, 3, i] + looks[2, 3, i], looks[1, 4, i] + looks[2, 4, i])
        near += block[OUTER * BLOCK + i]
        drawn = drawn | (stretched & (all_ > near + _LARGEST_EXCESS))
        mixed = (block[POSITIVES * BLOCK + i] > f(0)) & (block[ZEROS * BLOCK + i] > f(0))
        overlooked = mixed & ((outside > all_ - _NEGLIGIBLE) | drawn)
        error = max(looks[3, 3, i], looks[3, 4, i])
        error = max(error, block[DISTANCE * BLOCK + i] * looks[3, _ZERO, i])
        rough = (mixed | many_zeros(block, i, rules)) & (error > _LARGEST_ERROR)
        verdict[i] = OVERLOOKED if overlooked else (UNFIT if rough else SUMMED)


@inlined
def share_of_zero(block, i):
    """How much of the sum u = 0 is, from the slope in the dropout's logit."""
    mean, dispersion = block[MEAN * BLOCK + i], block[DISPERSION * BLOCK + i]
    dropout = block[DROPOUT * BLOCK + i]
    # That is what was dropped less the prior probability of that.
    dropped = block[BY_DROPOUT * BLOCK + i] + sigmoid(dropout)
    return dropped / max(sigmoid(dispersion * log1p(mean / dispersion) + dropout), f(1e-6))


@inlined
def most_between(k, looks, i):
    """Bound the summand between two counts next to each other that were looked at.

    Per unit of log(1 + u), of which there are not many between them.
    """
    start, end, turn = looks[0, k, i], looks[0, k + 1, i], looks[0, _TURN, i]
    gain = max(looks[2, k, i], looks[2, k + 1, i])
    gain = max(gain, looks[2, _TURN, i]) if start < turn < end else gain
    most, mean = max(looks[1, k, i], looks[1, k + 1, i]), looks[0, _MEAN, i]
    most = max(most, looks[1, _MEAN, i]) if start < mean < end else most
    return most + gain if end > start else f(-1e30)


@inlined
def most_above(looks, i):
    """Bound what lies above the window, as :func:`most_between`.

    Where the summand falls ever more steeply from the peak on, it is less than an exponential tail.
    """
    most, first_slope, last_slope, falls = f(-1e30), f(0), f(0), True
    for k in range(4, 8):
        rise = looks[1, k + 1, i] - looks[1, k, i] + (looks[2, k + 1, i] - looks[2, k, i])
        slope = rise / max(looks[0, k + 1, i] - looks[0, k, i], f(1e-6))
        falls &= (slope < last_slope) | (looks[0, k + 1, i] <= looks[0, k, i])
        first_slope = slope if k == 4 else first_slope
        last_slope = slope
        if k > 4:
            most = max(most, most_between(k, looks, i))
    at_end = looks[1, 5, i] + looks[2, 5, i]
    return at_end - log(max(-first_slope, f(1e-6))) if falls else most


@numba.njit(**OPTIONS)
def find_wide_windows(rows, block, rules):
    """Make windows of all counts, on panels around the peak of the whole summand.

    How many panels they need is written to ``PANELS``, infinite where there is no knowing.

    Parameters
    ----------
    rows, block, rules
        Of the block, with the windows found without zero factors.
    """
    search = np.empty((5, BLOCK), np.float32)
    best, most, reach, centre, end = search
    at, found = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for i in range(BLOCK):
        best[i] = at[i] = block[PEAK * BLOCK + i]
        reach[i] = f(2) * abs(block[WIDTH * BLOCK + i])
        end[i] = max(log1p(furthest_count(block, i)), f(1))
    find_summand(at, most, rows, block, rules)
    before = most.copy()
    for step in range(_STEPS + 1):
        for i in range(BLOCK):
            at[i] = _LOG_TWO + f(step / _STEPS) * (end[i] - _LOG_TWO)
        find_summand(at, found, rows, block, rules)
        for i in range(BLOCK):
            better = found[i] > most[i]
            best[i] = at[i] if better else best[i]
            reach[i] = f(1 / _STEPS) * (end[i] - _LOG_TWO) if better else reach[i]
            most[i] = found[i] if better else most[i]
    for _ in range(_TIMES_CLOSER):
        centre[:] = best
        for step in range(-_CLOSER_STEPS, _CLOSER_STEPS + 1):
            for i in range(BLOCK):
                at[i] = max(centre[i] + f(step / _CLOSER_STEPS) * reach[i], _LOG_TWO)
            find_summand(at, found, rows, block, rules)
            for i in range(BLOCK):
                best[i] = at[i] if found[i] > most[i] else best[i]
                most[i] = max(most[i], found[i])
        for i in range(BLOCK):
            reach[i] *= f(1 / _CLOSER_STEPS)
    span = centre
    for i in range(BLOCK):
        span[i] = end[i] - _LOG_TWO
    for side in (f(-1), f(1)):
        for doubling in range(_DOUBLINGS):
            for i in range(BLOCK):
                at[i] = max(best[i] + side * f(2**doubling) * reach[i], _LOG_TWO)
            find_summand(at, found, rows, block, rules)
            for i in range(BLOCK):
                away = f(0.7) * abs(at[i] - best[i])
                span[i] = min(span[i], away) if most[i] - found[i] > f(0.5) else span[i]
    error = np.zeros(BLOCK, np.float32)
    for side in (f(-1), f(1)):
        for i in range(BLOCK):
            at[i] = max(best[i] + side * span[i], _LOG_TWO)
        find_summand(at, found, rows, block, rules)
        for i in range(BLOCK):
            error[i] = max(error[i], table_error(block, i))
    for i in range(BLOCK):
        panels = asinh((best[i] - _LOG_TWO) / span[i])
        panels += asinh(max(end[i] - best[i], f(0)) / span[i])
        # A second peak, without which the first would be the only one, must not be overlooked.
        width, away = abs(block[WIDTH * BLOCK + i]), abs(block[PEAK * BLOCK + i] - best[i])
        second = before[i] + log(width) > most[i] + log(span[i]) - _NEGLIGIBLE - f(2)
        panels *= _PANELS_PER_STRETCH
        hidden = second & (width < f(0.1) * away)
        hidden |= error[i] > _LARGEST_ERROR
        block[FIRST * BLOCK + i] = f(1)
        block[LAST * BLOCK + i] = np.ceil(exp(end[i]) - f(1))
        block[PEAK * BLOCK + i] = best[i]
        block[SPAN * BLOCK + i] = span[i]
        block[PANELS * BLOCK + i] = f(np.inf) if hidden else panels


@inlined
def find_summand(at, found, rows, block, rules):
    """Find the summand at counts, per unit of their position log(1 + u)."""
    for i in range(BLOCK):
        block[COUNT * BLOCK + i] = exp(at[i]) - f(1)
    read_bump(rows, block, rules)
    for i in range(BLOCK):
        found[i] = height(at[i], block, i, rules) + softplus(bump_read(block, i))
