"""Division of the reads of cells among the isoforms that they fit, in compiled loops."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import shares
from ..compiled_functions import njit
from ..compiled_loops import spread
from .classes import ClassCounts

# Cells that a thread works on before it takes more.
_CHUNK = 4
# Reads that are drawn one by one; more are halved first.
_FEW = 32


def divide_reads(
    classes: ClassCounts, positions: np.ndarray, rates: Tensor
) -> tuple[Tensor, Tensor]:
    """Divide the reads of each class among its isoforms, in proportion to rates and weights.

    Given the rates lambda of the isoforms, a read of class c comes from isoform g with probability
    lambda_g w_cg / sum_h lambda_h w_ch.

    Parameters
    ----------
    classes
        Reads of all cells.
    positions
        Positions of the cells, shape (cells,).
    rates
        Rates of the isoforms (reads), shape (cells, isoforms).

    Returns
    -------
    tuple of Tensor
        Reads of each isoform: a draw, whole numbers, and their expectation; each of shape
        (cells, isoforms), float32. Draws are seeded by torch's generator, cell by cell.
    """
    # Draws are the same on any number of threads.
    with shares.drawing():
        seeds = torch.randint(1 << 32, (len(positions),)).numpy()
    given = rates.detach().cpu().contiguous().numpy()
    drawn, expected = np.zeros((2, *given.shape), np.float32)
    counts = classes.counts
    structure = (counts.indptr, counts.indices, counts.data)
    members = (classes.starts, classes.members, classes.weights)

    def divide(own: slice) -> None:
        rows = positions[own]
        _divide(rows, *structure, *members, given[own], seeds[own], drawn[own], expected[own])

    spread(divide, len(positions), _CHUNK)
    return tuple(torch.from_numpy(found).to(rates.device) for found in (drawn, expected))


@njit(nogil=True, cache=True)
def _divide(rows, indptr, classes, reads, starts, members, weights, rates, seeds, drawn, expected):
    """Add the reads of cells to what is drawn and expected, each of shape (cells, isoforms)."""
    for row in range(len(rows)):
        np.random.seed(seeds[row])
        for place in range(indptr[rows[row]], indptr[rows[row] + 1]):
            first, last = starts[classes[place]], starts[classes[place] + 1]
            number = reads[place]
            total = 0.0
            for entry in range(first, last):
                total += rates[row, members[entry]] * weights[entry]
            if total > 0:
                _divide_class(
                    number,
                    members[first:last],
                    weights[first:last],
                    rates[row],
                    total,
                    drawn[row],
                    expected[row],
                )
            else:  # every rate is too small for its type: all isoforms are alike
                alike = np.ones_like(rates[row])
                _divide_class(
                    number,
                    members[first:last],
                    weights[first:last],
                    alike,
                    weights[first:last].sum(),
                    drawn[row],
                    expected[row],
                )


@njit(nogil=True, cache=True)
def _divide_class(number, members, weights, rates, total, drawn, expected):
    """Add the reads of one class; the last isoform takes what the others have left."""
    left, rest = number, total
    for entry in range(len(members)):
        isoform = members[entry]
        part = rates[isoform] * weights[entry]
        expected[isoform] += number * (part / total)
        own = left
        if entry < len(members) - 1:
            own = _binomial(left, min(part / rest, 1.0) if rest > 0 else 0.0)
        drawn[isoform] += own
        left -= own
        rest -= part


@njit(nogil=True, cache=True)
def _binomial(number, probability):
    """Draw a binomial count.

    The median of many uniform variables is drawn first, a beta variable, and tells which half of
    them is known; so the time grows with the logarithm of their number (Devroye 1986, Non-uniform
    random variate generation, X.4.3).
    """
    count = 0
    while number > _FEW:
        middle = 1 + number // 2
        median = np.random.beta(middle, number + 1 - middle)
        if median <= probability:
            count += middle
            number -= middle
            probability = (probability - median) / (1 - median)
        else:
            number = middle - 1
            probability /= median
    for _ in range(number):
        count += np.random.random() < probability
    return count
