"""Entries in groups that are summed alike, and the nodes of a group: compiled, for float32.

Windows of few counts are enumerated; the others are cut into panels of whole counts with three
nodes each (:func:`~.quadrature.gram_nodes`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .entry_blocks import (
    BLOCK,
    CENTRE_OF_PANEL,
    COUNT,
    DISTANCE,
    EDGE,
    FIELDS,
    FIRST,
    INNER,
    INPUTS,
    KEPT,
    LARGEST,
    LAST,
    OUTER,
    PANELS,
    PEAK,
    POSITIVES,
    READ,
    SPAN,
    TOTAL,
    WEIGHT,
    ZEROS,
    find_peaks,
    find_windows,
    reach_over_prior,
)
from .float32_math import asinh, exp, f, inlined, log
from .zero_lookup import OVERLOOKED, ROWS, SUMMED, UNFIT, find_places, find_tables

# Windows of up to so many counts are enumerated; others have one of so many panels, and those of
# heavy tails of so many stretched ones.
COUNTS = 12
PANELS_OF_GROUPS = (4, 5, 6, 7, 8, 10, 13, 17, 22, 30)
STRETCHED_PANELS = (12, 16, 24, 48)
_STRETCHED = COUNTS + len(PANELS_OF_GROUPS)
GROUPS = _STRETCHED + len(STRETCHED_PANELS)
# The first group whose panels are fine enough for quantiles.
_FINE = COUNTS + PANELS_OF_GROUPS.index(10)


# Groups


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


class Sorted(NamedTuple):
    """Entries in the order of their groups, and their windows.

    Positions are those among the chosen entries; a group's entries with zeros follow those
    without, first those that have others, too.
    """

    order: np.ndarray
    ends: np.ndarray
    windows: np.ndarray


@inlined
def sort_entries(chosen, inputs, slabs, missing, fine, rules, status):
    """Find the windows of entries and sort them into groups.

    ``fine`` makes windows that are fine enough for quantiles and hold all counts before dropout.
    """
    count = len(chosen)
    block, _ = empty_block()
    windows = np.empty((KEPT, count), np.float32)
    groups = np.empty(count, np.int64)
    ends = np.zeros(3 * GROUPS + 2, np.int64)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        load(chosen[start : start + size], inputs, block)
        find_peaks(block, rules)
        find_windows(block, rules)
        if fine:
            reach_over_prior(block, rules)
        find_places(block, rules)
        for i in range(size):
            for field in range(KEPT):
                windows[field, start + i] = block[(FIRST + field) * BLOCK + i]
            group = group_of(block, i)
            if fine and COUNTS <= group < _FINE:
                group = _FINE
            zeros = rules.rectified and block[ZEROS * BLOCK + i] > f(0)
            all_zero = zeros & (block[POSITIVES * BLOCK + i] <= f(0))
            kind = int(zeros) + int(all_zero)
            became = SUMMED
            if group == GROUPS:
                # Zeros and others are looked at together where they are not looked at apart.
                became = UNFIT if fine or kind != 1 else OVERLOOKED
            if zeros and became != UNFIT:
                found = find_tables(i, slabs, missing, block, rules)
                became = became if found == SUMMED else found
            status[chosen[start + i]] = became
            group = 3 * group + kind if became == SUMMED else 3 * GROUPS
            groups[start + i] = group
            ends[group] += 1
    order = np.empty(count, np.int64)
    ends = np.cumsum(ends)
    for index in range(count - 1, -1, -1):
        ends[groups[index]] -= 1
        order[ends[groups[index]]] = index
    # Where a group's entries without zeros begin, and those with.
    both = np.empty(2 * GROUPS + 1, np.int64)
    for group in range(GROUPS):
        both[2 * group], both[2 * group + 1] = ends[3 * group], ends[3 * group + 1]
    both[2 * GROUPS] = ends[3 * GROUPS]
    return Sorted(order, both, windows)


@inlined
def empty_block():
    """Give room for a block and for the rows of its entries' tables."""
    return np.empty(FIELDS * BLOCK, np.float32), np.zeros(ROWS * (BLOCK + 1), np.float32)


@inlined
def load(chosen, inputs, block):
    """Gather inputs of entries; the last entry fills the block up."""
    for field in range(INPUTS):
        for i in range(BLOCK):
            block[field * BLOCK + i] = inputs[field][chosen[min(i, len(chosen) - 1)]]


@inlined
def load_sorted(own, chosen, windows, inputs, block):
    """Gather inputs and windows of entries of a group."""
    load(chosen[own], inputs, block)
    for i in range(BLOCK):
        index = own[min(i, len(own) - 1)]
        for field in range(KEPT):
            block[(FIRST + field) * BLOCK + i] = windows[field, index]


# Nodes


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


@inlined
def place_count(index, block):
    """Go on to a count of windows that are enumerated."""
    for i in range(BLOCK):
        u = block[FIRST * BLOCK + i] + f(index)
        block[COUNT * BLOCK + i] = u
        block[WEIGHT * BLOCK + i] = f(1) if u <= block[LAST * BLOCK + i] else f(0)


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
def place_node(side, block):
    """Go on to a node of a panel: the centre, or one on either side of it."""
    for i in range(BLOCK):
        u = block[CENTRE_OF_PANEL * BLOCK + i] + f(side) * block[DISTANCE * BLOCK + i]
        block[COUNT * BLOCK + i] = max(u, f(1))
        inner, outer = block[INNER * BLOCK + i], block[OUTER * BLOCK + i]
        block[WEIGHT * BLOCK + i] = inner if side == 0 else outer


@inlined
def place_zero(block):
    """Go on to u = 0."""
    for i in range(BLOCK):
        block[COUNT * BLOCK + i] = f(0)
        block[WEIGHT * BLOCK + i] = f(1)
