"""Rows of a matrix in an ``.h5ad``, a few at a time, in the types that scipy computes with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from .inflated import InflatedDataset

if TYPE_CHECKING:
    import h5py

# Names of the two sparse formats, of anndata and of the library that it used before.
_FORMATS = {"csr_matrix": "csr", "csc_matrix": "csc", "csr": "csr", "csc": "csc"}


class DamagedMatrix(ValueError):
    """The arrays of a matrix contradict each other; the message starts with the name of one."""


def is_sparse(stored: h5py.Group | h5py.Dataset) -> bool:
    """Tell whether an element of a file is a sparse matrix."""
    return _format_of(stored) is not None


def _format_of(stored: h5py.Group | h5py.Dataset) -> str | None:
    """Give the format of a sparse matrix, csr or csc; None for anything else."""
    for name in ("encoding-type", "h5sparse_format"):
        values = np.atleast_1d(stored.attrs.get(name, "")).tolist()
        text = values[0] if len(values) == 1 else ""
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        if text in _FORMATS:
            return _FORMATS[text]
    return None


class StoredRows:
    """A matrix in an open ``.h5ad``, read some rows at a time.

    A matrix stored by columns is read as a whole, as every row needs all columns.

    Parameters
    ----------
    stored
        The dataset of a dense matrix, or the group of a sparse one.

    Attributes
    ----------
    shape
        Rows and columns.

    Raises
    ------
    DamagedMatrix
        If the arrays of a sparse matrix do not fit together.
    ValueError
        If the element is no matrix of numbers.
    """

    def __init__(self, stored: h5py.Group | h5py.Dataset) -> None:
        self._stored = stored
        self._format = _format_of(stored)
        self._whole: csr_matrix | None = None
        if self._format is not None:
            shape = stored.attrs["shape" if "shape" in stored.attrs else "h5sparse_shape"]
        else:
            shape = getattr(stored, "shape", None) or ()
        self.shape = tuple(int(size) for size in shape)
        if len(self.shape) != 2 or min(self.shape) < 0:
            raise ValueError("no matrix")
        values = stored["data"] if self._format else stored
        if values.dtype.kind not in "biuf":
            raise ValueError("no numbers")
        if self._format:
            self._indptr = self._checked_indptr()
            # Names take HDF5 a while to find.
            self._indices, self._values = map(InflatedDataset, (stored["indices"], stored["data"]))

    def _checked_indptr(self) -> np.ndarray:
        """Read and check where rows, or columns, begin, shape (rows + 1,), int64."""
        num_rows, num_columns = self.shape if self._format == "csr" else self.shape[::-1]
        sizes = {name: self._stored[name].shape for name in ("data", "indices", "indptr")}
        for name, size in sizes.items():
            if len(size) != 1 or self._stored[name].dtype.kind not in "iufb":
                raise DamagedMatrix(f"{name} is no list of numbers")
        if sizes["indptr"] != (num_rows + 1,):
            raise DamagedMatrix(f"indptr has {sizes['indptr'][0]} entries and not {num_rows + 1}")
        if sizes["data"] != sizes["indices"]:
            raise DamagedMatrix(
                f"indices has {sizes['indices'][0]} entries, data {sizes['data'][0]}"
            )
        indptr = _whole_numbers("indptr", self._stored["indptr"][:])
        rows = np.diff(indptr)
        if indptr[0] != 0:
            raise DamagedMatrix(f"indptr begins at {indptr[0]} and not at 0")
        if rows.min(initial=0) < 0:
            raise DamagedMatrix("indptr decreases")
        if indptr[-1] != sizes["indices"][0]:
            raise DamagedMatrix(f"indptr ends at {indptr[-1]}, indices at {sizes['indices'][0]}")
        if rows.max(initial=0) > num_columns:
            raise DamagedMatrix(f"indptr has rows longer than {num_columns}")
        return indptr

    @property
    def by_rows(self) -> bool:
        """Whether some rows can be read without the others."""
        return self._format != "csc"

    @property
    def is_packed(self) -> bool:
        """Whether an ``.h5ad`` has it by rows, compressed, in types that scipy computes with."""
        kind, values, places = self._stored.attrs.get("encoding-type"), self._stored, []
        if self._format:
            values, places = self._stored["data"], [self._stored["indices"]]
        # Arrays of zarr have no such attribute.
        packed = all(getattr(own, "compression", None) == "gzip" for own in (values, *places))
        standard = values.dtype.isnative and values.dtype not in (np.float16, np.longdouble, bool)
        standard &= all(own.dtype in (np.int32, np.int64) for own in places)
        return packed and standard and kind in ("csr_matrix", "array")

    @property
    def num_entries(self) -> int:
        """Number of stored values."""
        return int(self._indptr[-1]) if self._format else self.shape[0] * self.shape[1]

    @property
    def chunk(self) -> float:
        """Number of rows that are read at once, on average; a fraction where rows are long."""
        values = self._stored["data"] if self._format else self._stored
        first = (getattr(values, "chunks", None) or (0,))[0]
        rows = first * self.shape[0] / max(self.num_entries, 1) if self._format else first
        return min(rows, self.shape[0])

    def __getitem__(self, rows: slice) -> csr_matrix | np.ndarray:
        """Read some rows, shape (rows, columns), sparse if the matrix is.

        Entries of sparse rows are sorted, each column once.

        Raises
        ------
        DamagedMatrix
            If entries lie outside the matrix.
        """
        if self._format is None:
            return _standard(self._stored[rows])
        if self._format == "csr":
            return self._compressed(csr_matrix, slice(*rows.indices(self.shape[0])))
        if self._whole is None:
            self._whole = self._compressed(csc_matrix, slice(0, self.shape[1])).tocsr()
        return self._whole[rows]

    def _compressed(self, kind: type, part: slice) -> Any:
        """Read some rows of a CSR matrix, or columns of a CSC matrix, and check their entries."""
        start, stop = max(part.start, 0), max(part.stop, part.start)
        indptr = self._indptr[start : stop + 1]
        entries = slice(indptr[0], indptr[-1])
        indices = _whole_numbers("indices", self._indices[entries])
        size = self.shape[1 if kind is csr_matrix else 0]
        if indices.size and not 0 <= indices.min() <= indices.max() < size:
            raise DamagedMatrix(f"indices points outside the {size} that there are")
        data = _standard(self._values[entries])
        lengths = (len(indptr) - 1, self.shape[1]) if kind is csr_matrix else self.shape
        matrix = kind((data, indices, indptr - indptr[0]), lengths)
        matrix.sum_duplicates()
        return matrix


def _whole_numbers(name: str, values: np.ndarray) -> np.ndarray:
    """Give int32 as it is, and other whole numbers as int64, which scipy shortens if it can."""
    if values.dtype == np.int32:
        return values
    with np.errstate(invalid="ignore"):  # of what is no number
        numbers = values.astype(np.int64, copy=False)
    if values.dtype.kind == "f" and not np.array_equal(numbers, values):
        raise DamagedMatrix(f"{name} holds numbers that are not whole")
    return numbers


def _standard(values: np.ndarray) -> np.ndarray:
    """Give numbers in the byte order and one of the types that scipy computes with."""
    if values.dtype == np.float16:
        return values.astype(np.float32)
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        return values.astype(np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
