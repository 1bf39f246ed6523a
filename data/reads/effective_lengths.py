"""Effective lengths of isoforms, from the lengths of fragments that were sequenced."""

from __future__ import annotations

import numpy as np


def effective_lengths(lengths: np.ndarray, fragments: np.ndarray) -> np.ndarray:
    """Compute effective lengths as kallisto does (``weights.cpp`` of pachterlab/kallisto).

    An isoform of length L has L - m + 1 places where a fragment may start; m is the mean length of
    the fragments that are no longer than it. Where less than one is left, it keeps its length.

    Parameters
    ----------
    lengths
        Lengths of the isoforms (bases), shape (isoforms,).
    fragments
        Number of fragments of 0, 1, ... bases, shape (longest + 1,).

    Returns
    -------
    numpy.ndarray
        Effective lengths (bases), shape (isoforms,), float64.

    Examples
    --------
    >>> effective_lengths(np.array([1000, 150]), np.bincount([200, 200, 100]))
    array([834.33333333,  51.        ])
    """
    size = np.arange(len(fragments))
    number = np.cumsum(fragments, dtype=np.float64)
    total = np.cumsum(size * fragments, dtype=np.float64)
    mean = np.divide(total, number, out=np.zeros(len(fragments)), where=number > 0)
    effective = lengths - mean[np.minimum(lengths, len(fragments) - 1)] + 1
    return np.where(effective < 1, lengths, effective).astype(np.float64)
