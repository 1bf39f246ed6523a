"""Where the sum over counts is evaluated: panels of whole counts, each with sixteen nodes.

A panel of more counts than nodes is summed by the Gaussian rule of its equally spaced counts
(Gram's polynomials); a shorter one, count by count. On the scale of log(1 + u) the mass per unit
has one mode or, if the noise is relative, two. Panels start at the higher one, are as long as the
summand's slope and curvature allow, and follow one another outwards until what may lie beyond is
negligible.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from . import rows
from .blocks import BLOCK, at
from .float64_math import exp, inlined, log
from .summand import log_density, log_mass, mode_of_density, slopes

NODES = 16
# Panels of more counts than this have the nodes of an integral (Gauss-Legendre).
_LONGEST = 512

# By how many nats the summand may fall along a panel.
_FALL = 14.5
# Share of a count that a panel may reach down, and multiples of it that one may reach up.
_REACH_DOWN, _REACH_UP = 0.75, 12.0
# Of the sum, what may be missing at each end.
_NEGLIGIBLE = 1e-6
# Steps to the mode; halving its bracket takes fewer.
_MOST_STEPS = 100
# The mode is found within about this number of widths, or one count.
_CLOSE = 0.3
# By how many nats a mode must be below another one not to matter, whatever its width.
_FAR_BELOW = 40.0
_TINY = 1e-300


@cache
def gram_rule() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of panels as shares of their length, by :func:`row_of` and node.

    From the recurrence of Gram's polynomials (Gautschi 2004, table 1.2: discrete Chebyshev).
    """
    positions, weights = np.empty((2, _LONGEST + 2, NODES))
    for length in range(_LONGEST + 2):
        if length <= NODES:
            count = np.arange(NODES)
            positions[length] = (np.minimum(count, max(length, 1) - 1) + 0.5) / max(length, 1)
            weights[length] = (count < length) / max(length, 1)
            continue
        k = np.arange(1, NODES)
        finite = 0.0 if length > _LONGEST else (k / length) ** 2
        beside = np.sqrt(k**2 * (1 - finite) / (4 * (4 * k**2 - 1)))
        nodes, vectors = np.linalg.eigh(np.diag(beside, -1) + np.diag(beside, 1))
        positions[length], weights[length] = 0.5 + nodes, vectors[0] ** 2
    return positions.ravel(), weights.ravel()


@inlined
def row_of(length):
    """Where the rule of a panel of so many counts starts."""
    return np.int64(min(length, _LONGEST + 1.0)) * NODES


@inlined
def find_modes(block, rules):
    """Find the counts at which the summand times 1 + u is largest, about.

    They lie between the modes of prior and density; Newton's steps are in log(1 + u).
    """
    for i in range(BLOCK):
        above = max(mode_of_density(block, i, rules) + 1, 2.0)
        prior = max(block[at(rows.MEAN, i)] + 1, 2.0)
        block[at(rows.LOW, i)] = min(above, prior)
        block[at(rows.HIGH, i)] = max(above, prior)
        block[at(rows.MODE, i)] = above
    for _ in range(_MOST_STEPS):
        away = 0
        for i in range(BLOCK):
            away += _step_to_mode(block, i, rules)
        if away == 0:
            break
    for i in range(BLOCK):
        block[at(rows.MODE, i)] -= 1
        block[at(rows.OTHER, i)] = block[at(rows.MODE, i)]
    if rules.relative:
        for i in range(BLOCK):
            if _may_have_second_mode(block, i):
                _find_second_mode(block, i, rules)


@inlined
def _may_have_second_mode(block, i):
    """Tell whether the summand may rise again beyond its mode.

    Relative noise makes small counts likely whatever the prior, which has its mode far above; in
    between, the density is convex until the mass, of a theta that is large, is as concave.
    """
    above, prior = block[at(rows.MODE, i)] + 1, block[at(rows.MEAN, i)] + 1
    half, dispersion = block[at(rows.HALF_POSITIVES, i)], block[at(rows.DISPERSION, i)]
    convex = above * (dispersion - half) < half * dispersion
    return (half > 1) & (dispersion > half) & (prior > above) & convex


@inlined
def _find_second_mode(block, i, rules):
    """Find the mode next to that of the prior; the panels start at the higher one of the two."""
    first, prior = block[at(rows.MODE, i)], block[at(rows.MEAN, i)] + 1
    block[at(rows.LOW, i)], block[at(rows.HIGH, i)] = first + 1, prior
    block[at(rows.MODE, i)] = prior
    for _ in range(_MOST_STEPS):
        if _step_to_mode(block, i, rules) == 0:
            break
    second = block[at(rows.MODE, i)] - 1
    rise = _log_height(second, block, i, rules) - _log_height(first, block, i, rules)
    block[at(rows.MODE, i)] = second if rise > 0 else first
    block[at(rows.OTHER, i)] = first if rise > 0 else second
    if abs(rise) > _FAR_BELOW:
        block[at(rows.OTHER, i)] = block[at(rows.MODE, i)]


@inlined
def _log_height(u, block, i, rules):
    """Log of the summand times 1 + u, about where the count is small."""
    u = max(u, 1.0)
    mass, _ = log_mass(u, 1 / u, log(u), block, i)
    density, _ = log_density(u, log(1 + u), 1 / (1 + u), block, i, rules)
    return mass + density + log(1 + u)


@inlined
def _step_to_mode(block, i, rules):
    """Take a step and tell whether another one is needed: 1, or 0.

    An entry whose bracket is a point does not move: its mode must not depend on its neighbours'.
    """
    above, before = block[at(rows.MODE, i)], block[at(rows.HIGH, i)] - block[at(rows.LOW, i)]
    slope, curvature = slopes(above - 1, block, i, rules)
    height = above * slope + 1
    low = above if height > 0 else block[at(rows.LOW, i)]
    high = block[at(rows.HIGH, i)] if height > 0 else above
    step = height / (above * above * curvature - height + 1)
    proposed = above * (1 + step) if step > 0 else above / (1 - step)
    inside = (proposed >= low) & (proposed <= high)
    # Newton's decrement: twice by how many nats the step rises.
    close = inside & (height * step < _CLOSE * _CLOSE)
    found = close | (high - low < 1)
    reached = proposed if inside else np.sqrt(low * high)
    reached = reached if before > 0 else above
    block[at(rows.MODE, i)] = reached
    block[at(rows.LOW, i)] = reached if found else low
    block[at(rows.HIGH, i)] = reached if found else high
    return 0 if found | (before == 0) else 1


@inlined
def _reach(u, share, block, i, rules):
    """Find how many counts there are from u on along which a panel may extend."""
    slope, curvature = slopes(u, block, i, rules)
    slope = abs(slope)
    return 2 * share * _FALL / (slope + np.sqrt(slope * slope + 2 * _FALL * curvature) + _TINY)


@inlined
def find_first_panels(share, block, rules):
    """Find the panels around modes; ``share`` is of the longest ones that sums allow."""
    for i in range(BLOCK):
        mode = block[at(rows.MODE, i)]
        half = min(_reach(mode, share, block, i, rules), share * _REACH_DOWN * mode)
        half = max(0.5 * NODES, half)
        low = mode < 0.75 * NODES
        block[at(rows.FIRST, i)] = 0.0 if low else np.floor(mode - half + 0.5)
        block[at(rows.LENGTH, i)] = float(NODES) if low else np.floor(2 * half + 0.5)
        block[at(rows.LOWEST, i)] = block[at(rows.FIRST, i)]
        block[at(rows.ABOVE, i)] = block[at(rows.FIRST, i)] + block[at(rows.LENGTH, i)]


@inlined
def next_panel(share, block, i, rules):
    """Find the next panel of an entry and move its ends; tells whether there is one.

    Beyond an end there is at most about what a panel of the density there would hold.
    """
    enough = _NEGLIGIBLE * block[at(rows.TOTAL, i)]
    above, lowest = block[at(rows.ABOVE, i)], block[at(rows.LOWEST, i)]
    density = exp(block[at(rows.TERM_ABOVE, i)] - block[at(rows.REFERENCE, i)])
    before = above <= max(block[at(rows.MODE, i)], block[at(rows.OTHER, i)])
    if before or density * above > enough:
        length = min(_reach(above, share, block, i, rules), share * _REACH_UP * above)
        if before or density * length > share * enough:
            length = max(float(NODES), np.floor(length))
            block[at(rows.FIRST, i)], block[at(rows.LENGTH, i)] = above, length
            block[at(rows.ABOVE, i)] = above + length
            return True
    density = exp(block[at(rows.TERM_LOWEST, i)] - block[at(rows.REFERENCE, i)])
    beyond = lowest > min(block[at(rows.MODE, i)], block[at(rows.OTHER, i)])
    if lowest == 0 or not (beyond or density * lowest > enough):
        return False
    length = lowest
    if lowest > NODES:
        length = min(_reach(lowest, share, block, i, rules), share * _REACH_DOWN * lowest)
        if not (beyond or density * length > share * enough):
            return False
        # What is left below is the lowest counts, or nothing.
        length = min(max(float(NODES), np.floor(length)), lowest - NODES)
    block[at(rows.FIRST, i)], block[at(rows.LENGTH, i)] = lowest - length, length
    block[at(rows.LOWEST, i)] = lowest - length
    return True
