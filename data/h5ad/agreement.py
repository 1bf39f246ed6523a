"""Bootstraps and their statistics in one file, which must describe the same cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from ..cell_matrices import SparseSummary

# Relative difference of sums that rounding may explain.
_ROUNDING = 1e-3


def first_disagreement(
    bootstraps: Sequence[csr_matrix], summary: SparseSummary, num_bootstraps: np.ndarray
) -> int | None:
    """Find a cell whose bootstraps, if the file has all of them, have other statistics.

    Sums of the bootstraps and of their squares are compared, with weights that differ by isoform,
    so that cells and isoforms in another order are found without the statistics of each entry.

    Parameters
    ----------
    bootstraps
        Bootstraps (reads), each of shape (cells, isoforms).
    summary
        Statistics of all bootstraps of the same cells.
    num_bootstraps
        Number of bootstraps of each cell, shape (cells,).

    Returns
    -------
    int or None
        Position of the first such cell.
    """
    complete = (num_bootstraps > 0) & (num_bootstraps <= len(bootstraps))
    if not complete.any():
        return None
    num_isoforms = bootstraps[0].shape[1]
    weights = np.random.default_rng(0).uniform(0.5, 1.5, num_isoforms)
    found = np.zeros((2, len(num_bootstraps)))
    for counts in bootstraps:
        values = counts.data.astype(np.float64)
        for power, sums in enumerate(found, start=1):
            sums += (
                csr_matrix((values**power, counts.indices, counts.indptr), counts.shape) @ weights
            )
    mean = summary.mean.astype(np.float64)
    first = summary.positives * mean
    told = [
        csr_matrix((values, summary.indices, summary.indptr), bootstraps[0].shape) @ weights
        for values in (first, first * mean + summary.sum_of_squares)
    ]
    differ = ~np.isclose(found, told, rtol=_ROUNDING, atol=_ROUNDING).all(0) & complete
    return int(differ.argmax()) if differ.any() else None
