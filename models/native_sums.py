"""Sums over counts as compiled loops on the CPU, for float32.

The arithmetic is that of :mod:`exvae.models.fixed_nodes`. Windows are found for blocks of entries
(:mod:`exvae.models.entry_blocks`); then entries that need as many panels are summed side by side.
Nothing but parameters, statistics and results goes through memory. Entries that panels around one
peak cannot sum well enough are told apart and left to the adaptive quadrature.
"""

from __future__ import annotations

import numba
import numpy as np

from .entry_blocks import (
    BLOCK,
    BY_CONCENTRATION,
    BY_DISPERSION,
    BY_DROPOUT,
    BY_LOGITS,
    BY_MEAN,
    BY_SCALE,
    CENTRE_OF_PANEL,
    CONCENTRATION,
    COUNT,
    DISPERSION,
    DISTANCE,
    DROPOUT,
    EDGE,
    FIELDS,
    FIRST,
    INNER,
    INPUTS,
    KEPT,
    LARGEST,
    LAST,
    LOGITS,
    MEAN,
    OUTER,
    PANELS,
    PEAK,
    POSITIVES,
    READ,
    SCALE,
    SPAN,
    TOTAL,
    WEIGHT,
    ZEROS,
    density_constant,
    find_peaks,
    find_windows,
    log_prior_at_zero,
    prior_constant,
    prior_varying,
    squared_deviations,
    variance_at,
)
from .float32_math import (
    OPTIONS,
    asinh,
    digamma_excess,
    exp,
    f,
    inlined,
    log,
    log1p,
    logaddexp,
    sigmoid,
    softplus,
)
from .zero_lookup import (
    ROWS,
    SUMMED,
    UNFIT,
    find_places,
    find_ranges,
    find_tables,
    look_up,
    read_tables,
    zeros_at,
)


@inlined
def clear(block):
    """Start the sums of all entries of a block."""
    for i in range(BLOCK):
        block[EDGE * BLOCK + i] = block[FIRST * BLOCK + i] - f(1)
        block[LARGEST * BLOCK + i] = f(-1e30)
    for i in range(BLOCK):
        for field in range(TOTAL, READ):
            block[field * BLOCK + i] = f(0)


@inlined
def place_panel(panel, panels, stretched, block):
    """Go on to a panel of whole counts; its three nodes are those of ``quadrature.gram_nodes``.

    Panels are equal in log(u + 1/2), or, stretched, in the inverse hyperbolic sine of the distance
    from the peak; windows that are narrow are enumerated.
    """
    for i in range(BLOCK):
        first, last = block[FIRST * BLOCK + i], block[LAST * BLOCK + i]
        before, done = block[EDGE * BLOCK + i], f(panel + 1)
        start, end, share = log(first - f(0.5)), log(last + f(0.5)), done / f(panels)
        if stretched:
            peak, width = block[PEAK * BLOCK + i], block[SPAN * BLOCK + i]
            below, above = asinh(max(peak - start, f(0)) / width), asinh((end - peak) / width)
            z = share * above - (f(1) - share) * below
            position = peak + f(0.5) * width * (exp(z) - exp(-z))
        else:
            position = start + share * (end - start)
        enumerated = min(first + f(3) * done - f(0.5), last + f(0.5))
        narrow = last - first + f(1) <= f(3 * panels)
        edge = np.floor(enumerated if narrow else exp(position))
        edge = max(before, min(edge, last)) if panel + 1 < panels else last
        count = edge - before
        square = count * count
        distance = np.sqrt(max((f(3) * square - f(7)) * f(1 / 20), f(0.25)))
        outer = count * (square - f(1)) / (f(24) * distance * distance)
        several = count > f(1)
        outer = outer if several else f(0)
        block[EDGE * BLOCK + i] = edge
        block[CENTRE_OF_PANEL * BLOCK + i] = before + f(0.5) * (count + f(1))
        block[DISTANCE * BLOCK + i] = distance if several else f(0)
        block[OUTER * BLOCK + i] = outer
        block[INNER * BLOCK + i] = max(count - f(2) * outer, f(0))


@inlined
def place_count(index, block):
    """Go on to a count of windows that are enumerated."""
    for i in range(BLOCK):
        u = block[FIRST * BLOCK + i] + f(index)
        block[COUNT * BLOCK + i] = u
        block[WEIGHT * BLOCK + i] = f(1) if u <= block[LAST * BLOCK + i] else f(0)


@inlined
def place_node(side, block):
    """Go on to a node of a panel: the centre, or one on either side of it."""
    for i in range(BLOCK):
        u = block[CENTRE_OF_PANEL * BLOCK + i] + f(side) * block[DISTANCE * BLOCK + i]
        block[COUNT * BLOCK + i] = max(u, f(1))
        inner, outer = block[INNER * BLOCK + i], block[OUTER * BLOCK + i]
        block[WEIGHT * BLOCK + i] = inner if side == 0 else outer


@inlined
def node_density(u, block, i, rules):
    """Log density of the positive bootstraps, its slopes in log f and nu, and the prior's share."""
    half = f(0.5) * block[POSITIVES * BLOCK + i]
    prior_half = f(0.5) * block[CONCENTRATION * BLOCK + i]
    variance = variance_at(u, block, i, rules)
    excess = f(0.5) * squared_deviations(u, block, i, rules)
    whole = variance + excess
    inverse = f(1) / (variance * whole)
    ratio, share = excess * whole * inverse, variance * variance * inverse
    both, spread = prior_half + half, log(f(1) + ratio)
    density = -half * log(variance) - (both * spread if rules.adaptive else ratio)
    averaged = f(2) * (prior_half - both * share)
    by_scale = averaged if rules.adaptive else f(2) * (ratio - half)
    by_concentration = f(0.5) - f(0.5) * (spread + both * share / prior_half)
    return density, by_scale, by_concentration, share


@inlined
def add_nodes(zeros, block, rules):
    """Add a node of every entry to its sums; ``zeros`` tells whether entries have any."""
    for i in range(BLOCK):
        u, mean = block[COUNT * BLOCK + i], block[MEAN * BLOCK + i]
        term, dispersion = prior_varying(u, mean, block[DISPERSION * BLOCK + i])
        density, scale, concentration, share = node_density(u, block, i, rules)
        term += density
        logits = f(0)
        if zeros:
            more, more_scale, more_concentration, logits = zeros_at(share, block, i, rules)
            term += more
            scale += more_scale
            concentration += more_concentration
        # All sums are relative to the largest term so far, of nodes that count.
        weight = block[WEIGHT * BLOCK + i]
        rise = (term if weight > f(0) else f(-3e38)) - block[LARGEST * BLOCK + i]
        smaller, rises = exp(-abs(rise)), rise > f(0)
        largest = term if rises else block[LARGEST * BLOCK + i]
        kept = smaller if rises else f(1)
        weight *= f(1) if rises else smaller
        block[LARGEST * BLOCK + i] = largest
        block[TOTAL * BLOCK + i] = block[TOTAL * BLOCK + i] * kept + weight
        block[BY_MEAN * BLOCK + i] = block[BY_MEAN * BLOCK + i] * kept + weight * (u - mean)
        block[BY_DISPERSION * BLOCK + i] = (
            block[BY_DISPERSION * BLOCK + i] * kept + weight * dispersion
        )
        block[BY_SCALE * BLOCK + i] = block[BY_SCALE * BLOCK + i] * kept + weight * scale
        block[BY_LOGITS * BLOCK + i] = block[BY_LOGITS * BLOCK + i] * kept + weight * logits
        block[BY_CONCENTRATION * BLOCK + i] = (
            block[BY_CONCENTRATION * BLOCK + i] * kept + weight * concentration
        )


@inlined
def finish(zeros, block, rules):
    """Add u = 0; then ``TOTAL`` is the value, and what follows it the slopes in the parameters."""
    for i in range(BLOCK):
        mean, dispersion = block[MEAN * BLOCK + i], block[DISPERSION * BLOCK + i]
        dropout, logits = block[DROPOUT * BLOCK + i], block[LOGITS * BLOCK + i]
        concentration, positives = block[CONCENTRATION * BLOCK + i], block[POSITIVES * BLOCK + i]
        term, by_scale, by_concentration, share = node_density(f(0), block, i, rules)
        by_logits = f(0)
        if zeros:
            more, more_scale, more_concentration, by_logits = zeros_at(share, block, i, rules)
            term += more
            by_scale += more_scale
            by_concentration += more_concentration
        summed = block[TOTAL * BLOCK + i]
        at_zero = term + log_prior_at_zero(mean, dispersion, dropout)
        positive = block[LARGEST * BLOCK + i] + log(summed)
        positive += prior_constant(mean, dispersion) - softplus(dropout)
        value = logaddexp(at_zero, positive)
        here, there = exp(at_zero - value), exp(positive - value)
        each, total, spread = there / summed, mean + dispersion, log1p(mean / dispersion)
        # Of u = 0, what was not dropped.
        kept = here * sigmoid(-dispersion * spread - dropout)
        half, both = f(0.5) * concentration, f(0.5) * (concentration + positives)
        constant = f(0.5) * (log(both / half) + digamma_excess(both) - digamma_excess(half))
        by_concentration = (
            each * block[BY_CONCENTRATION * BLOCK + i] + here * by_concentration + constant
        )
        block[TOTAL * BLOCK + i] = value + density_constant(block, i, rules)
        block[BY_MEAN * BLOCK + i] = (
            dispersion / total * (each * block[BY_MEAN * BLOCK + i] / mean - kept)
        )
        block[BY_DISPERSION * BLOCK + i] = (
            each * block[BY_DISPERSION * BLOCK + i]
            - there * digamma_excess(dispersion)
            + kept * (mean / total - spread)
        )
        block[BY_DROPOUT * BLOCK + i] = here - kept - sigmoid(dropout)
        block[BY_SCALE * BLOCK + i] = (
            each * block[BY_SCALE * BLOCK + i] + here * by_scale
        ) / block[SCALE * BLOCK + i]
        block[BY_LOGITS * BLOCK + i] = (
            each * block[BY_LOGITS * BLOCK + i]
            + here * by_logits
            + block[ZEROS * BLOCK + i] * sigmoid(-logits)
            - positives * sigmoid(logits)
        )
        block[BY_CONCENTRATION * BLOCK + i] = by_concentration if rules.adaptive else f(0)


# Entries in groups

# Windows of up to so many counts are enumerated; others have one of so many panels, and those of
# heavy tails of so many stretched ones.
COUNTS = 12
PANELS_OF_GROUPS = (4, 5, 6, 7, 8, 10, 13, 17, 22, 30)
STRETCHED_PANELS = (12, 16, 24, 48)
_STRETCHED = COUNTS + len(PANELS_OF_GROUPS)
GROUPS = _STRETCHED + len(STRETCHED_PANELS)
# Value and slopes.
RESULTS = 7


@numba.njit(**OPTIONS)
def sum_chunk(chosen, inputs, slabs, values, missing, rules, results, status):
    """Sum entries and write values, slopes and what became of them.

    Parameters
    ----------
    chosen
        Positions of the entries, shape (chosen,), int64.
    inputs
        Parameters and statistics, each of all entries, shape (entries,).
    slabs, values
        Of a :class:`~.zero_surface.ZeroSurface`.
    missing
        Marks the slabs that are needed and not there, of the shape of ``slabs``, bool.
    rules
        Which likelihood.
    results
        Values, then slopes in the six parameters, shape (RESULTS, entries).
    status
        ``SUMMED``, ``UNFIT`` or ``MISSING``, shape (entries,), int8.
    """
    count = len(chosen)
    block = np.empty(FIELDS * BLOCK, np.float32)
    rows = np.full(ROWS * (BLOCK + 1), np.nan, np.float32)
    windows = np.empty((KEPT, count), np.float32)
    groups = np.empty(count, np.int64)
    ends = np.zeros(2 * GROUPS + 2, np.int64)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        load(chosen[start : start + size], inputs, block)
        find_peaks(block, rules)
        find_windows(block, rules)
        find_places(block, rules)
        for i in range(size):
            for field in range(KEPT):
                windows[field, start + i] = block[(FIRST + field) * BLOCK + i]
            group = group_of(block, i)
            became = SUMMED if group < GROUPS else UNFIT
            zeros = rules.rectified and block[ZEROS * BLOCK + i] > f(0)
            if zeros and became == SUMMED:
                became = find_tables(i, slabs, missing, block, rules)
            status[chosen[start + i]] = became
            group = 2 * group + int(zeros) if became == SUMMED else 2 * GROUPS
            groups[start + i] = group
            ends[group] += 1
    order = np.empty(count, np.int64)
    ends = np.cumsum(ends)
    for index in range(count - 1, -1, -1):
        ends[groups[index]] -= 1
        order[ends[groups[index]]] = index
    for group in range(2 * GROUPS):
        for start in range(ends[group], ends[group + 1], BLOCK):
            size = min(BLOCK, ends[group + 1] - start)
            load(chosen[order[start : start + size]], inputs, block)
            for i in range(BLOCK):
                index = order[start + min(i, size - 1)]
                for field in range(KEPT):
                    block[(FIRST + field) * BLOCK + i] = windows[field, index]
            if group % 2 == 1:
                find_places(block, rules)
                find_ranges(block, rules)
                for i in range(size):
                    look_up(i, rows, slabs, values, block, rules)
                sum_block(group // 2, rows, block, rules)
            else:
                sum_block_without_zeros(group // 2, block, rules)
            for i in range(size):
                place = chosen[order[start + i]]
                finite = True
                for field in range(RESULTS):
                    result = block[(TOTAL + field) * BLOCK + i]
                    results[field, place] = result
                    finite &= np.isfinite(result)
                if not finite:
                    status[place] = UNFIT


@inlined
def load(chosen, inputs, block):
    """Gather inputs of entries; the last entry fills the block up."""
    for field in range(INPUTS):
        for i in range(BLOCK):
            block[field * BLOCK + i] = inputs[field][chosen[min(i, len(chosen) - 1)]]


@inlined
def group_of(block, i):
    """Group of entries that are summed alike, ``GROUPS`` where none will do."""
    panels = block[PANELS * BLOCK + i]
    if block[SPAN * BLOCK + i] > f(0):
        group = _STRETCHED
        for most in STRETCHED_PANELS:
            group += int(panels > f(most))
        return group
    counts = block[LAST * BLOCK + i] - block[FIRST * BLOCK + i] + f(1)
    if counts <= f(COUNTS) and panels <= counts:
        return int(counts) - 1
    group = COUNTS
    for most in PANELS_OF_GROUPS:
        group += int(panels > f(most))
    return group if group < _STRETCHED else GROUPS


@inlined
def nodes_of(group):
    """How many nodes the entries of a group have."""
    if group < COUNTS:
        return group + 1
    if group < _STRETCHED:
        return 3 * PANELS_OF_GROUPS[group - COUNTS]
    return 3 * STRETCHED_PANELS[group - _STRETCHED]


@inlined
def place_nodes(index, group, block):
    """Go on to a node of every entry of a block."""
    if group < COUNTS:
        place_count(index, block)
    else:
        panel, side = index // 3, index % 3 - 1
        if side < 0:
            stretched = group >= _STRETCHED
            place_panel(panel, nodes_of(group) // 3, stretched, block)
        place_node(side, block)


@numba.njit(**OPTIONS)
def sum_block(group, rows, block, rules):
    """Sum the entries of a block, each of which has bootstraps that are zero."""
    clear(block)
    for index in range(nodes_of(group)):
        place_nodes(index, group, block)
        read_tables(rows, block, rules)
        add_nodes(True, block, rules)
    for i in range(BLOCK):
        block[COUNT * BLOCK + i] = f(0)
    read_tables(rows, block, rules)
    finish(True, block, rules)


@numba.njit(**OPTIONS)
def sum_block_without_zeros(group, block, rules):
    """Sum the entries of a block, none of which has, or zeros are an atom."""
    clear(block)
    for index in range(nodes_of(group)):
        place_nodes(index, group, block)
        add_nodes(False, block, rules)
    finish(False, block, rules)
