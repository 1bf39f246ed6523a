"""An ``.h5ad`` that is written row by row, in memory that does not grow with the rows.

Matrices are extensible datasets in the format that anndata reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata.io import write_elem

from ..quantified.cell_rows import SparseRow
from .growing import encode
from .new_files import NewFile

# Values in a chunk of a file, and bytes of rows that wait to be written. Rows of some hundred
# matrices must not take much memory, so both are small.
_CHUNK = 1 << 14
_WAITING = 1 << 22
# R has no other filter. Indices and small whole numbers gain from shuffled bytes; values, which
# are mostly whole numbers in float32, lose.
_COMPRESSION: dict[str, Any] = {"compression": "gzip", "compression_opts": 1}


class H5adRows:
    """Writes rows of several matrices, all of one shape, to a new ``.h5ad``; a context manager.

    Parameters
    ----------
    path
        The file.
    num_columns
        Number of columns of every matrix.
    """

    def __init__(self, path: Path, num_columns: int) -> None:
        # A chunk of each dataset waits in the cache until it is full.
        self._file = NewFile(path, rdcc_nbytes=2 * _CHUNK * 4, rdcc_nslots=11)
        self._num_columns = num_columns
        self._num_rows = 0
        self._waiting = 0
        self._sparse: dict[str, _SparseMatrix] = {}
        self._dense: dict[str, _DenseMatrix] = {}

    def __enter__(self) -> H5adRows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(
        self, sparse: Mapping[str, SparseRow], dense: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Append a row to each matrix.

        Parameters
        ----------
        sparse
            Rows by the place of their matrix: ``X``, ``layers/infRep1``. A matrix that is new has
            empty rows above; one that is not mentioned gets an empty row.
        dense
            Rows of dense matrices, shape (columns,), the same matrices each time.
        """
        for place, row in sparse.items():
            if place not in self._sparse:
                dtype = row.values.dtype
                self._sparse[place] = _SparseMatrix(self._file, place, dtype, self._num_rows)
            self._waiting += row.indices.nbytes + row.values.nbytes
        for place, matrix in self._sparse.items():
            matrix.append(sparse.get(place))
        for place, values in (dense or {}).items():
            if place not in self._dense:
                self._dense[place] = _DenseMatrix(self._file, place, values)
            self._dense[place].append(values)
            self._waiting += values.nbytes
        self._num_rows += 1
        if self._waiting >= _WAITING:
            self._flush()

    def finish(
        self,
        obs: pd.DataFrame,
        var: pd.DataFrame,
        uns: Mapping[str, Any] | None = None,
        obsm: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the rows that wait, the tables of rows and of columns, and others if given."""
        self._flush()
        for place in self._sparse:
            shape = np.array([self._num_rows, self._num_columns])
            encode(self._file[place], "csr_matrix", "0.1.0", shape=shape)
        for place in self._dense:
            encode(self._file[place], "array", "0.2.0")
        if "layers" in self._file:
            encode(self._file["layers"], "dict", "0.1.0")
        for name, value in (("obs", obs), ("var", var), ("uns", uns), ("obsm", obsm)):
            if value is not None:
                write_elem(self._file, name, dict(value) if name in ("uns", "obsm") else value)
        encode(self._file, "anndata", "0.1.0")

    def _flush(self) -> None:
        for matrix in (*self._sparse.values(), *self._dense.values()):
            matrix.flush()
        self._file.check()
        self._waiting = 0


def _extend(dataset: h5py.Dataset, values: np.ndarray) -> None:
    """Append along the first axis."""
    start = len(dataset)
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


class _SparseMatrix:
    """A matrix in compressed sparse rows that grows in the file."""

    def __init__(self, file: h5py.File, place: str, dtype: np.dtype, empty_rows: int) -> None:
        def create(name: str, dtype: npt.DTypeLike, shuffle: bool) -> h5py.Dataset:
            return file.create_dataset(
                f"{place}/{name}",
                shape=(0,),
                maxshape=(None,),
                chunks=(_CHUNK,),
                dtype=dtype,
                shuffle=shuffle,
                **_COMPRESSION,
            )

        self._data = create("data", dtype, False)
        self._indices = create("indices", np.int32, True)
        self._indptr = create("indptr", np.int64, True)
        self._num_entries = 0
        self._rows: list[SparseRow] = []
        self._ends = [0] * (empty_rows + 1)

    def append(self, row: SparseRow | None) -> None:
        if row is not None:
            self._rows.append(row)
            self._num_entries += len(row.indices)
        self._ends.append(self._num_entries)

    def flush(self) -> None:
        if self._rows:
            indices, values = map(np.concatenate, zip(*self._rows, strict=True))
            _extend(self._indices, indices)
            _extend(self._data, values)
        if self._ends:
            _extend(self._indptr, np.array(self._ends))
        self._rows, self._ends = [], []


class _DenseMatrix:
    """A matrix that grows in the file."""

    def __init__(self, file: h5py.File, place: str, row: np.ndarray) -> None:
        num_columns = len(row)
        self._values = file.create_dataset(
            place,
            shape=(0, num_columns),
            maxshape=(None, num_columns),
            chunks=(max(1, _CHUNK // num_columns), num_columns),
            dtype=row.dtype,
            shuffle=True,
            **_COMPRESSION,
        )
        self._rows: list[np.ndarray] = []

    def append(self, row: np.ndarray) -> None:
        self._rows.append(row)

    def flush(self) -> None:
        if self._rows:
            _extend(self._values, np.stack(self._rows))
        self._rows = []
