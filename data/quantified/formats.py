"""Formats of quantifiers: which files of a folder are cells, and who reads them.

===================== ==========================================================================
kallisto HDF5         ``abundance.h5``, ``S_abundance.h5``, ``abundance_<N>.h5``
kallisto text         ``abundance.tsv`` and tables of bootstraps, named alike
salmon                ``quant.sf``, ``aux_info/bootstrap/bootstraps.gz`` and ``names.tsv.gz``,
                      ``aux_info/meta_info.json``
oarfish, piscem-infer ``P.quant`` and ``P.infreps.pq``
===================== ==========================================================================

A module for each format; a new one needs an entry in ``FORMATS`` alone. Every process that reads
cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from . import kallisto_h5, kallisto_text, oarfish, salmon
from .quantifications import Look, Quantification


class Format(NamedTuple):
    """A format of one quantifier.

    Attributes
    ----------
    name
        Name for the user.
    label
        Function of a folder and the name of a file in it: the name of the cell whose estimates the
        file holds, empty if the folder names the cell, None if the file is another one.
    read
        Function that reads a cell from its file of estimates and a largest number of bootstraps.
    look
        Function that takes a first look at that file and those beside it.
    """

    name: str
    label: Callable[[Path, str], str | None]
    read: Callable[[Path, int | None], Quantification]
    look: Callable[[Path], Look]


SALMON = Format("salmon", salmon.label_of_salmon, salmon.read_salmon, salmon.look_at_salmon)
KALLISTO_H5 = Format(
    "kallisto HDF5", kallisto_h5.label_of_h5, kallisto_h5.read_kallisto_h5, kallisto_h5.look_at_h5
)
KALLISTO_TEXT = Format(
    "kallisto text",
    kallisto_text.label_of_table,
    kallisto_text.read_kallisto_text,
    kallisto_text.look_at_text,
)
OARFISH = Format(
    "oarfish or piscem-infer", oarfish.label_of_quant, oarfish.read_quant, oarfish.look_at_quant
)
# Of several formats of one cell the first is read.
FORMATS = (SALMON, KALLISTO_H5, KALLISTO_TEXT, OARFISH)
# The names of files that hold a cell each, with bootstraps beside them or in them.
EXAMPLES = "abundance.h5, abundance.tsv, quant.sf or P.quant"


class Recognised(NamedTuple):
    """A cell in a folder.

    Attributes
    ----------
    format
        Format of its files.
    file
        Its file of estimates.
    others
        The same cell's estimates in other formats, beside it.
    """

    format: Format
    file: Path
    others: tuple[str, ...] = ()


def cells_in(folder: Path, names: Iterable[str]) -> dict[str, Recognised]:
    """Recognise the cells among the files of a folder, by their names in it.

    A cell that the folder names is called "". Unpacked files come before packed ones.
    """
    found: dict[str, Recognised] = {}
    ordered = sorted(names)
    for kind in FORMATS:
        for name in ordered:
            label = kind.label(folder, name)
            if label is None:
                continue
            known = found.setdefault(label, Recognised(kind, folder / name))
            if known.file.name != name:
                found[label] = known._replace(others=(*known.others, name))
    return found


def recognise(place: Path) -> Recognised:
    """Recognise one cell.

    Parameters
    ----------
    place
        Folder of the cell, or its file of estimates in a folder of several cells.

    Raises
    ------
    DataError
        If the place holds no cell or cells of two quantifiers.
    """
    if not os.path.exists(place):
        link = f"is a link to {os.readlink(place)}, which " if os.path.islink(place) else ""
        raise DataError(f"{place}: {link}does not exist; correct the path")
    if os.path.isdir(place):
        found = cells_in(place, os.listdir(place)).get("")
        if found is None:
            raise DataError(f"{place}: holds no {EXAMPLES}; give the folder of one cell")
    else:
        labels = ((kind, kind.label(place.parent, place.name)) for kind in FORMATS)
        found = next((Recognised(kind, place) for kind, label in labels if label is not None), None)
        if found is None:
            raise DataError(f"{place}: is no file of estimates; give {EXAMPLES}")
    if found.format is SALMON and any("abundance.tsv" in other for other in found.others):
        # An abundance.h5 alone is the same cell, converted by wasabi.
        raise DataError(f"{place}: holds results of both kallisto and salmon; give each a folder")
    return found
