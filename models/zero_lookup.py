"""The zero factor of entries, from tables: compiled loops over blocks of entries, for float32.

Of an entry's tables (:mod:`exvae.models.zero_surface`) first a row is made, interpolated in the
concentration and the logit, which holds the bump and its slopes at every mode; it is then
interpolated at the counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import zero_surface as surface
from .entry_blocks import (
    BLOCK,
    CENTRE,
    CONCENTRATION,
    COUNT,
    LAST,
    LOGIT,
    LOGITS,
    MODE,
    PAST,
    PEAK,
    POSITIVES,
    READ,
    ROOT,
    ZEROS,
    precision_left,
    prior_end,
    ratio_at,
    squared_deviations,
    variance_at,
)
from .float32_math import exp, f, inlined, log, softplus_and_slope

_PER_SPACING = f(1 / surface.MODE_SPACING)
# Modes are looked up so many at a time, which compilers make one instruction.
_LANES = 16
# Numbers that an entry's zero factor is interpolated from: values, slopes in logit and nu.
ROWS = 3 * surface.NUM_MODES
# What becomes of an entry: summed; left to others; to be summed once its tables are there; to be
# summed again, for much of it was overlooked.
SUMMED, UNFIT, MISSING, OVERLOOKED = 0, 1, 2, 3


# Where entries lie in the tables


class Place(NamedTuple):
    """Where an entry lies in the tables: numbers of bootstraps, and between which nodes."""

    zeros: int
    positives: int
    root: int
    past_root: np.float32
    logit: int
    past_logit: np.float32


@inlined
def find_places(block, rules):
    """Find all entries of a block in the tables; where there can be no table, the logit is -1."""
    for i in range(BLOCK):
        zeros, positives = block[ZEROS * BLOCK + i], block[POSITIVES * BLOCK + i]
        logit = block[LOGITS * BLOCK + i] - f(surface.LOWEST_LOGIT)
        logit *= f(1 / surface.LOGIT_SPACING)
        root = exp(log(block[CONCENTRATION * BLOCK + i]) * f(1 / 3)) - f(surface.LOWEST_ROOT)
        root *= f(1 / surface.ROOT_SPACING)
        root = root if rules.adaptive else f(0)
        inside = (logit >= f(0)) & (logit < f(surface.NUM_LOGITS - 1))
        inside &= (root >= f(0)) & (root <= f(surface.NUM_ROOTS - 1))
        inside &= max(zeros, positives) <= f(surface.LARGEST_COUNT)
        # Numbers of bootstraps that are not whole are in no table.
        inside &= (zeros == np.floor(zeros)) & (positives == np.floor(positives))
        block[ROOT * BLOCK + i] = root
        block[LOGIT * BLOCK + i] = logit if inside else f(-1)


@inlined
def place_of(block, i, rules):
    """Find an entry in the tables."""
    logit, root = block[LOGIT * BLOCK + i], block[ROOT * BLOCK + i]
    lowest = np.int64(0)
    if rules.adaptive:
        lowest = min(max(np.int64(root), np.int64(1)), np.int64(surface.NUM_ROOTS - 3))
    positives = np.int64(block[POSITIVES * BLOCK + i]) if rules.shared or rules.adaptive else 0
    low = np.int64(logit)
    return Place(
        np.int64(block[ZEROS * BLOCK + i]), positives, lowest, root - f(lowest), low, logit - f(low)
    )


@inlined
def find_ranges(block, rules):
    """Find between which modes the zero factor of every entry is needed."""
    for i in range(BLOCK):
        turn = mode_turn(block, i, rules)
        end = furthest_count(block, i)
        turn = max(f(0), min(turn, end))
        lowest, highest = f(1e30), f(0)
        for u in (f(0), turn, end):
            mode, _ = ratio_at(u, block, i, rules)
            lowest, highest = min(lowest, mode), max(highest, mode)
        last = f(surface.NUM_MODES - 1)
        block[MODE * BLOCK + i] = min(log(f(1) + lowest) * _PER_SPACING, last)
        block[PAST * BLOCK + i] = min(log(f(1) + highest) * _PER_SPACING, last)


@inlined
def furthest_count(block, i):
    """Count up to which the zero factor is needed: beyond the window where zeros may pull.

    That is where some bootstraps are zero and others are not.
    """
    last, peak = block[LAST * BLOCK + i], block[PEAK * BLOCK + i]
    high = log(f(1) + last)
    further = max(prior_end(block, i), exp(high + max(f(0.5) * (high - peak), f(2.5))) - f(1))
    return max(further, last) if block[POSITIVES * BLOCK + i] > f(0) else last


@inlined
def mode_turn(block, i, rules):
    """Count where the mode of r turns, as ``bootstrap_likelihood.largest_scale``; may be any."""
    positives, centre = block[POSITIVES * BLOCK + i], block[CENTRE * BLOCK + i]
    offset = positives * centre if rules.shared else f(0)
    quadratic = f(0.5) * precision_left(positives, rules) * positives
    prior = variance_at(f(0), block, i, rules)
    linear = prior * rules.growth - f(2) * quadratic * centre
    constant = prior + f(0.5) * squared_deviations(f(0), block, i, rules)
    if not rules.adaptive:
        quadratic, linear, constant = f(0), prior * rules.growth, prior
    turn = (offset * linear - f(2) * constant) / (linear - f(2) * quadratic * offset)
    return turn if abs(turn) < f(1e30) else f(0)


@inlined
def look_up(i, rows, slabs, values, block, rules):
    """Interpolate the tables in concentration and logit: an entry's row of values and slopes."""
    place = place_of(block, i, rules)
    p = place.past_logit
    rest = f(1) - p
    # Hermite's cubic in the logit: weights of values and slopes, and the derivatives of these.
    spacing = f(surface.LOGIT_SPACING)
    basis = Basis(
        rest * rest * (f(1) + f(2) * p),
        rest * rest * p * spacing,
        p * p * (f(3) - f(2) * p),
        -p * p * rest * spacing,
        f(6) * p * rest / spacing,
        rest * (f(1) - f(3) * p),
        p * (f(3) * p - f(2)),
    )
    # The cubic in x reaches one before and two after, its check one further; one more on each side
    # for rounding.
    low = np.int64(block[MODE * BLOCK + i]) - 3
    high = np.int64(block[PAST * BLOCK + i]) + 5
    low = max(min(low, surface.NUM_MODES - 6), 0) // _LANES * _LANES
    high = min(max(high, 7), surface.NUM_MODES)
    steps = (high - low + _LANES - 1) // _LANES * _LANES
    to = i * ROWS + low
    at = 2 * surface.NUM_MODES * place.logit + low
    slab = slabs[place.zeros, place.positives]
    if rules.adaptive:
        weights, slopes = cubic_weights(place.past_root)
        root = f(surface.LOWEST_ROOT / surface.ROOT_SPACING) + f(place.root) + place.past_root
        scale = root / (f(3) * block[CONCENTRATION * BLOCK + i])
        first = np.int64(slab[place.root - 1]) * surface.SLAB + at
        add_slab(True, weights[0], slopes[0] * scale, basis, first, values, to, rows, steps)
        first = np.int64(slab[place.root]) * surface.SLAB + at
        add_slab(False, weights[1], slopes[1] * scale, basis, first, values, to, rows, steps)
        first = np.int64(slab[place.root + 1]) * surface.SLAB + at
        add_slab(False, weights[2], slopes[2] * scale, basis, first, values, to, rows, steps)
        first = np.int64(slab[place.root + 2]) * surface.SLAB + at
        add_slab(False, weights[3], slopes[3] * scale, basis, first, values, to, rows, steps)
    else:
        first = np.int64(slab[0]) * surface.SLAB + at
        add_slab(True, f(1), f(0), basis, first, values, to, rows, steps)


class Basis(NamedTuple):
    """Weights of value and slope before and after, and of their sum's derivative.

    In the derivative both values have the same weight, but for its sign.
    """

    value: np.float32
    slope: np.float32
    value_after: np.float32
    slope_after: np.float32
    rise: np.float32
    turn: np.float32
    turn_after: np.float32


@inlined
def add_slab(new, weight, slope, basis, first, values, to, rows, steps):
    """Add a slab's row, interpolated in the logit, to a row of values and slopes."""
    # Positions without a sign: those with one may count from the end, which is a branch.
    at, base, size = np.uint64(first), np.uint64(to), np.uint64(surface.NUM_MODES)
    for j in range(np.uint64(steps)):
        value, change = values[at + j], values[at + size + j]
        after = at + size + size + j
        value_after, change_after = values[after], values[after + size]
        own = basis.value * value + basis.slope * change
        own += basis.value_after * value_after + basis.slope_after * change_after
        by_logit = basis.rise * (value_after - value)
        by_logit += basis.turn * change + basis.turn_after * change_after
        rows[base + j] = weight * own + (f(0) if new else rows[base + j])
        place = base + size + j
        rows[place] = weight * by_logit + (f(0) if new else rows[place])
        place = place + size
        rows[place] = slope * own + (f(0) if new else rows[place])


@inlined
def find_tables(i, slabs, missing, block, rules):
    """Tell whether the tables that an entry needs are there; mark those that are not."""
    if block[LOGIT * BLOCK + i] < f(0):
        return UNFIT
    place = place_of(block, i, rules)
    became = SUMMED
    lowest = max(place.root - 1, 0)
    for k in range(4 if rules.adaptive else 1):
        if slabs[place.zeros, place.positives, lowest + k] < 0:
            missing[place.zeros, place.positives, lowest + k] = True
            became = MISSING
    return became


# The zero factor at counts


@inlined
def cubic_weights(t):
    """Weights of values at -1, 0, 1 and 2 in the cubic through them at t, and their slopes."""
    before, after, further = t + f(1), t - f(1), t - f(2)
    lower, upper = t * after, before * further
    return (
        f(-1 / 6) * lower * further,
        f(0.5) * upper * after,
        f(-0.5) * upper * t,
        f(1 / 6) * lower * before,
    ), (
        f(-1 / 6) * (lower + further * (t + after)),
        f(0.5) * (upper + after * (before + further)),
        f(-0.5) * (upper + t * (before + further)),
        f(1 / 6) * (lower + before * (t + after)),
    )


@inlined
def read_tables(rows, block, rules):
    """Read the zero factor's bump, and its slopes, around the counts of a block."""
    for i in range(BLOCK):
        mode, _ = ratio_at(block[COUNT * BLOCK + i], block, i, rules)
        x = min(log(f(1) + mode) * _PER_SPACING, f(surface.NUM_MODES - 1))
        place = min(max(np.floor(x), f(1)), f(surface.NUM_MODES - 3))
        block[MODE * BLOCK + i] = mode
        block[PAST * BLOCK + i] = x - place
        block[READ * BLOCK + i] = place
        block[(READ + 1) * BLOCK + i] = place + node_below(x - place)
    # By itself: reads from places that are computed are not vectorised.
    size = surface.NUM_MODES
    for i in range(BLOCK):
        at = np.uint64(i * ROWS + np.int64(block[READ * BLOCK + i]))
        below = np.uint64(i * ROWS + np.int64(block[(READ + 1) * BLOCK + i]))
        for j in range(4):
            block[(READ + j) * BLOCK + i] = rows[at + np.uint64(j) - np.uint64(1)]
        for j in range(2):
            block[(READ + 4 + j) * BLOCK + i] = rows[below + np.uint64(size + j)]
            block[(READ + 6 + j) * BLOCK + i] = rows[below + np.uint64(2 * size + j)]


@inlined
def read_bump(rows, block, rules):
    """Read the zero factor's bump around the counts of a block, without its slopes.

    From two modes before to three after: enough for the error of a cubic, too.
    """
    for i in range(BLOCK):
        mode, _ = ratio_at(block[COUNT * BLOCK + i], block, i, rules)
        x = min(log(f(1) + mode) * _PER_SPACING, f(surface.NUM_MODES - 1))
        place = min(max(np.floor(x), f(2)), f(surface.NUM_MODES - 4))
        block[MODE * BLOCK + i] = mode
        block[PAST * BLOCK + i] = x - place
        block[READ * BLOCK + i] = place
    for i in range(BLOCK):
        at = np.uint64(i * ROWS + np.int64(block[READ * BLOCK + i]) - 2)
        for j in range(6):
            block[(READ + j) * BLOCK + i] = rows[at + np.uint64(j)]


@inlined
def bump_read(block, i):
    """Log of the bump that was read by :func:`read_bump`."""
    weights, _ = cubic_weights(block[PAST * BLOCK + i])
    bump = f(0)
    for j in range(4):
        bump += weights[j] * block[(READ + 1 + j) * BLOCK + i]
    both = f(0.5) * (block[CONCENTRATION * BLOCK + i] + block[POSITIVES * BLOCK + i])
    mode = block[MODE * BLOCK + i]
    power = log(max(mode, f(surface.LARGEST_MODE)) * f(1 / surface.LARGEST_MODE))
    return bump - f(2) * both * power


@inlined
def node_below(t):
    """Of nodes -1, 0, 1 and 2, the one where the interval begins in which t lies."""
    return max(f(-1), min(np.floor(t), f(1)))


@inlined
def zeros_at(share, block, i, rules):
    """Log of the zero factor over pi^m0, and its slopes in log f, nu and the logit."""
    # Cubic in x through the four modes around; linear for the slopes.
    t = block[PAST * BLOCK + i]
    weights, slopes = cubic_weights(t)
    bump = slope = f(0)
    for j in range(4):
        bump += weights[j] * block[(READ + j) * BLOCK + i]
        slope += slopes[j] * block[(READ + j) * BLOCK + i]
    share_after = t - node_below(t)
    by_logits, after = block[(READ + 4) * BLOCK + i], block[(READ + 5) * BLOCK + i]
    by_logits += share_after * (after - by_logits)
    by_concentration, after = block[(READ + 6) * BLOCK + i], block[(READ + 7) * BLOCK + i]
    by_concentration += share_after * (after - by_concentration)
    # Beyond the tables the bump falls as a power of the scale.
    mode, concentration = block[MODE * BLOCK + i], block[CONCENTRATION * BLOCK + i]
    both = f(0.5) * (concentration + block[POSITIVES * BLOCK + i])
    power = log(max(mode, f(surface.LARGEST_MODE)) * f(1 / surface.LARGEST_MODE))
    bump -= f(2) * both * power
    by_mode = slope * _PER_SPACING * mode / (f(1) + mode)
    by_mode = f(-2) * both if mode > f(surface.LARGEST_MODE) else by_mode
    factor, odds = softplus_and_slope(bump)
    push = odds * by_mode
    by_concentration = odds * (by_concentration - power)
    by_concentration += f(0.5) * push * (f(0.5) / both - share / concentration)
    by_scale = -push * (share if rules.adaptive else f(1))
    return factor, by_scale, by_concentration, odds * by_logits
