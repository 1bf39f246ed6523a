"""Tables of text, separated as their first line shows."""

from __future__ import annotations

import csv
import gzip
import warnings
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import DataError
from ..unreadable import known_reason, require_regular
from .cell_files import first_line

# Failures to read a table, packed or not.
_DAMAGE = (
    *(EOFError, LookupError, MemoryError, OSError, OverflowError, ValueError, zlib.error),
    pd.errors.ParserWarning,
)
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons"}


def separator_of(path: Path, otherwise: str = ",") -> str:
    """Find what separates the columns of a table.

    Parameters
    ----------
    path
        The table.
    otherwise
        What separates columns unless the name ends in ``.csv`` (commas) or ``.tsv`` (tabs).

    Returns
    -------
    str
        What the name says, or if the first line has none of that, the tab, semicolon or comma that
        it has.
    """
    name = path.name.removesuffix(".gz")
    expected = "," if name.endswith(".csv") else "\t" if name.endswith(".tsv") else otherwise
    header = first_line(path)
    return next((sign for sign in (expected, "\t", ";", ",") if sign in header), expected)


def read_delimited(path: Path, separator: str | None = None, **options: Any) -> pd.DataFrame:
    """Read a table of text by :func:`pandas.read_csv`.

    Parameters
    ----------
    path
        The table. Spaces around the names of columns and after separators do not count.
    separator
        What separates columns; by default as :func:`separator_of` finds.
    **options
        Further arguments of :func:`pandas.read_csv`.

    Raises
    ------
    DataError
        If the table cannot be read, or has two columns whose names differ by spaces alone.
    """
    if separator is None:
        separator = separator_of(path)
    require_regular(path)
    # A pointer to a table that was not fetched is a table, too.
    reason = known_reason(path, ValueError(), "write it again")
    if reason is not None:
        raise DataError(f"{path}: {reason}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of lines that are too long
            table = pd.read_csv(
                path,
                sep=separator,
                index_col=False,
                encoding="utf-8-sig",
                skipinitialspace=True,
                **options,
            )
    except _DAMAGE as error:
        raise DataError(f"{path}: {_reason(path, separator, error, options)}") from error
    table = table.rename(columns=lambda name: name.strip() if isinstance(name, str) else name)
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise DataError(f"{path}: has the column {twice} twice; rename or remove one")
    return table


def _reason(path: Path, separator: str, error: Exception, options: dict[str, Any]) -> str:
    """Tell why a table cannot be read, with the remedy."""
    reason = known_reason(path, error, "write it again")
    if reason is not None:
        return reason
    if isinstance(error, FileNotFoundError):
        return "no such file; check the path"
    if first_line(path).startswith("PK\3\4"):
        return "is a workbook (.xlsx) or an archive and no text; save it as text separated by tabs"
    if isinstance(error, UnicodeError):
        return "not UTF-8 text; convert it to UTF-8"
    told = str(error).removeprefix("Error tokenizing data. C error: ")
    if isinstance(error, (pd.errors.ParserError, pd.errors.ParserWarning)):
        told = _longer_line(path, separator, options.get("quoting", csv.QUOTE_MINIMAL)) or told
    return f"is no table that can be read ({told}); correct it"


def _longer_line(path: Path, separator: str, quoting: int) -> str:
    """Tell of the first line with more columns than the first; empty if there is none."""
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=separator, quoting=quoting)
            first = next(lines, [])
            for line in lines:
                if len(line) > len(first):
                    return (
                        f"line {lines.line_num} has {len(line)} columns, the first {len(first)}, "
                        f"separated by {SEPARATORS[separator]}"
                    )
    except (*_DAMAGE, csv.Error):
        pass  # the failure itself is told
    return ""
