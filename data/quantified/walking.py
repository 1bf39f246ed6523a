"""Folders searched for cells, and what they hold besides.

Loads neither torch nor anndata.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .formats import EXAMPLES, cells_in
from .kallisto_names import BOOTSTRAP, NUMBERED, bootstraps_of
from .quantifications import AGAIN

# Files that a quantifier writes beside a table that is missing.
_TRACES = {"run_info.json", "cmd_info.json", "lib_format_counts.json"}
# Files of kallisto bus and quant-tcc, of all cells together.
_MATRICES = {"matrix.abundance.mtx", "matrix.ec", "output.bus"}
_GENES_ALONE = {"quants_mat.mtx", "quants_mat.gz"}
_MATRICES_REASON = (
    "holds matrices of all cells without bootstraps; run kallisto quant-tcc with "
    "-b 30 --matrix-to-directories"
)
_GENES_REASON = (
    "holds results of alevin or alevin-fry, which give genes alone, and of bootstraps only mean "
    "and variance; quantify each cell with kallisto or salmon"
)
_COUNTS_REASON = (
    "holds counts of genes (loom or 10x Genomics), without isoforms and bootstraps; quantify each "
    "cell with kallisto or salmon"
)
# Counts of velocyto, kb-python and cellranger.
_COUNTS = re.compile(r".+\.loom|.*_bc_matri(x|ces_h5)\.h5")
_NO_FOLDERS = re.compile(r".*\.(f(ast)?[qa]|[bs]am|txt|log|csv|tsv|json|g[tf]f|html|pdf)(\.gz)?")
# What macOS adds to archives: files of attributes, called like the files that they describe.
_OF_MACOS = ("._", "__MACOSX")
_OF_QUANTIFIERS = (".h5", ".sf", ".quant", ".pq", ".mtx")


class Place(NamedTuple):
    """Where a cell lies.

    Attributes
    ----------
    path
        Its folder, or its file of estimates in a folder of several cells.
    label
        Its name in that folder, empty if the folder names it.
    format
        Name of its format.
    """

    path: Path
    label: str
    format: str


class Contents(NamedTuple):
    """Contents of folders.

    Attributes
    ----------
    places
        The cells.
    incomplete
        Places that lack what makes a cell, and the reason.
    refused
        Folders with results of another kind than cells with isoforms, and the reason.
    unread
        Folders without cells and files of quantifiers that belong to no cell.
    """

    places: list[Place]
    incomplete: list[tuple[Path, str]]
    refused: list[tuple[Path, str]]
    unread: list[Path]

    @classmethod
    def none(cls) -> Contents:
        """Make contents to be filled."""
        return cls([], [], [], [])

    def extend(self, other: Contents) -> None:
        """Add the contents of another folder."""
        for own, more in zip(self, other, strict=True):
            own.extend(more)

    def __bool__(self) -> bool:
        return bool(self.places or self.incomplete or self.refused)


def search(folder: Path) -> Contents:
    """Search a folder for cells at any depth, following links; sorted.

    Each folder is searched once: folders before links, which may lead to one of them. A link to a
    cell is a cell of its own name.

    Raises
    ------
    DataError
        If a folder cannot be listed.
    """
    links: list[Path] = []
    seen: set[str] = set()
    contents = _search(folder, seen, links)
    while links:
        link = links.pop(0)
        if os.path.realpath(link) in seen:
            contents.places.extend(_own_cell(link))
            continue
        below = _search(link, seen, links)
        contents.extend(below)
        if not below and not link.name.startswith("."):
            contents.unread.append(link)
    contents.places.sort(key=lambda place: _path_order(place, folder))
    return contents


def _own_cell(link: Path) -> list[Place]:
    """Give the cell that a link to a folder of another name stands for, if it is one."""
    names, subfolders = _listed(link)
    cell = cells_in(link, names - set(subfolders)).get("")
    return [] if cell is None else [Place(link, "", cell.format.name)]


def _search(folder: Path, seen: set[str], links: list[Path]) -> Contents:
    """Search a folder and those in it, gather links to folders, and remember what was seen."""
    contents = Contents.none()
    seen.add(os.path.realpath(folder))
    names, subfolders = _listed(folder)
    if names & _GENES_ALONE:
        contents.refused.append((folder, _GENES_REASON))
    if any(map(_COUNTS.fullmatch, names)):
        contents.refused.append((folder, _COUNTS_REASON))
    recognised = cells_in(folder, names - set(subfolders))
    is_cell = "" in recognised
    for label, cell in recognised.items():
        if not is_cell or not label:
            place = cell.file if label else folder
            contents.places.append(Place(place, label, cell.format.name))
        else:
            contents.unread.append(cell.file)
    for name in sorted(subfolders, key=_order):
        if os.path.islink(folder / name):
            links.append(folder / name)
            continue
        below = _search(folder / name, seen, links)
        if below:
            contents.extend(below)
        elif not is_cell and not name.startswith("."):
            contents.unread.append(folder / name)
    if not is_cell:
        read = {name for cell in recognised.values() for name in (cell.file.name, *cell.others)}
        contents.extend(_besides(folder, names - set(subfolders), read, bool(contents)))
    return contents


def _listed(folder: Path) -> tuple[set[str], list[str]]:
    """List the names in a folder without those of macOS, and the folders among them."""
    try:
        with os.scandir(folder) as entries:
            found = [
                (entry.name, entry.is_dir())
                for entry in entries
                if not entry.name.startswith(_OF_MACOS)
            ]
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be listed ({error.strerror}); make it readable"
        ) from error
    return {name for name, _ in found}, [name for name, is_folder in found if is_folder]


def _order(name: str) -> tuple[str, int]:
    """Sort by name, but numbers of quant-tcc by value."""
    match = NUMBERED.fullmatch(name)
    return ("abundance_", int(match[1])) if match else (name, 0)


def _path_order(place: Place, folder: Path) -> list[tuple[str, int]]:
    """Sort places in a folder by all parts of their paths."""
    parts = place.path.relative_to(folder).parts
    if place.label:
        parts = (*parts[:-1], place.label)
    return list(map(_order, parts))


def _besides(folder: Path, names: set[str], read: set[str], has_cells: bool) -> Contents:
    """Find what a folder that is no cell holds besides the files that are read."""
    contents = Contents.none()
    for name in sorted(names - read):
        path = folder / name
        if (
            has_cells
            and path.is_symlink()
            and not path.exists()
            and not _NO_FOLDERS.fullmatch(name)
        ):
            reason = f"is a link to {os.readlink(path)}, which does not exist; mend the link"
            contents.incomplete.append((path, reason))
    tables = {name for name in names if BOOTSTRAP.fullmatch(name)}
    if has_cells:
        used = {table for name in read for _, table in bootstraps_of(name, names)}
        stems = tuple(name.partition(".quant")[0] + "." for name in read if ".quant" in name)
        used |= {name for name in names if name.endswith(".pq") and name.startswith(stems)}
        loose = {name for name in names if _belongs_to_quantifier(name)} | tables
        contents.unread.extend(folder / name for name in sorted(loose - read - used))
    elif names & _MATRICES:
        contents.refused.append((folder, _MATRICES_REASON))
    elif names & _TRACES or tables:
        trace = sorted(names & _TRACES or tables)[0]
        contents.incomplete.append((folder, f"has {trace} but no {EXAMPLES}; {AGAIN}"))
    return contents


def _belongs_to_quantifier(name: str) -> bool:
    """Tell whether a name is one of a quantifier's tables, but not of its matrices."""
    return name.removesuffix(".gz").endswith(_OF_QUANTIFIERS) and not name.startswith("matrix.")
