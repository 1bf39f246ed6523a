"""Sufficient statistics of bootstraps as a file holds them."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from ..cell_matrices import SparseSummary


def sparse_statistics(
    mean: csr_matrix | np.ndarray,
    zeros: csr_matrix | np.ndarray,
    squares: csr_matrix | np.ndarray,
    num_bootstraps: np.ndarray,
) -> SparseSummary | None:
    """Summarise statistics that are stored as an import stores them, and right.

    Parameters
    ----------
    mean, zeros, squares
        Statistics of bootstraps, shape (cells, isoforms); an import stores the second densely.
    num_bootstraps
        Number of bootstraps of each cell, shape (cells,).

    Returns
    -------
    SparseSummary or None
        None if they are stored otherwise or wrong: then every entry must be looked at.
    """
    stored = isinstance(zeros, np.ndarray) and zeros.dtype.kind == "i"
    if not stored or isinstance(mean, np.ndarray) or isinstance(squares, np.ndarray):
        return None
    cell = np.repeat(np.arange(mean.shape[0]), np.diff(mean.indptr))
    positives = num_bootstraps[cell] - zeros[cell, mean.indices]
    own = squares.toarray()[cell, mean.indices]
    finite = np.isfinite(mean.data).all() and np.isfinite(squares.data).all()
    right = (positives > 0) & (mean.data > 0) & (own >= 0) & (positives <= num_bootstraps[cell])
    inside = np.count_nonzero(zeros != num_bootstraps[:, None]) == len(positives)
    inside = inside and np.count_nonzero(own) == np.count_nonzero(squares.data)
    if not (finite and right.all() and inside):
        return None
    return SparseSummary.of_entries(cell, mean.indices, mean.shape[0], (positives, mean.data, own))
