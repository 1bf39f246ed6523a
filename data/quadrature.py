"""Gaussian rules of sums over equally spaced points."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray


@cache
def gram_rule(size: int, longest: int) -> NDArray[np.float64]:
    """Nodes and weights of sums over equally spaced points, as shares of their length.

    Parameters
    ----------
    size
        Number of nodes; shorter sums have a node for each point.
    longest
        Most points of a sum; the rule of longer ones is the integral's (Gauss-Legendre).

    Returns
    -------
    ndarray
        Nodes and weights by length, shape (2, longest + 2, size).

    Notes
    -----
    From the recurrence of Gram's polynomials (Gautschi 2004, table 1.2: discrete Chebyshev).
    """
    rule = np.empty((2, longest + 2, size))
    for length in range(longest + 2):
        if length <= size:
            count, most = np.arange(size), max(length, 1)
            rule[:, length] = (np.minimum(count, most - 1) + 0.5) / most, (count < length) / most
            continue
        k = np.arange(1, size)
        finite = 0.0 if length > longest else (k / length) ** 2
        beside = np.sqrt(k**2 * (1 - finite) / (4 * (4 * k**2 - 1)))
        nodes, vectors = np.linalg.eigh(np.diag(beside, -1) + np.diag(beside, 1))
        rule[:, length] = 0.5 + nodes, vectors[0] ** 2
    return rule
