"""Tables of text, separated as their first line shows."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
import zlib
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import DataError
from ..unreadable import known_reason, other_content, require_regular
from .cell_files import BOM, content_of, first_lines, is_comment, without_comments

# Failures to read a table, packed or not.
_DAMAGE = (
    *(EOFError, LookupError, MemoryError, OSError, OverflowError, ValueError, zlib.error),
    pd.errors.ParserWarning,
)
SPACES = r"\s+"
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", SPACES: "spaces"}
_BETWEEN_SPACES = re.compile(r'"[^"]*"|\S+')
# Lines that are looked at.
_FIRST = 20


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
        it has; spaces if the first lines have as many fields as the first or one more, as R writes
        them.
    """
    name = path.name.removesuffix(".gz")
    expected = "," if name.endswith(".csv") else "\t" if name.endswith(".tsv") else otherwise
    lines = first_lines(path, _FIRST)
    header = lines[0] if lines else ""
    found = next((sign for sign in (expected, "\t", ";", ",") if sign in header), None)
    if found is None:
        return SPACES if _is_spaced(lines) else expected
    return found


def _is_spaced(lines: list[str]) -> bool:
    """Tell whether spaces separate the columns of a table; its header may be one name shorter."""
    header, *rows = [len(_BETWEEN_SPACES.findall(line)) for line in lines if line.strip()] or [0]
    if not rows or len(set(rows)) > 1 or rows[0] - header not in (0, 1):
        return False
    return header > 1 or (rows[0] > 1 and '"' in lines[0])


def _has_short_header(path: Path, separator: str, options: dict[str, Any]) -> bool:
    """Tell whether the header lacks the name of the first column, which R's write.table omits."""
    lines = [line for line in first_lines(path, _FIRST) if line.strip()]
    if not lines or (options.get("header", 0) is None and '"' not in lines[0]):
        return False  # the first line may be a row
    if separator == SPACES:
        header, *rows = (len(_BETWEEN_SPACES.findall(line)) for line in lines)
    else:
        try:
            header, *rows = (len(own) for own in csv.reader(lines, delimiter=separator))
        except csv.Error:
            return False  # told by pandas
    return bool(rows) and set(rows) == {header + 1}


def _content(path: Path, separator: str, options: dict[str, Any]) -> Path | StringIO:
    """Give a table as pandas reads it: without comments above, and with a name for all columns."""
    short = _has_short_header(path, separator, options)
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        has_comment = is_comment(file.read(16).removeprefix(BOM))
    if not (short or has_comment):
        return path
    text = b"".join(without_comments(content_of(path).splitlines(keepends=True)))
    added = f'""{" " if separator == SPACES else separator}' if short else ""
    return StringIO(added + text.decode("utf-8-sig"))


def read_delimited(path: Path, separator: str | None = None, **options: Any) -> pd.DataFrame:
    """Read a table of text by :func:`pandas.read_csv`.

    Parameters
    ----------
    path
        The table. Spaces around the names of columns and after separators do not count, nor do
        comments above the header. A header that lacks the name of the first column, as R's
        write.table leaves it out, gets an empty one.
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
                _content(path, separator, options),
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
    other = other_content(path, "save it as text separated by tabs")
    if other is not None:
        return other
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
            # Fields between several spaces have no such reader.
            sign = " " if separator == SPACES else separator
            lines = csv.reader(file, delimiter=sign, quoting=quoting, skipinitialspace=True)
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
