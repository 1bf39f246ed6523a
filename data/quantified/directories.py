"""Cells quantified with bootstraps: found in folders, and read.

Whatever is wrong with a cell ends in a DataError of one line that names it and the remedy.
This module loads neither torch nor anndata, because every process that reads cells imports it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .bad_cells import BadCells
from .cell_names import name_cells
from .formats import EXAMPLES, recognise
from .other_estimates import notes_on_others
from .quantifications import (
    Quantification,
    check_bootstraps,
    check_values,
    reordered,
    require_distinct,
)
from .walking import Contents, search


class FoundCells(NamedTuple):
    """Cells in folders.

    Attributes
    ----------
    cells
        The place of each cell by its name: its folder, or its file in a folder of several.
    incomplete
        Places that lack what makes a cell, and the reason.
    notes
        Remarks on names and on what is not read, one line each.
    """

    cells: dict[str, Path]
    incomplete: tuple[tuple[Path, str], ...] = ()
    notes: tuple[str, ...] = ()


def find_cells(paths: Iterable[str | os.PathLike[str]]) -> FoundCells:
    """Find cells.

    Parameters
    ----------
    paths
        Folders of cells, or folders that hold such at any depth.

    Returns
    -------
    FoundCells
        Cells in the order of ``paths``, and sorted within each.

    Raises
    ------
    DataError
        If there is no cell, or two cells have the same name.
    """
    contents = Contents.none()
    for path in map(Path, paths):
        if not os.path.isdir(path):
            problem = "is a file" if os.path.exists(path) else "does not exist"
            raise DataError(f"{path}: {problem}; give folders of kallisto or salmon results")
        found = search(path)
        if not found:
            reason = (
                f"holds no cell, no folder with {EXAMPLES}; give the output of kallisto quant or "
                "salmon quant"
            )
            found.incomplete.append((path, reason))
        if not found.places:
            found.incomplete.extend(found.refused)
            found.refused.clear()
        contents.extend(found)
    if not contents.places:
        raise BadCells(contents.incomplete).error(0)
    places, notes = name_cells(contents.places)
    unread = list(dict.fromkeys([*(path for path, _ in contents.refused), *contents.unread]))
    if unread:
        shown = ", ".join(map(str, unread[:3]))
        more = f" and {len(unread) - 3} more" if len(unread) > 3 else ""
        notes = (*notes, f"not read, as they belong to no cell: {shown}{more}")
    cells = {name: place.path for name, place in places.items()}
    return FoundCells(cells, tuple(dict(contents.incomplete).items()), notes)


def read_quantification(
    place: Path,
    max_bootstraps: int | None = None,
    transcripts: np.ndarray | None = None,
) -> Quantification:
    """Read one cell.

    Parameters
    ----------
    place
        Folder of the cell, or its file of estimates. ``abundance.h5`` takes precedence over plain
        text beside it; a note tells if they differ.
    max_bootstraps
        Largest number of bootstraps to read; None reads all.
    transcripts
        Order of the values, shape (isoforms,), bytes; None keeps the order of the files.

    Raises
    ------
    DataError
        If files are missing, damaged or without bootstraps, if values are no counts, or if the
        cell has other transcripts.
    """
    recognised = recognise(place)
    # Estimates that float32 cannot hold become infinite, and are refused as such.
    with np.errstate(over="ignore"):
        cell = recognised.format.read(recognised.file, max_bootstraps)
    check_values(place, cell)
    notes = check_bootstraps(place, cell)
    others = notes_on_others(recognised.file, recognised.others, cell.counts)
    cell = cell._replace(notes=(*cell.notes, *notes, *others))
    if transcripts is None:
        require_distinct(place, cell.transcripts)
        return cell
    return reordered(place, cell, transcripts)
