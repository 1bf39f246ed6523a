"""Files that quantifiers write about a cell: tables and JSON, and errors that name the file.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..errors import DataError
from ..files import reading
from ..memory import FOR_HDF5, require_memory
from ..unreadable import known_reason, require_finite_heaps, require_regular
from .quantifications import AGAIN

if TYPE_CHECKING:
    import pandas as pd

# Bytes that a packed file of one cell holds at most: ten times the largest of a transcriptome.
_MOST_BYTES = 1 << 28
# Signs of damage in JSON, tables and HDF5.
DAMAGE = (
    *(ArithmeticError, AttributeError, LookupError),
    *(OSError, RuntimeError, TypeError, ValueError),
)


@contextmanager
def reading_cell(path: Path) -> Iterator[None]:
    """Turn failures to read a file of a cell into a DataError that names it and the reason."""
    require_regular(path)
    with reading(path, f"is missing; {AGAIN}", AGAIN, DAMAGE):
        try:
            yield
        except DataError:
            raise
        except DAMAGE as error:
            reason = known_reason(path, error, AGAIN)
            if reason is None:
                raise
            raise DataError(f"{path}: {reason}") from error


def packed_or_not(path: Path) -> Path:
    """Give a file, or the packed one (``.gz``) where only that exists."""
    packed = path.with_name(f"{path.name}.gz")
    return packed if packed.exists() and not path.exists() else path


def content_of(path: Path) -> bytes:
    """Read a file, unpacked."""
    content = path.read_bytes()
    return unpacked(content, _MOST_BYTES) if path.suffix == ".gz" else content


def unpacked(packed: bytes, most: int) -> bytes:
    """Unpack gzip, of one part or several.

    Raises
    ------
    ValueError
        If it holds more than ``most`` bytes: a small file can hold more than fits in memory.
    """
    with gzip.open(BytesIO(packed)) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it unpacks to more than {most} bytes")
    return content


def first_line(path: Path) -> str:
    """Read the first line of a table without its end; empty if that fails."""
    if not os.path.isfile(path):
        return ""  # a pipe, which nobody may be writing to
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            return file.readline(1000).decode(errors="replace").rstrip("\r\n")
    except (OSError, EOFError, zlib.error):
        return ""


@contextmanager
def open_h5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file, packed or not, and turn failures into a DataError that names it."""
    with reading_cell(path):
        if path.suffix == ".gz":
            source = BytesIO(content_of(path))
        else:
            require_finite_heaps(path)
            source = path
        require_memory(FOR_HDF5)
        with h5py.File(source, "r") as file:
            yield file


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    DataError
        If the file is missing or holds something else.
    """
    path = packed_or_not(path)
    with reading_cell(path):
        values = json.loads(content_of(path))
        if not isinstance(values, dict):
            raise ValueError("no JSON object")
        return values


def read_information(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read a JSON object that only informs.

    Returns
    -------
    values
        The object, empty if it is missing or cannot be read.
    notes
        A remark if it cannot be read.
    """
    if not packed_or_not(path).exists():
        return {}, ()
    try:
        return read_json(path), ()
    except DataError:
        return {}, (f"{path.name} is no valid JSON and is not used",)


def read_table(path: Path, identifier: str, columns: dict[str, type]) -> pd.DataFrame:
    """Read columns of a tab-separated table with a header.

    Parameters
    ----------
    path
        The table, compressed if its name ends in ``.gz``.
    identifier
        Column of names, read as strings.
    columns
        Further columns and their types.

    Raises
    ------
    DataError
        If the file is missing, truncated or lacks a column or any row.
    """
    import pandas as pd  # slow to load, and not needed for HDF5

    with reading_cell(path):
        content = content_of(path)
        if not content.endswith(b"\n"):
            raise ValueError("its last line has no end")
        table = pd.read_csv(
            BytesIO(content),
            sep="\t",
            usecols=[identifier, *columns],
            dtype={identifier: str, **columns},
            na_values=dict.fromkeys(columns, ["nan", "-nan", "NaN"]),
            keep_default_na=False,  # a name may be NA
            index_col=False,
            quoting=3,  # names may hold quotation marks
        )
        if table.empty:
            raise ValueError("no rows")
        return table


def read_tpm(path: Path, identifier: str, column: str) -> np.ndarray:
    """Read transcripts per million from a column of a table, shape (isoforms,), float64."""
    return read_table(path, identifier, {column: np.float64})[column].to_numpy()


def as_bytes(names: pd.Series) -> np.ndarray:
    """Names of transcripts as bytes, shape (isoforms,)."""
    return np.array([name.encode() for name in names], dtype=np.bytes_)
