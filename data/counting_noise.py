"""Bootstraps that vary less than counts of reads do, as after a logarithm or a normalisation.

Bootstraps are draws of as many reads as the cell has, so that the variance of an isoform's count is
at least about its mean. A logarithm leaves a variance near the inverse of the count, and division
of all counts by a number divides variance over mean by the same number.
"""

from __future__ import annotations

import numpy as np

from .cell_tables import CellTable

# Cells that are looked at, the first of all: a transformation is of all cells.
_CELLS = 1000
# Entries with a smaller mean may be zero in most bootstraps; one with more than half of the reads
# of its cell hardly varies, as all reads of the cell are drawn.
_LEAST_MEAN, _LARGEST_SHARE = 2.0, 0.5
# Fewer entries tell nothing. The median of variance / mean of 240 quantified cells is 1.2, and of
# counts without ambiguity at least 0.2, where there are two bootstraps and half of the reads.
_LEAST_ENTRIES, _LEAST_RATIO = 20, 0.1


def told_too_steady(cells: CellTable) -> str | None:
    """Tell by how much bootstraps vary less than counts; None if they vary enough."""
    if not cells.has_summary:
        return None
    number = cells.num_bootstraps[:_CELLS]
    summary = cells.reader(("summary",)).take(np.arange(len(number))).summary
    rows = np.repeat(np.arange(len(number)), np.diff(summary.indptr))
    values = (own.astype(np.float64) for own in summary[2:])
    positives, positive_mean, squares = values
    mean = positives * positive_mean / number[rows]
    # Stored sums of squares are centred at the mean of the positive bootstraps, not of all.
    squares += positives * positive_mean * (positive_mean - mean)
    total = np.bincount(rows, mean, len(number))
    chosen = (number[rows] > 1) & (mean >= _LEAST_MEAN) & (mean <= _LARGEST_SHARE * total[rows])
    if chosen.sum() < _LEAST_ENTRIES:
        return None
    ratio = float(np.median(squares[chosen] / (number[rows][chosen] - 1) / mean[chosen]))
    if ratio >= _LEAST_RATIO:
        return None
    return (
        f"the variance of its bootstraps is {ratio:.2g} of their mean, and of counts it is about 1 "
        "or more; if X and the layers infRep were normalised or log-transformed, intervals will be "
        "wrong: give them as the quantifier estimated them"
    )
