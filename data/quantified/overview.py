"""Cells in folders, listed before any is read in full.

Loads neither torch nor anndata.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from ..progress import with_progress
from .bad_cells import BadCells
from .formats import recognise
from .sheets import listed_or_found


class ListedCell(NamedTuple):
    """What a first look at a cell tells.

    Attributes
    ----------
    cell, path
        Its name and place.
    format, version
        Its format, and the version of the quantifier; empty if unknown.
    bootstraps
        Number of bootstraps; None if unknown.
    problem
        Why it cannot be imported, with the remedy; empty if nothing is known to be wrong.
    """

    cell: str
    path: str
    format: str
    version: str
    bootstraps: int | None
    problem: str


def list_cells(
    directories: Sequence[str | os.PathLike[str]], sheet: Path | None = None
) -> tuple[list[ListedCell], tuple[str, ...]]:
    """List cells, without the values of their estimates.

    Parameters
    ----------
    directories, sheet
        See :func:`~exvae.data.quantified.importing.import_cells`.

    Returns
    -------
    cells
        Every cell, and then the places that lack what makes one.
    notes
        Remarks on names and on what is not read, one line each.

    Raises
    ------
    DataError
        If there is no cell, or the sheet is wrong.
    """
    found = listed_or_found(directories, sheet)
    names = with_progress(iter(found.cells.items()), len(found.cells), "list")
    cells = [_look(name, place) for name, place in names]
    incomplete = (
        ListedCell(cell.name, os.fspath(cell.place), "", "", None, cell.reason)
        for cell in BadCells(found.incomplete)
    )
    return [*cells, *incomplete], found.notes


def _look(name: str, place: Path) -> ListedCell:
    bad = BadCells()
    kind = ""
    try:
        recognised = recognise(place)
        kind = recognised.format.name
        look = recognised.format.look(recognised.file)
    except DataError as error:
        bad.add(name, place, error)
        (cell,) = bad
        return ListedCell(name, os.fspath(place), kind, "", None, cell.reason)
    return ListedCell(name, os.fspath(place), kind, look.version, look.num_bootstraps, "")
