"""Files of arrays, `.npz`.

They are written uncompressed, array after array and part after part, as numpy writes them. An array
need not be in memory as a whole, and one that is uncompressed can be mapped when it is read; see
:mod:`exvae.data.corpus_formats.npz`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from .errors import DataError
from .files import DAMAGE, written_atomically
from .unreadable import require_regular


@dataclass(frozen=True)
class ArrayParts:
    """An array by its parts, which are made when they are needed.

    Attributes
    ----------
    shape
        Shape of the array, of one dimension or more.
    dtype
        Type of the array.
    parts
        Arrays of shape (rows, ...), in order; together they have as many rows as the array.
    """

    shape: tuple[int, ...]
    dtype: DTypeLike
    parts: Iterable[np.ndarray]

    @classmethod
    def of(cls, array: np.ndarray) -> ArrayParts:
        """Take a whole array, of any shape, as the only part."""
        return cls(array.shape, array.dtype, [array])

    def array(self) -> np.ndarray:
        """Put the parts into one array; ValueError if they have too many or too few rows."""
        array = np.empty(self.shape, self.dtype)
        end = 0
        for part in self.parts:
            start, end = end, end + len(part)
            self._check(end <= len(array))
            array[start:end] = part
        self._check(end == len(array))
        return array

    def write(self, file: BinaryIO) -> None:
        """Write a `.npy`; ValueError as for :meth:`array`."""
        dtype = np.dtype(self.dtype)
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": self.shape,
        }
        np.lib.format.write_array_header_1_0(file, header)
        rows = 0
        for part in self.parts:
            rows += len(part)
            file.write(np.ascontiguousarray(part, dtype).reshape(-1).view(np.uint8).data)
        self._check(rows == self.shape[0])

    def _check(self, complete: bool) -> None:
        if not complete:
            raise ValueError(f"the parts of an array do not fill its shape, {self.shape}")


def read_npz(
    path: Path, what: str, names: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Read arrays by name; an optional array may be missing.

    Raises
    ------
    DataError
        If the file cannot be read as ``what``, its description in the message.
    """
    require_regular(path)
    try:
        # Opened here, as numpy leaves a file open that is no archive.
        with path.open("rb") as file, np.load(file) as arrays:
            found = [name for name in optional if name in arrays]
            return {name: _array(name, arrays[name]) for name in (*names, *found)}
    except (*DAMAGE, LookupError, MemoryError, OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as {what} ({error}); give an .npz with "
            f"{', '.join(names[:-1])} and {names[-1]}"
        ) from error


def _array(name: str, value: np.ndarray | bytes) -> np.ndarray:
    """Give an array; numpy gives the bytes of a member that is none."""
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{name} is no array")
    return value


def write_npz(path: Path, arrays: Mapping[str, ArrayParts]) -> None:
    """Write arrays, in order, into an uncompressed `.npz` that appears when it is complete.

    Raises
    ------
    DataError
        If the file cannot be written, or its name does not end in ``.npz``.
    """
    if path.suffix != ".npz":
        raise DataError(f"{path}: corpora are written as .npz; give a name that ends in .npz")
    with (
        written_atomically(path) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
    ):
        for name, parts in arrays.items():
            # A zip file must know beforehand that a member may pass 2 GiB.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                parts.write(file)
