"""Value and slopes of the log likelihood of many entries, by compiled loops."""

from __future__ import annotations

import numba
import numpy as np

from . import rows
from .blocks import BLOCK, GROUP, at, empty_block, load, prepare
from .float64_math import OPTIONS, exp, inlined, log, logaddexp, sigmoid, softplus
from .nodes import (
    TERM,
    add,
    empty_nodes,
    evaluate,
    evaluate_lowest,
    find_references,
    node_at,
    place,
)
from .panels import NODES, find_first_panels, find_modes, next_panel
from .summand import log_density

# Value, and slopes in the five parameters.
RESULTS = 6
# Panels of an entry one after another, more than any takes.
_MOST_ROUNDS = 10_000


@inlined
def _take(chosen, number, block, panel):
    """Copy entries to the block of those whose panels are evaluated."""
    for row in range(rows.PANEL_ROWS):
        for i in range(number):
            panel[at(row, i)] = block[at(row, chosen[i])]
    for i in range(number):
        panel[at(rows.REFERENCE, i)] = block[at(rows.REFERENCE, chosen[i])]
    for row in range(rows.TOTAL, rows.BY_SQUARES + 1):
        for i in range(GROUP):
            panel[at(row, i)] = 0.0


@inlined
def _give(chosen, number, panel, nodes, block):
    """Add the sums of panels to those of their entries, and note the terms at the ends."""
    for row in range(rows.TOTAL, rows.BY_SQUARES + 1):
        for i in range(number):
            block[at(row, chosen[i])] += panel[at(row, i)]
    for i in range(number):
        j, first = chosen[i], panel[at(rows.FIRST, i)]
        block[at(rows.REFERENCE, j)] = panel[at(rows.REFERENCE, i)]
        if first == block[at(rows.LOWEST, j)]:
            block[at(rows.TERM_LOWEST, j)] = nodes[node_at(TERM, 0, i)]
        if first + panel[at(rows.LENGTH, i)] == block[at(rows.ABOVE, j)]:
            block[at(rows.TERM_ABOVE, j)] = nodes[node_at(TERM, NODES - 1, i)]


@inlined
def _record(active, recorded, block, records):
    """Note the panels at hand where there is room; gives how many there have been."""
    for j in active:
        if recorded < len(records):
            records[recorded, 0] = j
            records[recorded, 1] = block[at(rows.FIRST, j)]
            records[recorded, 2] = block[at(rows.LENGTH, j)]
        recorded += 1
    return recorded


@inlined
def _sum_group(chosen, number, lowest, first, block, room, rule, rules):
    """Evaluate the panels of a group of entries, all of which start at 0, or none."""
    panel, nodes = room
    _take(chosen, number, block, panel)
    if lowest:
        evaluate_lowest(panel, nodes, rules)
    else:
        place(panel, rule, nodes)
        evaluate(panel, nodes, rules)
    if first:
        find_references(panel, nodes)
    add(panel, nodes)
    _give(chosen, number, panel, nodes, block)


@numba.njit(**OPTIONS)
def sum_panels(number, share, block, room, rule, rules, records):
    """Sum over the counts u >= 1 of the entries of a block, panel by panel.

    Parameters
    ----------
    number
        Of entries.
    share
        Of the longest panels that sums allow: 1, or less for more nodes.
    block, room
        The entries, and room for their panels.
    rule, rules
        Nodes and weights of panels, and which likelihood.
    records
        Takes entry, first count and number of counts of as many panels as there is room for, shape
        (panels, 3).

    Returns
    -------
    int
        The number of panels.
    """
    find_modes(block, rules)
    find_first_panels(share, block, rules)
    block[at(rows.TOTAL, 0) : at(rows.BY_SQUARES + 1, 0)] = 0.0
    active, chosen = np.arange(number), np.empty(number + 1, np.int64)
    recorded = 0
    for rounds in range(_MOST_ROUNDS):
        recorded = _record(active, recorded, block, records)
        for lowest in (False, True):
            size = 0
            for j in active:
                chosen[size] = j
                size += (block[at(rows.FIRST, j)] == 0) == lowest
            for start in range(0, size, GROUP):
                own = min(GROUP, size - start)
                _sum_group(chosen[start:], own, lowest, rounds == 0, block, room, rule, rules)
        size = 0
        for j in active:
            active[size] = j
            size += next_panel(share, block, j, rules)
        active = active[:size]
        if size == 0:
            break
    for j in active:
        block[at(rows.TOTAL, j)] = np.nan
    return recorded


@inlined
def _finish(block, rules):
    """Add u = 0; then ``TOTAL`` is the value, and what follows it the slopes in the parameters.

    Those in mu and theta are in ``BY_EXCESS`` and ``BY_SLOPE``, that in log f in ``BY_SQUARES``,
    that in the logit of dropout in its own row, which is not needed any more.
    """
    for i in range(BLOCK):
        mean, dispersion = block[at(rows.MEAN, i)], block[at(rows.DISPERSION, i)]
        per_total, spread = block[at(rows.PER_TOTAL, i)], block[at(rows.SPREAD, i)]
        dropout, total = block[at(rows.DROPOUT, i)], block[at(rows.TOTAL, i)]
        at_zero, squares = log_density(0.0, 0.0, 1.0, block, i, rules)
        # Relative to the probability that the count is not dropped.
        kept = at_zero - dispersion * spread
        here = logaddexp(kept, at_zero + dropout)
        there = block[at(rows.REFERENCE, i)] + log(total)
        value = logaddexp(here, there)
        share_kept, share_zero = exp(kept - value), exp(here - value)
        each = exp(there - value) / total
        by_mean = each * block[at(rows.BY_EXCESS, i)] / mean - share_kept
        by_dispersion = each * block[at(rows.BY_SLOPE, i)]
        by_dispersion += share_kept * (mean * per_total - spread)
        by_scale = each * block[at(rows.BY_SQUARES, i)] + share_zero * squares
        by_scale += block[at(rows.CONSTANT_SQUARES, i)]
        block[at(rows.TOTAL, i)] = value - softplus(dropout) + block[at(rows.CONSTANT, i)]
        block[at(rows.BY_EXCESS, i)] = dispersion * per_total * by_mean
        block[at(rows.BY_SLOPE, i)] = by_dispersion
        block[at(rows.BY_SQUARES, i)] = 2 * (by_scale - block[at(rows.HALF_POSITIVES, i)])
        block[at(rows.DROPOUT, i)] = share_zero - share_kept - sigmoid(dropout)


@inlined
def _write(entries, block, scales, results):
    """Add values and slopes of entries with positive bootstraps to the results."""
    for i in range(len(entries)):
        place = entries[i]
        results[0, place] = block[at(rows.TOTAL, i)] + results[0, place]
        results[1, place] = block[at(rows.BY_EXCESS, i)]
        results[2, place] = block[at(rows.BY_SLOPE, i)]
        results[3, place] = block[at(rows.DROPOUT, i)]
        results[4, place] = block[at(rows.BY_SQUARES, i)] / scales[place]


@inlined
def _write_zeros(inputs, results):
    """Write what dropout of bootstraps contributes; the other slopes are zero where all are."""
    logits, zeros, positives = inputs[4], inputs[5], inputs[6]
    for i in range(len(logits)):
        logit, m0, m = np.float64(logits[i]), np.float64(zeros[i]), np.float64(positives[i])
        softened = softplus(logit)
        probability = exp(logit - softened)
        results[0, i] = m0 * (logit - softened) - m * softened
        for field in range(1, RESULTS - 1):
            results[field, i] = 0.0
        results[RESULTS - 1, i] = m0 * (1 - probability) - m * probability


@inlined
def _to_sum(inputs, results):
    """Tell which entries are sums; those of impossible numbers have no value, and no slopes."""
    means, dispersions, dropouts, scales, logits, _, positives, centres, squares = inputs
    chosen = positives > 0
    for i in range(len(means)):
        total = means[i] + dispersions[i] + dropouts[i] + scales[i] + logits[i]
        total += centres[i] + squares[i]
        possible = (means[i] > 0) & (dispersions[i] > 0) & (scales[i] > 0) & np.isfinite(total)
        if not possible:
            chosen[i] = False
            results[:, i] = np.nan
    return chosen


@numba.njit(**OPTIONS)
def empty_room():
    """Make room for the panels of a block."""
    return empty_block(), empty_nodes()


@numba.njit(**OPTIONS)
def sum_entries(inputs, rule, rules, results):
    """Write values and slopes of entries.

    Parameters
    ----------
    inputs
        Parameters, then statistics, of the entries, each of shape (entries,).
    rule, rules
        Nodes and weights of panels, and which likelihood.
    results
        Values (nats), then slopes in the five parameters, shape (RESULTS, entries).
    """
    _write_zeros(inputs, results)
    block, room, records = empty_block(), empty_room(), np.empty((0, 3))
    with_counts = np.flatnonzero(_to_sum(inputs, results))
    for start in range(0, len(with_counts), BLOCK):
        entries = with_counts[start : start + BLOCK]
        load(entries, inputs, block)
        prepare(block, rules)
        sum_panels(len(entries), 1.0, block, room, rule, rules, records)
        _finish(block, rules)
        _write(entries, block, inputs[3], results)
