"""Matrices of an ``.h5ad`` that grow by blocks of rows, in the format that anndata reads."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, get_index_dtype

# R has no other filter.
_COMPRESSION: dict[str, Any] = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
# Level and strategy of zlib. Fractions whose bytes are put apart are like filtered signals: with
# the strategy for these, level 4 makes smaller files than level 9 with the default strategy of
# HDF5, in a tenth of the time. Places are increasing whole numbers, for which it is the reverse.
_OF_FRACTIONS, _OF_PLACES = (4, zlib.Z_FILTERED), (9, zlib.Z_DEFAULT_STRATEGY)
_MEMORY_LEVEL = 9
# Values in a chunk. Large chunks compress better; each dataset holds one in memory.
_CHUNK = 1 << 16


def encode(place: h5py.Group | h5py.Dataset, kind: str, version: str, **attributes: Any) -> None:
    """Mark an element as anndata expects it."""
    place.attrs.update({"encoding-type": kind, "encoding-version": version, **attributes})


class _Values:
    """A one-dimensional dataset that is written in whole chunks, as each is compressed once."""

    def __init__(self, group: h5py.Group, name: str, dtype: npt.DTypeLike, chunk: int) -> None:
        self.dataset = group.create_dataset(
            name,
            shape=(0,),
            maxshape=(None,),
            chunks=(chunk,),
            dtype=dtype,
            **_COMPRESSION,
        )
        self._chunk = chunk
        self._waiting: list[np.ndarray] = []
        self._number = 0

    def extend(self, values: np.ndarray) -> None:
        self._waiting.append(values)
        self._number += len(values)
        if self._number >= self._chunk:
            self._write(self._number - self._number % self._chunk)

    def finish(self) -> None:
        self._write(self._number)

    def _write(self, number: int) -> None:
        if not self._waiting:
            return
        values = np.concatenate(self._waiting)
        start = len(self.dataset)
        self.dataset.resize(start + number, axis=0)
        for first in range(0, number, self._chunk):
            own = values[first : min(first + self._chunk, number)].astype(self.dataset.dtype)
            self.dataset.id.write_direct_chunk((start + first,), _compressed(own, self._chunk))
        self._waiting = [values[number:]]
        self._number -= number


def _compressed(values: np.ndarray, size: int) -> bytes:
    """Compress a chunk of ``size`` values as HDF5's filters do, zeros at its end."""
    chunk = np.zeros(size, values.dtype)
    chunk[: len(values)] = values
    planes = chunk.view(np.uint8).reshape(size, -1).T.tobytes()
    level, strategy = _OF_FRACTIONS if values.dtype.kind == "f" else _OF_PLACES
    deflate = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, _MEMORY_LEVEL, strategy)
    return deflate.compress(planes) + deflate.flush()


class SparseLayers:
    """Matrices in compressed sparse rows whose entries have the same places.

    The places are written once: each matrix links to them.

    Parameters
    ----------
    parent
        The group that will hold the matrices.
    shape
        Rows, an upper bound, and columns.
    chunk
        Values in a chunk of the file.
    """

    def __init__(
        self,
        parent: h5py.Group,
        shape: tuple[int, int],
        *,
        chunk: int = _CHUNK,
    ) -> None:
        self._parent = parent
        self._num_columns = shape[1]
        # scipy wants both in one type.
        self._type_of_places = get_index_dtype(maxval=shape[0] * shape[1])
        self._chunk = chunk
        self._values: dict[str, _Values] = {}
        self._indices: _Values | None = None
        self._sizes: list[np.ndarray] = []

    def extend(
        self, sizes: np.ndarray, indices: np.ndarray, values: Mapping[str, np.ndarray]
    ) -> None:
        """Append rows to every matrix.

        Parameters
        ----------
        sizes
            Number of entries in each row, shape (rows,).
        indices
            Columns of the entries, row by row in ascending order, shape (entries,).
        values
            Entries of each matrix by name, shape (entries,); the same names each time.
        """
        for name, own in values.items():
            if name not in self._values:
                group = self._parent.create_group(name)
                self._values[name] = _Values(group, "data", own.dtype, self._chunk)
                if self._indices is None:
                    kind = self._type_of_places
                    self._indices = _Values(group, "indices", kind, self._chunk)
            self._values[name].extend(own)
        self._indices.extend(indices.astype(self._type_of_places, copy=False))
        self._sizes.append(sizes)

    def finish(self) -> None:
        """Write what waits, and the shape of the matrices."""
        if self._indices is None:
            return
        self._indices.finish()
        ends = np.concatenate([[0], *self._sizes]).cumsum().astype(self._type_of_places)
        shape = np.array([len(ends) - 1, self._num_columns])
        first: h5py.Group | None = None
        for name, values in self._values.items():
            values.finish()
            group = self._parent[name]
            if first is None:
                first = group
                group.create_dataset("indptr", data=ends, **_COMPRESSION)
            else:
                group["indices"], group["indptr"] = first["indices"], first["indptr"]
            encode(group, "csr_matrix", "0.1.0", shape=shape)


class GrowingMatrix:
    """A matrix, sparse or dense as its first block is.

    Parameters
    ----------
    parent
        The group that will hold it.
    name
        Its name there.
    num_rows
        Number of rows, an upper bound.
    """

    def __init__(self, parent: h5py.Group, name: str, num_rows: int) -> None:
        self._parent, self._name, self._num_rows = parent, name, num_rows
        self._sparse: SparseLayers | None = None

    def extend(self, rows: csr_matrix | np.ndarray) -> None:
        """Append rows, shape (rows, columns)."""
        if isinstance(rows, np.ndarray):
            self._extend_dense(rows)
            return
        if self._sparse is None:
            self._sparse = SparseLayers(self._parent, (self._num_rows, rows.shape[1]))
        self._sparse.extend(np.diff(rows.indptr), rows.indices, {self._name: rows.data})

    def finish(self) -> None:
        """Write what waits."""
        if self._sparse is not None:
            self._sparse.finish()

    def _extend_dense(self, rows: np.ndarray) -> None:
        if self._name not in self._parent:
            num_columns = rows.shape[1]
            dataset = self._parent.create_dataset(
                self._name,
                shape=(0, num_columns),
                maxshape=(None, num_columns),
                chunks=(max(1, _CHUNK // num_columns), num_columns),
                dtype=rows.dtype,
                **_COMPRESSION,
            )
            encode(dataset, "array", "0.2.0")
        dataset = self._parent[self._name]
        start = len(dataset)
        dataset.resize(start + len(rows), axis=0)
        dataset[start:] = rows
