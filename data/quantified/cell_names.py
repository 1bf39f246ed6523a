"""Names of cells, by their folders, or by ``matrix.cells`` of quant-tcc.

Loads neither torch nor anndata.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from .kallisto_names import NUMBERED
from .walking import Place

# Folders that many pipelines put into the folder of each cell.
_QUANTIFIERS = {"kallisto", "salmon", "quant", "oarfish", "piscem", "piscem-infer"}
_CELLS = "matrix.cells"

Parts = tuple[str, ...]


def name_cells(places: Sequence[Place]) -> tuple[dict[str, Place], tuple[str, ...]]:
    """Name cells by the parts of their paths that differ.

    A place that is given twice is taken once. Cells of quant-tcc, which are numbered, have the
    names in ``matrix.cells`` one or two folders up.

    Returns
    -------
    cells
        The place of each cell by its name, in the order of ``places``.
    notes
        Remarks on the names, one line each.

    Raises
    ------
    DataError
        If names cannot be told apart.
    """
    distinct: dict[tuple[str, str], tuple[Place, Parts]] = {}
    for place in places:
        parts = _parts(place)
        distinct.setdefault((os.path.realpath(place.path), parts[-1]), (place, parts))
    kept, parts = map(list, zip(*distinct.values(), strict=True))
    names, notes = _distinct_names(kept, _without_common_end(parts))
    unnamed = sum(NUMBERED.fullmatch(name) is not None for name in names)
    if unnamed:
        notes = (
            *notes,
            f"{unnamed} cells are called abundance_<N> because {_CELLS}, which has their names, is "
            "neither one nor two folders up; copy it there or give --sheet",
        )
    return dict(zip(names, kept, strict=True)), notes


def _parts(place: Place) -> Parts:
    """Give the parts of the path of a cell, the last one its own."""
    # The name of "." is found in its full path; links keep their own name.
    folder = Path(os.path.abspath(place.path))
    if place.label:
        folder = folder.parent / place.label
    number = NUMBERED.fullmatch(folder.name)
    if number:
        return (*folder.parts[:-1], _numbered_name(folder, int(number[1])))
    parts = folder.parts
    while len(parts) > 2 and parts[-1] in _QUANTIFIERS:
        parts = parts[:-1]
    return parts


def _numbered_name(folder: Path, number: int) -> str:
    """Find the name of a cell of quant-tcc by its number from one; without names its folder's."""
    for parent in list(folder.parents)[:2]:
        path = parent / _CELLS
        if path.is_file():
            names = path.read_text(errors="replace").split()
            if not 1 <= number <= len(names):
                raise DataError(
                    f"{path}: has {len(names)} names and none for {folder}; give the {_CELLS} of "
                    "the same run"
                )
            return names[number - 1]
    return folder.name


def _without_common_end(parts: list[Parts]) -> list[Parts]:
    """Leave out the last part of all paths as long as it is the same."""
    while len(parts) > 1 and len({own[-1] for own in parts}) == 1 and min(map(len, parts)) > 2:
        parts = [own[:-1] for own in parts]
    return parts


def _distinct_names(places: list[Place], parts: list[Parts]) -> tuple[list[str], tuple[str, ...]]:
    """Name cells by the last part of their paths, or by all that differ where that is not enough.

    Raises
    ------
    DataError
        If two cells of one name lie at different depths or have different formats: they may be
        the same cell.
    """
    names = [own[-1] for own in parts]
    common, count = Counter(names).most_common(1)[0]
    if count == 1:
        return names, ()
    differing = [len(set(column)) > 1 for column in zip(*parts, strict=False)]
    joined = ["_".join(part for part, differs in zip(own, differing, strict=False) if differs)
              for own in parts]  # fmt: skip
    same = [number for number, name in enumerate(names) if name == common]
    alike = len(set(map(len, parts))) == 1
    formats: dict[str, set[str]] = {}
    for name, place in zip(names, places, strict=True):
        formats.setdefault(name, set()).add(place.format)
    doubtful = [name for name, kinds in formats.items() if len(kinds) > 1]
    if doubtful:
        same = [number for number, name in enumerate(names) if name == doubtful[0]]
    if doubtful or not alike or len(set(joined)) < len(joined):
        first, second = (places[number].path for number in same[:2])
        raise DataError(
            f"{second}: has the same name as the cell {first}; give only one of them, or name both "
            "with --sheet"
        )
    note = f"cells in several folders have the same name, so that all are called like {joined[0]}"
    return joined, (note,)
