"""A table of the names and places of cells, and cells by such a table or by their folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from .delimited import read_delimited
from .directories import FoundCells, find_cells
from .formats import recognise


def listed_or_found(
    directories: Sequence[str | os.PathLike[str]], sheet: Path | None
) -> FoundCells:
    """Find the cells of a sheet, or without one those in folders.

    Parameters
    ----------
    directories
        Folders to search. With a sheet they may be missing; its paths are then relative to its
        own folder only.
    sheet
        Table with columns ``name`` and ``path``, see :func:`read_sheet`.

    Raises
    ------
    DataError
        If there is no cell, or the sheet is wrong.
    """
    if sheet is None:
        if not directories:
            raise DataError("no folder is given; give folders of cells, or a sheet of their paths")
        return find_cells(directories)
    cells = read_sheet(sheet, list(map(Path, directories)))
    if not directories:
        return FoundCells(cells)
    found = find_cells(directories)
    listed = set(map(os.path.realpath, cells.values()))
    extra = [path for path in found.cells.values() if os.path.realpath(path) not in listed]
    notes = found.notes
    if extra:
        notes = (*notes, f"{sheet}: lacks {len(extra)} cells that were found, the first {extra[0]}")
    return found._replace(cells=cells, notes=notes)


def read_sheet(path: Path, folders: Sequence[Path] = ()) -> dict[str, Path]:
    """Read the names of cells and where they lie.

    Parameters
    ----------
    path
        A table with a header and the columns ``name`` and ``path``, separated as
        :func:`~.delimited.separator_of` finds; further columns are ignored. A path leads to the
        folder of a cell, or to its file of estimates, from the home of the user (``~/``), from one
        of ``folders`` or from the folder of the table.
    folders
        Folders that paths may be relative to.

    Returns
    -------
    dict
        The place of each cell by its name, in the order of the table.

    Raises
    ------
    DataError
        If the table cannot be read, names a cell twice, a path leads to several cells, or two paths
        lead to one.
    """
    table = read_delimited(path, dtype=str, na_filter=False).rename(columns=str.lower)
    if not {"name", "path"} <= set(table.columns):
        raise DataError(f"{path}: needs the columns name and path; it has {', '.join(table)}")
    cells: dict[str, Path] = {}
    names: dict[str, str] = {}
    named = zip(table["name"].str.strip(), table["path"].str.strip(), strict=True)
    for name, text in named:
        if not (name and text):
            raise DataError(f"{path}: has a line without name or path; complete it")
        if name in cells:
            raise DataError(f"{path}: has the name {name} twice; cells need different names")
        text = os.path.expanduser(text)  # as shells do
        candidates = [folder / text for folder in (*folders, path.parent)]
        place = next(
            (candidate for candidate in candidates if os.path.exists(candidate)), candidates[-1]
        )
        cells[name] = _one_cell(path, name, place)
        first = names.setdefault(_identity(cells[name]), name)
        if first != name:
            raise DataError(
                f"{path}: {first} and {name} are the same cell, {cells[name]}; give each cell once"
            )
    if not cells:
        raise DataError(f"{path}: names no cell; add a line for each")
    return cells


def _identity(place: Path) -> str:
    """Give the path of the file of a cell, the same for its folder and through links."""
    try:
        return os.path.realpath(recognise(place).file)
    except DataError:
        return os.path.realpath(place)


def _one_cell(sheet: Path, name: str, place: Path) -> Path:
    """Give the place of a cell, in a folder of a folder perhaps; a bad cell's as it stands."""
    try:
        recognise(place)
        return place
    except DataError:
        if not os.path.isdir(place):
            return place
    try:
        found = list(find_cells([place]).cells.values())
    except DataError:
        return place
    if len(found) > 1:
        raise DataError(
            f"{sheet}: {place}, the path of {name}, holds {len(found)} cells; give the path of one"
        )
    return found[0]
