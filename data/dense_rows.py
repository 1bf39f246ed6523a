"""Dense copies of a few rows of sparse matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from scipy.sparse import csr_matrix

from .compiled_loops import spread

# Values of the dense copy that a thread fills at a time.
_TOGETHER = 1 << 20


def dense_rows(matrices: Sequence[csr_matrix], numbers: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Gather rows of matrices in one dense matrix, shape (elements, columns), float32.

    Parameters
    ----------
    matrices
        Matrices of one shape.
    numbers
        Number of the matrix of each element, shape (elements,).
    rows
        Its row there, shape (elements,).
    """
    dense = np.empty((len(numbers), matrices[0].shape[1]), np.float32)
    loop, chunk = _compiled(), max(1, _TOGETHER // max(1, dense.shape[1]))
    for number in np.unique(numbers).tolist():
        places, matrix = np.flatnonzero(numbers == number), matrices[number]
        arrays = matrix.indptr, matrix.indices, matrix.data
        spread(
            lambda own, arrays=arrays, places=places: loop(
                *arrays, rows[places[own]], places[own], dense
            ),
            len(places),
            chunk,
        )
    return dense


@cache
def _compiled() -> Callable[..., None]:
    """Compile the loop, or load what was compiled before."""
    from .compiled_functions import OPTIONS, njit  # loads numba

    @njit(cache=True, **OPTIONS)
    def fill(indptr, indices, values, rows, places, dense):
        for i in range(len(rows)):
            target = dense[places[i]]
            target[:] = 0
            for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
                target[indices[k]] += values[k]

    return fill
