"""Rows of a matrix in an ``.h5ad``, a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

if TYPE_CHECKING:
    import h5py


class StoredRows:
    """A matrix in an open ``.h5ad``, read some rows at a time.

    A matrix stored by columns is read as a whole, as every row needs all columns.

    Parameters
    ----------
    stored
        The dataset of a dense matrix, or the group of a sparse one.
    """

    def __init__(self, stored: h5py.Group | h5py.Dataset) -> None:
        import h5py  # with anndata slow to import, and not needed for documents
        from anndata.io import read_elem

        self.is_sparse = isinstance(stored, h5py.Group)
        if self.is_sparse and stored.attrs.get("encoding-type") != "csr_matrix":
            stored = csr_matrix(read_elem(stored))
        self._stored = stored
        shape = stored.attrs["shape"] if isinstance(stored, h5py.Group) else stored.shape
        self.shape = tuple(int(size) for size in shape)

    def __getitem__(self, rows: slice) -> csr_matrix | np.ndarray:
        """Read some rows, shape (rows, columns), sparse if the matrix is."""
        import h5py

        if not isinstance(self._stored, h5py.Group):
            return self._stored[rows]
        indptr = self._stored["indptr"][rows.start : rows.stop + 1]
        data, indices = (self._stored[name][indptr[0] : indptr[-1]] for name in ("data", "indices"))
        return csr_matrix((data, indices, indptr - indptr[0]), (len(indptr) - 1, self.shape[1]))
