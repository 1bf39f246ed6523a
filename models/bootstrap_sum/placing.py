"""Nodes of many entries and their terms, for what is asked of a count once it has been summed."""

from __future__ import annotations

import numba
import numpy as np

from . import rows
from .blocks import BLOCK, GROUP, at, empty_block, load, prepare
from .entries import empty_room, sum_panels
from .float64_math import OPTIONS, inlined
from .nodes import COUNT, TERM, evaluate, evaluate_lowest, node_at, place
from .nodes import WEIGHT as NODE_WEIGHT
from .panels import NODES

# Entry, count, weight and logarithm of the term.
FIELDS = 4


@inlined
def _evaluate_group(records, with_density, block, room, rule, rules):
    """Evaluate the panels of a group of records, all of which start at 0, or none."""
    panel, nodes = room
    for i in range(len(records)):
        j = int(records[i, 0])
        for row in range(rows.FIRST):
            panel[at(row, i)] = block[at(row, j)]
        panel[at(rows.FIRST, i)], panel[at(rows.LENGTH, i)] = records[i, 1], records[i, 2]
        if not with_density:
            panel[at(rows.HALF_POSITIVES, i)] = panel[at(rows.WEIGHT, i)] = 0.0
            panel[at(rows.SQUARES, i)] = 0.0
    if records[0, 1] == 0:
        evaluate_lowest(panel, nodes, rules)
    else:
        place(panel, rule, nodes)
        evaluate(panel, nodes, rules)


@inlined
def _write(records, entries, room, placed, done):
    """Write the nodes of a group that have a weight; gives how many have been written."""
    nodes = room[1]
    for i in range(len(records)):
        for node in range(NODES):
            weight = nodes[node_at(NODE_WEIGHT, node, i)]
            if weight > 0:
                placed[0, done] = entries[int(records[i, 0])]
                placed[1, done] = nodes[node_at(COUNT, node, i)]
                placed[2, done] = weight
                placed[3, done] = nodes[node_at(TERM, node, i)]
                done += 1
    return done


@inlined
def _with_room(placed, done, more):
    """Give an array with room for more nodes, a longer one where there is none."""
    if done + more <= placed.shape[1]:
        return placed
    longer = np.empty((FIELDS, 2 * (done + more)))
    longer[:, :done] = placed[:, :done]
    return longer


@numba.njit(**OPTIONS)
def place_entries(inputs, share, with_density, rule, rules):
    """Place nodes of counts u >= 1 where the summand is.

    Parameters
    ----------
    inputs
        Parameters, then statistics, of the entries, each of shape (entries,).
    share
        Of the longest panels that sums allow.
    with_density
        Whether terms are those of the summand, or of the mass of the count alone.
    rule, rules
        Nodes and weights of panels, and which likelihood.

    Returns
    -------
    ndarray
        Entry, count, weight and logarithm of the term (nats) of every node, shape (4, nodes).
    """
    block, room, records = empty_block(), empty_room(), np.empty((4 * BLOCK, 3))
    placed, done = np.empty((FIELDS, 2 * NODES * len(inputs[0]))), 0
    for start in range(0, len(inputs[0]), BLOCK):
        entries = np.arange(start, min(start + BLOCK, len(inputs[0])))
        load(entries, inputs, block)
        prepare(block, rules)
        number = sum_panels(len(entries), share, block, room, rule, rules, records)
        if number > len(records):
            records = np.empty((number, 3))
            sum_panels(len(entries), share, block, room, rule, rules, records)
        placed = _with_room(placed, done, number * NODES)
        own = records[:number]
        for lowest in (False, True):
            chosen = own[(own[:, 1] == 0) == lowest]
            for first in range(0, len(chosen), GROUP):
                group = chosen[first : first + GROUP]
                _evaluate_group(group, with_density, block, room, rule, rules)
                done = _write(group, entries, room, placed, done)
    return placed[:, :done]
