"""Files that quantifiers write about a cell: tables and JSON, and errors that name the file.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..errors import DataError
from ..files import reading
from ..heaps import require_finite_heaps
from ..memory import FOR_HDF5, require_memory
from ..unreadable import known_reason, require_regular
from .quantifications import AGAIN

if TYPE_CHECKING:
    import pandas as pd

BOM = b"\xef\xbb\xbf"
# Excel's first line, which names the separator.
_SEPARATOR_LINE = re.compile(rb'"?sep=.')
# Bytes of a line that are looked at.
_LONGEST_LINE = 1 << 14
# Bytes that a packed file of one cell holds at most: ten times the largest of a transcriptome.
_MOST_BYTES = 1 << 28
# Names of transcripts, which may hold commas, are before the first tab.
_COMMA_IN_NUMBER = re.compile(rb"\t-?\d+,\d")
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
    """Read the first line of a table, after comments, without its end; empty if that fails."""
    return next(iter(first_lines(path, 1)), "")


def first_lines(path: Path, number: int) -> list[str]:
    """Read the first lines of a table, after comments, without their ends; none if that fails.

    Lines that are longer than most headers are cut.
    """
    if not os.path.isfile(path):
        return []  # a pipe, which nobody may be writing to
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            lines = iter(lambda: file.readline(_LONGEST_LINE), b"")
            kept = islice(without_comments(lines), number)
            return [line.decode(errors="replace").rstrip("\r\n") for line in kept]
    except (OSError, EOFError, zlib.error):
        return []


def without_comments(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out lines before the header of a table that begin with ``#``, or with ``sep=``.

    The last of them is the header if it looks so, without the sign.

    Examples
    --------
    >>> list(without_comments([b"# by hand", b"#cell,type", b"A,T"]))
    [b'cell,type', b'A,T']
    """
    last = b""
    lines = iter(lines)
    for number, line in enumerate(lines):
        line = line if number else line.removeprefix(BOM)
        if not is_comment(line):
            if _names_columns(last, line):
                yield last[1:]
            yield line
            break
        last = line
    yield from lines


def is_comment(line: bytes) -> bool:
    """Tell whether a line above the header of a table is no part of it."""
    return line.startswith(b"#") or _SEPARATOR_LINE.match(line) is not None


def _names_columns(comment: bytes, row: bytes) -> bool:
    """Tell whether a comment has names, without spaces before the first separator, for a row."""
    separator = next((sign for sign in (b"\t", b";", b",") if sign in row), None)
    if not comment.startswith(b"#") or separator is None:
        return False
    if comment.count(separator) != row.count(separator):
        return False
    return b" " not in comment.partition(separator)[0]


@contextmanager
def open_h5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file, packed or not, and turn failures into a DataError that names it."""
    with reading_cell(path):
        if path.suffix == ".gz":
            content = content_of(path)
            require_finite_heaps(path, content)
            source = BytesIO(content)
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
        The table, compressed if its name ends in ``.gz``. Comments above the header do not count.
    identifier
        Column of names, read as strings.
    columns
        Further columns and their types.

    Raises
    ------
    DataError
        If the file is missing, truncated or lacks a column or any row, or another program than the
        quantifier has written it since.
    """
    try:
        return _read_table(path, identifier, columns)
    except DataError as error:
        if is_changed(path, (identifier, *columns)):
            raise changed(path) from error
        raise


def _read_table(path: Path, identifier: str, columns: dict[str, type]) -> pd.DataFrame:
    import pandas as pd  # slow to load, and not needed for HDF5

    with reading_cell(path):
        content = content_of(path)
        if not content.endswith(b"\n"):
            raise ValueError("its last line has no end")
        if content.startswith(b"#"):
            content = b"".join(without_comments(content.splitlines(keepends=True)))
        header, row, *_ = [*content[:_LONGEST_LINE].split(b"\n", 2), b""]
        if row.count(b"\t") > header.count(b"\t"):
            raise ValueError("its header is shorter than its rows")
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


def is_changed(path: Path, columns: Iterable[str]) -> bool:
    """Tell whether another program has written a table of a quantifier again.

    Its separators, quotation marks, number of names, or commas in numbers tell.
    """
    header, *rows = first_lines(path, 2) or [""]
    wanted, names = set(columns), header.split("\t")
    if not wanted <= set(names):
        return wanted <= set(re.split('[;,\t "]+', header.removeprefix("\ufeff")))
    if any(len(row.split("\t")) > len(names) for row in rows):
        return True
    try:
        return _COMMA_IN_NUMBER.search(content_of(path)) is not None
    except (OSError, EOFError, MemoryError, ValueError, zlib.error):
        return False  # damaged


def changed(path: Path) -> DataError:
    """Make the error for a table that another program has written since."""
    return DataError(
        f"{path}: was changed after its quantifier wrote it (separator, quotation marks, names of "
        f"rows or decimal comma), as Excel and R do; {AGAIN}"
    )


def read_tpm(path: Path, identifier: str, column: str) -> np.ndarray:
    """Read transcripts per million from a column of a table, shape (isoforms,), float64."""
    return read_table(path, identifier, {column: np.float64})[column].to_numpy()


def as_bytes(names: pd.Series) -> np.ndarray:
    """Names of transcripts as bytes, shape (isoforms,)."""
    return np.array([name.encode() for name in names], dtype=np.bytes_)
