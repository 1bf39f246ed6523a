"""Bootstraps as pytximport stores them: one array in ``uns`` in the place of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

if TYPE_CHECKING:
    import h5py

NAME = "inferential_replicates"


def replicates_in(file: h5py.File, shape: tuple[int, int]) -> h5py.Dataset | None:
    """Find the array of bootstraps, (cells, isoforms, bootstraps); None if there is none.

    Raises
    ------
    ValueError
        If it has other cells or isoforms: anndata leaves ``uns`` whole where it selects.
    """
    import h5py

    stored = file.get(f"uns/{NAME}")
    if not isinstance(stored, h5py.Dataset) or len(stored.shape or ()) != 3:
        return None
    if stored.shape[:2] != shape or stored.dtype.kind not in "iuf":
        raise ValueError(
            f"it has the shape {stored.shape}, but there are {shape[0]} cells and {shape[1]} "
            "isoforms; select from it what was selected from the cells"
        )
    return stored


class ReplicateRows:
    """One bootstrap of all cells, read some rows at a time as :class:`~.stored_rows.StoredRows` is.

    Parameters
    ----------
    stored
        All bootstraps, shape (cells, isoforms, bootstraps).
    number
        Position of the bootstrap.
    """

    def __init__(self, stored: h5py.Dataset, number: int) -> None:
        self._stored, self._number = stored, number
        self.shape = stored.shape[:2]
        self.by_rows = True
        self.num_entries = stored.shape[0] * stored.shape[1]
        self.chunk = float((stored.chunks or (0,))[0])

    def __getitem__(self, rows: slice) -> csr_matrix:
        """Read some rows, shape (rows, isoforms), float32."""
        return csr_matrix(self._stored[rows, :, self._number].astype(np.float32))
