"""Tables of text, and those about cells: columns of ``obs``."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from ..errors import DataError
from .delimited import read_delimited, separator_of

_DECIMAL_COMMA = re.compile(r"[-+]?\d+(,\d+)?")


def read_cell_table(
    path: Path,
    cells: Sequence[str],
    reserved: Collection[str],
    key: str | None = None,
    only_listed: bool = False,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read columns of ``obs``.

    Parameters
    ----------
    path
        A table with a header, separated as :func:`read_delimited` finds.
    cells
        Names of the cells, in the order of the result.
    reserved
        Columns that the table must not have.
    key
        Column with the names of the cells; by default the first.
    only_listed
        Whether to leave out cells that the table lacks.

    Returns
    -------
    table
        A row for each of ``cells``, or for each that is listed.
    notes
        Remarks on rows and cells that are not used, one line each.

    Raises
    ------
    DataError
        If the table cannot be read, has no header, lacks a cell, has one twice, or has a column
        that is reserved.
    """
    table, key = _read_keyed(path, key, cells)
    # A column without a name is the number of the row, which pandas and R write.
    numbers = [name for name in table.columns if name.startswith("Unnamed: ") and name != key]
    others = table.set_index(key, drop=True).rename_axis(None).drop(columns=numbers)
    names = others.index
    clash = [column for column in others.columns if column in reserved or "/" in column]
    if clash:
        raise DataError(
            f"{path}: has a column {clash[0]}, which is reserved or no name for a column of obs; "
            "rename or remove it"
        )
    listed = [cell for cell in cells if cell in names]
    missing = [cell for cell in cells if cell not in names]
    notes = []
    if missing:
        told = f"{path}: lacks {len(missing)} of {len(cells)} cells, the first is {missing[0]}"
        if not (only_listed and listed):
            raise DataError(f"{told}; {_remedy(table, key, cells, bool(listed))}")
        notes.append(f"{told}; they are left out")
    extra = names[~names.isin(cells)]
    if len(extra):
        notes.append(
            f"{path}: {len(extra)} rows, the first {extra[0]}, are of no cell that is imported"
        )
    return _with_categories(others.loc[listed]), tuple(notes)


def _read_keyed(path: Path, key: str | None, cells: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """Read a table and the name of its column of distinct names, by default the first."""
    header = read_delimited(path, nrows=0).columns
    if key is None:
        key = header[0]
    elif key not in header:
        _require_header(path, header, (), cells)
        raise DataError(f"{path}: has no column {key} (--obs-key); it has {', '.join(header)}")
    table = read_delimited(path, converters={header.get_loc(key): str.strip})
    if separator_of(path) == ";":
        table = _with_decimal_commas(table, key)
    names = table[key]
    if names.duplicated().any():
        twice = names[names.duplicated()].iloc[0]
        raise DataError(f"{path}: has the cell {twice} twice; remove one of its rows")
    _require_header(path, header, names, cells)
    return table, key


def _require_header(
    path: Path, header: Collection[str], names: Collection[str], cells: Sequence[str]
) -> None:
    """Raise a DataError if a cell is named by the header and by no row, so that it is a row."""
    rows = set(names)
    eaten = [cell for cell in cells if cell in set(header) and cell not in rows]
    if eaten:
        raise DataError(
            f"{path}: its first line has the cell {eaten[0]}, so that the header is missing; add "
            "a first line with the names of the columns"
        )


def _remedy(table: pd.DataFrame, key: str, cells: Sequence[str], some_listed: bool) -> str:
    """Tell how a table that lacks cells can be used: by another column, or for the cells it has."""
    wanted = set(cells)
    matches = {
        column: len(wanted.intersection(table[column].astype(str))) for column in table.columns
    }
    best = max(matches, key=matches.__getitem__)
    if best != key and matches[best] > matches[key]:
        return f"its column {best!r} names {matches[best]} of them: give it as --obs-key"
    if some_listed:
        return "add a row for each, or leave them out with --only-listed"
    return f"name the cells as their folders in the column {key!r}, or give another as --obs-key"


def _with_decimal_commas(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """Read numbers with decimal commas, which programs write where semicolons separate columns."""
    table = table.copy()
    others = table.drop(columns=key)
    for column in others.columns[[kind.kind not in "biuf" for kind in others.dtypes]]:
        text = table[column].dropna().astype(str)
        if text.str.fullmatch(_DECIMAL_COMMA).all():
            table[column] = text.str.replace(",", ".").astype(float).reindex(table.index)
    return table


def _with_categories(table: pd.DataFrame) -> pd.DataFrame:
    """Turn columns of text into categories."""
    table = table.copy()
    for column in table.columns[[kind.kind not in "biuf" for kind in table.dtypes]]:
        text = table[column].astype("string")  # numbers among text too
        table[column] = pd.Categorical(text.astype(object))
    return table
