"""Blocks of entries that are worked on side by side, and the rows of numbers that they hold.

An entry is an isoform in a cell; all numbers are float64. A block is one array of rows of
:data:`BLOCK` numbers, so that compilers know how far apart rows are and vectorise loops over
entries. Logarithms of masses are relative to the probability that the count is not dropped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import rows
from .float64_math import (
    HALF_LOG_2_PI,
    digamma_deficit_of_any,
    inlined,
    log,
    log1p,
    remainder_of_any,
)

# Entries of a block, and how many of them have panels evaluated side by side. Loops over entries
# always are this long, whatever the other numbers mean: compilers vectorise them only then.
BLOCK = 512
GROUP = 32


class Rules(NamedTuple):
    """Which likelihood: is the error of the estimate shared, is the noise relative to the count."""

    shared: bool
    relative: bool


@inlined
def at(row, i):
    """Place of the i-th entry's number of a row."""
    return row * BLOCK + i


@inlined
def empty_block():
    """Make a block of harmless numbers."""
    return np.ones(rows.ROWS * BLOCK)


@inlined
def load(entries, inputs, block):
    """Copy parameters and statistics of entries, given by their positions, to a block."""
    means, dispersions, dropouts, scales, _, _, positives, centres, squares = inputs
    for i in range(len(entries)):
        place = entries[i]
        block[at(rows.MEAN, i)] = means[place]
        block[at(rows.DISPERSION, i)] = dispersions[place]
        block[at(rows.DROPOUT, i)] = dropouts[place]
        block[at(rows.HALF_PRECISION, i)] = scales[place]
        block[at(rows.HALF_POSITIVES, i)] = positives[place]
        block[at(rows.CENTRE, i)] = centres[place]
        block[at(rows.SQUARES, i)] = squares[place]


@inlined
def prepare(block, rules):
    """Compute the other rows of what the summand needs."""
    for i in range(BLOCK):
        mean, dispersion = block[at(rows.MEAN, i)], block[at(rows.DISPERSION, i)]
        scale, positives = block[at(rows.HALF_PRECISION, i)], block[at(rows.HALF_POSITIVES, i)]
        squares, half_precision = block[at(rows.SQUARES, i)], 0.5 / (scale * scale)
        constant = -positives * (HALF_LOG_2_PI + log(scale))
        constant -= 0.5 * log1p(positives) if rules.shared else 0.0
        block[at(rows.CONSTANT_SQUARES, i)] = 0.0 if rules.relative else squares * half_precision
        block[at(rows.CONSTANT, i)] = constant - block[at(rows.CONSTANT_SQUARES, i)]
        block[at(rows.PER_TOTAL, i)] = 1 / (mean + dispersion)
        block[at(rows.SPREAD, i)] = log1p(mean / dispersion)
        block[at(rows.LOG_MEAN, i)] = log(mean)
        block[at(rows.REMAINDER, i)] = remainder_of_any(dispersion)
        block[at(rows.DEFICIT, i)] = digamma_deficit_of_any(dispersion)
        block[at(rows.HALF_PRECISION, i)] = half_precision
        block[at(rows.HALF_POSITIVES, i)] = 0.5 * positives
        block[at(rows.WEIGHT, i)] = positives / (1 + positives) if rules.shared else positives
        block[at(rows.SQUARES, i)] = squares if rules.relative else 0.0
