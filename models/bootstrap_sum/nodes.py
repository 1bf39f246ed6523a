"""Nodes of panels: what the summand is at them, and sums over them."""

from __future__ import annotations

import math

import numpy as np

from . import rows
from .blocks import GROUP, at
from .float64_math import exp, inlined, log
from .panels import NODES, row_of
from .summand import log_density, log_mass

# Fields of a node: count, weight, logarithm of the term, its slope in theta and the squares.
COUNT, WEIGHT, TERM, SLOPE, SQUARES = range(5)
_FIELDS = 5
# One more than nodes: recurrences write the next one.
_ROWS_PER_FIELD = NODES + 1


@inlined
def node_at(field, node, i):
    """Place of a field of a node of the i-th entry."""
    return (field * _ROWS_PER_FIELD + node) * GROUP + i


@inlined
def empty_nodes():
    """Make room for the nodes of a group."""
    return np.ones(_FIELDS * _ROWS_PER_FIELD * GROUP)


@inlined
def place(block, rule, nodes):
    """Place nodes of panels and give them their weights."""
    positions, weights = rule
    for i in range(GROUP):
        start, length = block[at(rows.FIRST, i)] - 0.5, block[at(rows.LENGTH, i)]
        row = row_of(length)
        for node in range(NODES):
            nodes[node_at(COUNT, node, i)] = start + length * positions[row + node]
            nodes[node_at(WEIGHT, node, i)] = length * weights[row + node]


@inlined
def evaluate(block, nodes, rules):
    """Evaluate nodes whose counts are from 3 on."""
    for node in range(NODES):
        for i in range(GROUP):
            u = nodes[node_at(COUNT, node, i)]
            per_u, log_u = 1 / u, log(u)
            mass, slope = log_mass(u, per_u, log_u, block, i)
            # Of log((1 + u) / u) by the series of the inverse hyperbolic tangent.
            ratio = 1 / (2 * u + 1)
            square = ratio * ratio
            step = 2 * ratio * (1 + square * (1 / 3 + square * (1 / 5 + square * (1 / 7))))
            density, squares = log_density(u, log_u + step, 1 / (1 + u), block, i, rules)
            nodes[node_at(TERM, node, i)] = mass + density
            nodes[node_at(SLOPE, node, i)] = slope
            nodes[node_at(SQUARES, node, i)] = squares


@inlined
def evaluate_lowest(block, nodes, rules):
    """Evaluate the counts 0 to 15 by recurrence; those beyond the panel, and 0, have no weight."""
    for i in range(GROUP):
        nodes[node_at(WEIGHT, 0, i)] = 1.0
        nodes[node_at(SLOPE, 0, i)] = block[at(rows.MEAN, i)] * block[at(rows.PER_TOTAL, i)]
        nodes[node_at(SLOPE, 0, i)] -= block[at(rows.SPREAD, i)]
    for node in range(NODES):
        u = float(node)
        log_above, per_above = math.log(1 + u), 1 / (1 + u)
        for i in range(GROUP):
            dispersion, per_total = block[at(rows.DISPERSION, i)], block[at(rows.PER_TOTAL, i)]
            mass, slope = nodes[node_at(WEIGHT, node, i)], nodes[node_at(SLOPE, node, i)]
            density, squares = log_density(u, log_above, per_above, block, i, rules)
            nodes[node_at(COUNT, node, i)] = u
            term = log(mass) - dispersion * block[at(rows.SPREAD, i)] + density
            nodes[node_at(TERM, node, i)] = term
            nodes[node_at(SQUARES, node, i)] = squares
            nodes[node_at(WEIGHT, node, i)] = 1.0 if 0 < u < block[at(rows.LENGTH, i)] else 0.0
            # Of the next count.
            step = (u + dispersion) * per_above * block[at(rows.MEAN, i)] * per_total
            nodes[node_at(WEIGHT, node + 1, i)] = mass * step
            nodes[node_at(SLOPE, node + 1, i)] = slope + 1 / (u + dispersion) - per_total


@inlined
def find_references(block, nodes):
    """Find the largest terms; the first one, which may be that of u = 0, does not matter."""
    for i in range(GROUP):
        block[at(rows.REFERENCE, i)] = nodes[node_at(TERM, 1, i)]
    for node in range(2, NODES):
        for i in range(GROUP):
            term, largest = nodes[node_at(TERM, node, i)], block[at(rows.REFERENCE, i)]
            block[at(rows.REFERENCE, i)] = term if term > largest else largest


@inlined
def add(block, nodes):
    """Add nodes to the sums of their entries."""
    for node in range(NODES):
        for i in range(GROUP):
            term = exp(nodes[node_at(TERM, node, i)] - block[at(rows.REFERENCE, i)])
            term *= nodes[node_at(WEIGHT, node, i)]
            block[at(rows.TOTAL, i)] += term
            excess = nodes[node_at(COUNT, node, i)] - block[at(rows.MEAN, i)]
            block[at(rows.BY_EXCESS, i)] += term * excess
            block[at(rows.BY_SLOPE, i)] += term * nodes[node_at(SLOPE, node, i)]
            block[at(rows.BY_SQUARES, i)] += term * nodes[node_at(SQUARES, node, i)]
