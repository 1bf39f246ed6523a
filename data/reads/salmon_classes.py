"""Class counts that ``salmon quant --dumpEq`` left, in a folder for each cell.

Salmon numbers the classes of each cell by itself; classes of cells are matched by their isoforms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from ..errors import DataError
from ..files import open_text, reading
from ..quantified.cell_files import packed_or_not, read_table
from ..quantified.quantifications import AGAIN
from .classes import ReadClasses

_NAMES = ("eq_classes.txt", "eq_classes.txt.gz")


def classes_file(folder: Path) -> Path | None:
    """Find the classes of a cell; None if salmon wrote none."""
    paths = (folder / "aux_info" / name for name in _NAMES)
    return next((path for path in paths if path.is_file()), None)


def read_salmon_classes(cells: Mapping[str, Path]) -> tuple[ReadClasses, tuple[str, ...]]:
    """Read the class counts of cells.

    With ``--dumpEqWeights``, the weight of an isoform in a class is the mean over all reads of the
    class; otherwise it is the inverse of its effective length, the mean over cells.

    Parameters
    ----------
    cells
        Salmon's folder of each cell by its name.

    Returns
    -------
    classes
        The counts.
    notes
        Remarks for the user, one line each.

    Raises
    ------
    DataError
        If a file is missing or damaged, or the cells have other isoforms.
    """
    gathered = _Gathered()
    for folder in cells.values():
        gathered.add(folder)
    return gathered.classes(np.array(list(cells))), ()


class _Gathered:
    """Classes of the cells so far."""

    def __init__(self) -> None:
        self._isoforms: list[str] = []
        self._lengths = np.empty(0, np.int32)
        self._effective_lengths = np.empty(0)
        self._numbers: dict[tuple[int, ...], int] = {}
        self._weights: list[np.ndarray] = []
        self._rows: list[tuple[list[int], list[int]]] = []

    def add(self, folder: Path) -> None:
        """Add the classes of a cell."""
        path = classes_file(folder)
        if path is None:
            raise DataError(
                f"{folder}: holds no aux_info/eq_classes.txt; quantify with salmon quant --dumpEq"
            )
        table = _quantified(folder)
        own = table.index.to_list()
        if not self._isoforms:
            self._isoforms, self._lengths = own, table["Length"].to_numpy(np.int32)
            self._effective_lengths = np.zeros(len(own))
        if set(own) != set(self._isoforms):
            raise DataError(f"{folder}: has other transcripts than the cells before; {AGAIN}")
        self._effective_lengths += table["EffectiveLength"].loc[self._isoforms].to_numpy()
        places = {name: place for place, name in enumerate(self._isoforms)}
        numbers, counts = [], []
        damage = (ValueError, IndexError, KeyError)
        with reading(path, "there is no such file", AGAIN, damage), open_text(path) as file:
            names, num_classes = _header(file, places)
            for _ in range(num_classes):
                number, count = self._class(file.readline().split(), names)
                numbers.append(number)
                counts.append(count)
        self._rows.append((numbers, counts))

    def _class(self, words: list[str], names: list[int]) -> tuple[int, int]:
        """Give the number of a class, and its reads; add its weights."""
        size = int(words[0])
        members = np.array([names[int(word)] for word in words[1 : size + 1]])
        count = int(words[-1])
        if len(words) not in (size + 2, 2 * size + 2) or count < 0:
            raise ValueError(f"no class: {' '.join(words)[:60]}")
        order = np.argsort(members)
        key = tuple(members[order].tolist())
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            self._weights.append(np.zeros(size))
        number = self._numbers[key]
        if len(words) > size + 2:
            self._weights[number] += count * np.array(words[size + 1 : -1], np.float64)[order]
        return number, count

    def classes(self, cells: np.ndarray) -> ReadClasses:
        """Give the classes of all cells."""
        starts = np.cumsum([0, *map(len, self._numbers)])
        members = np.concatenate([np.array(key, np.int32) for key in self._numbers])
        weights = np.concatenate(self._weights)
        effective = self._effective_lengths / len(cells)
        if not weights.any():
            weights = 1 / effective[members]
        columns = np.concatenate([numbers for numbers, _ in self._rows])
        counts = np.concatenate([np.array(counts, np.int32) for _, counts in self._rows])
        rows = np.repeat(np.arange(len(cells)), [len(numbers) for numbers, _ in self._rows])
        shape = (len(cells), len(self._numbers))
        # A class may come several times, with other weights; its counts are added.
        matrix = csr_matrix((counts, (rows, columns)), shape=shape)
        matrix.eliminate_zeros()
        own = (cells, np.array(self._isoforms), self._lengths, effective)
        return ReadClasses(matrix, starts, members, weights, *own)


def _quantified(folder: Path) -> pd.DataFrame:
    """Read lengths of the isoforms."""
    path = packed_or_not(folder / "quant.sf")
    columns = {"Length": np.float64, "EffectiveLength": np.float64}
    table = read_table(path, "Name", columns).set_index("Name")
    if table.index.has_duplicates or not (table.to_numpy() > 0).all():
        raise DataError(f"{path}: names a transcript twice, or has no lengths; {AGAIN}")
    return table


def _header(file: IO[str], places: Mapping[str, int]) -> tuple[list[int], int]:
    """Read positions of the isoforms, and the number of classes."""
    num_isoforms, num_classes = int(file.readline()), int(file.readline())
    return [places[file.readline().rstrip("\n")] for _ in range(num_isoforms)], num_classes
