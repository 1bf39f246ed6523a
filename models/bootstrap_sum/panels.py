"""Sums over the counts u >= 1 of entries, by panels of whole counts with sixteen nodes each.

A panel of more counts than nodes is summed by the Gaussian rule of its equally spaced counts
(Gram's polynomials); a shorter one, count by count. On the scale of log(1 + u) the mass per unit
has one mode or, if the noise is relative, two. Panels start at the higher one, are as long as the
summand's slope and curvature allow, and follow one another outwards until what may lie beyond is
negligible. Loops over nodes are without branches, so that compilers vectorise them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...data.compiled_functions import OPTIONS, exp, inlined, log, njit
from .summand import log_density, log_mass, mode_of_density, slope_and_curvature

NODES = 16
# Where numbers of nodes start: count, weight, logarithms of mass and density, slope of the mass in
# theta, and squares of the density. The entry and the first four are noted.
COUNT, WEIGHT, MASS, DENSITY, SLOPE, SQUARES = range(0, 6 * NODES, NODES)
FIELDS = 5

# Panels of more counts than this have the nodes of an integral (Gauss-Legendre).
LONGEST = 512
# The first panel is of the lowest counts where the mode is below.
_LOW = 0.75 * NODES
# By how many nats the summand may fall along a panel.
_FALL = 14.5
# Share of a count that a panel may reach down, multiples of it up, and of a mode's reach in all.
_REACH_DOWN, _REACH_UP, _AROUND = 0.75, 12.0, 2.3
# Of the sum, what may be missing at each end; far less where there are more nodes.
_NEGLIGIBLE = 1e-4
# Steps to the mode, halving its bracket takes fewer; and panels, more than any entry takes.
_MOST_STEPS, _MOST_PANELS = 100, 10_000
# The mode is found within about this number of widths, or one count.
_CLOSE = 0.3
# By how many nats a mode must be below another one not to matter, whatever its width.
_FAR_BELOW = 40.0
_TINY = 1e-300
# Sums in any order.
_summed = njit(forceinline=True, **OPTIONS | {"fastmath": {"contract", "nsz", "reassoc", "nnan"}})


class Sums(NamedTuple):
    """Sums of terms, and of terms times u - mu, the slope in theta, and squares of the density.

    They are relative to a term of which ``reference`` is the logarithm, nats.
    """

    reference: float
    total: float
    by_excess: float
    by_slope: float
    by_squares: float


class _Ends(NamedTuple):
    """Counts summed, from lowest to below above, and logarithms of the terms at both ends."""

    lowest: float
    above: float
    term_lowest: float
    term_above: float


@inlined
def _find_mode(above, low, high, entry):
    """Find the count at which the summand times 1 + u is largest, about.

    From 1 + u = above, by Newton's steps in log(1 + u) within a bracket of 1 + u.
    """
    for _ in range(_MOST_STEPS):
        if high - low < 1:
            break
        slope, curvature = slope_and_curvature(above - 1, entry)
        height = above * slope + 1
        low, high = (above, high) if height > 0 else (low, above)
        step = height / (above * above * curvature - height + 1)
        proposed = above * (1 + step) if step > 0 else above / (1 - step)
        inside = (proposed >= low) & (proposed <= high)
        above = proposed if inside else np.sqrt(low * high)
        # Newton's decrement: twice by how many nats the step rises.
        if inside & (height * step < _CLOSE * _CLOSE):
            break
    return above - 1


@inlined
def _find_modes(entry):
    """Find the mode at which panels start, and the other one, or the same again.

    They lie between the modes of prior and density; a low one need not be known. Relative noise
    makes small counts likely whatever the prior, which may have its mode far above; in between,
    the density is convex until the mass, of a theta that is large, is as concave.
    """
    start, prior = max(mode_of_density(entry) + 1, 2.0), max(entry.mean + 1, 2.0)
    if max(start, prior) < _LOW:
        return 0.0, 0.0
    first = _find_mode(start, min(start, prior), max(start, prior), entry)
    half, dispersion = entry.half_positives, entry.dispersion
    convex = (first + 1) * (dispersion - half) < half * dispersion
    if not (entry.relative & (half > 1) & (dispersion > half) & (prior > first + 1) & convex):
        return first, first
    second = _find_mode(prior, first + 2, prior, entry)
    rise = _log_height(second, entry) - _log_height(first, entry)
    higher, other = (second, first) if rise > 0 else (first, second)
    return higher, higher if abs(rise) > _FAR_BELOW else other


@inlined
def _log_height(u, entry):
    """Log of the summand times 1 + u, about where the count is small."""
    u = max(u, 1.0)
    log_above, per_above = log(1 + u), 1 / (1 + u)
    density = log_density(u, log_above, per_above, entry)[0]
    return log_mass(u, log_above, per_above, entry)[0] + density + log_above


@inlined
def _reach(u, share, entry):
    """Find how many counts there are from u on along which a panel may extend."""
    slope, curvature = slope_and_curvature(u, entry)
    slope = abs(slope)
    return 2 * share * _FALL / (slope + np.sqrt(slope * slope + 2 * _FALL * curvature) + _TINY)


@inlined
def _first_panel(mode, share, entry):
    """Find the panel around a mode: its first count, and its number of counts."""
    if mode == 0 or (mode < _LOW and not entry.relative):
        return 1.0, float(NODES)
    reach = _reach(mode, share, entry)
    down = max(0.5 * NODES, min(reach, share * _REACH_DOWN * mode)) if mode >= _LOW else mode - 0.5
    # Above the mode the summand falls more slowly where the noise grows with the count.
    up = reach + 0.75 * reach * reach / (1 + mode) if entry.relative else down
    length = np.floor(min(down + up, max(_AROUND * reach, float(NODES))) + 0.5)
    return np.floor(mode - down + 0.5), max(length, float(NODES))


@inlined
def _next_panel(ends, modes, sums, share, entry):
    """Find the next panel: upwards while there is one, then downwards; without counts if none.

    Beyond an end there is at most about what a panel of the density there would hold.
    """
    above, lowest = ends.above, ends.lowest
    enough = _NEGLIGIBLE * share**4 * sums.total
    before = above <= max(modes[0], modes[1])
    density = exp(ends.term_above - sums.reference)
    if before or density * above > enough:
        length = min(_reach(above, share, entry), share * _REACH_UP * above)
        if before or density * length > enough:
            return above, max(float(NODES), np.floor(length))
    if lowest == 1:
        return lowest, 0.0
    beyond = lowest > min(modes[0], modes[1])
    density = exp(ends.term_lowest - sums.reference)
    if not (beyond or density * lowest > enough):
        return lowest, 0.0
    length = min(_reach(lowest, share, entry), share * _REACH_DOWN * lowest)
    if not (beyond or density * length > enough):
        return lowest, 0.0
    length = min(max(float(NODES), np.floor(length)), lowest - 1)
    return lowest - length, length


@inlined
def _evaluate(first, length, rule, entry, room):
    """Evaluate the nodes of a panel."""
    row = np.int64(min(length, LONGEST + 1.0))
    for k in range(NODES):
        u = first - 0.5 + length * rule[0, row, k]
        log_above, per_above = log(1 + u), 1 / (1 + u)
        room[COUNT + k], room[WEIGHT + k] = u, length * rule[1, row, k]
        room[MASS + k], room[SLOPE + k] = log_mass(u, log_above, per_above, entry)
        room[DENSITY + k], room[SQUARES + k] = log_density(u, log_above, per_above, entry)


@_summed
def _largest(room):
    """Find the logarithm of the largest term of a panel."""
    largest = room[MASS] + room[DENSITY]
    for k in range(1, NODES):
        largest = max(largest, room[MASS + k] + room[DENSITY + k])
    return largest


@_summed
def _add(sums, mean, room):
    """Add the nodes of a panel."""
    total = by_excess = by_slope = by_squares = 0.0
    for k in range(NODES):
        term = room[WEIGHT + k] * exp(room[MASS + k] + room[DENSITY + k] - sums.reference)
        total += term
        by_excess += term * (room[COUNT + k] - mean)
        by_slope += term * room[SLOPE + k]
        by_squares += term * room[SQUARES + k]
    by_excess, by_slope = sums.by_excess + by_excess, sums.by_slope + by_slope
    by_squares = sums.by_squares + by_squares
    return Sums(sums.reference, sums.total + total, by_excess, by_slope, by_squares)


@inlined
def sum_counts(entry, share, rule, room, place, number, noted):
    """Give the sums over the counts u >= 1 of an entry, and the number of nodes so far.

    ``share`` is the length of panels, of the longest that sums allow: 1, or less for more nodes,
    which are noted with the place of the entry in ``noted``, shape (FIELDS, nodes), as far as
    there is room.
    """
    modes = _find_modes(entry)
    first, length = _first_panel(modes[0], share, entry)
    sums, ends = Sums(0.0, 0.0, 0.0, 0.0, 0.0), _Ends(first, first, 0.0, 0.0)
    for panel in range(_MOST_PANELS):
        _evaluate(first, length, rule, entry, room)
        if panel == 0:
            sums = Sums(_largest(room), 0.0, 0.0, 0.0, 0.0)
        sums = _add(sums, entry.mean, room)
        number += NODES
        if number <= noted.shape[1]:
            noted[0, number - NODES : number] = place
            noted[1:, number - NODES : number] = room[:SLOPE].reshape((FIELDS - 1, NODES))
        lowest, above, term_lowest, term_above = ends
        if panel == 0 or first < lowest:
            lowest, term_lowest = first, room[MASS] + room[DENSITY]
        if first + length > above:
            above, term_above = first + length, room[MASS + NODES - 1] + room[DENSITY + NODES - 1]
        ends = _Ends(lowest, above, term_lowest, term_above)
        first, length = _next_panel(ends, modes, sums, share, entry)
        if length == 0:
            return sums, number
    return Sums(0.0, np.nan, np.nan, np.nan, np.nan), number
