"""Faults of whole files of cells, found while their rows are read."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..cell_matrices import CellMatrices
from ..cells import STATISTICS
from ..centring import Centring
from ..errors import DataError, DataWarning
from .agreement import first_disagreement

if TYPE_CHECKING:
    from .reading import CellFile

# Transcripts per million sum to a million, but for rounding.
_MILLION, _TOLERANCE = 1e6, 1e-4
# Cells that do not have the same number of reads by chance.
_SEVERAL = 5


class Gate:
    """Takes the cells of a file, some at a time in their order, and tells what is wrong with them.

    Parameters
    ----------
    file
        The file.
    """

    def __init__(self, file: CellFile) -> None:
        self._file = file
        self._names: list[np.ndarray] = []
        self._depths: list[np.ndarray] = []
        # Names of matrices whose cells have all had a million reads so far.
        self._millions = {"X", *(f"layers[{name!r}]" for name in file.bootstraps)}
        self._centring = Centring()

    def add(self, rows: slice, matrices: CellMatrices) -> None:
        """Take the matrices of the next cells.

        Raises
        ------
        DataError
            If a cell has no reads, or bootstraps and statistics are of different cells.
        """
        counts, summary = matrices.counts, matrices.summary
        self._names.append(self._file.names[rows])
        self._depths.append(np.asarray(counts.sum(1)).ravel())
        names = (f"layers[{name!r}]" for name in self._file.bootstraps)
        for name, own in (("X", counts), *zip(names, matrices.bootstraps, strict=True)):
            if name in self._millions:
                sums = np.asarray(own.sum(1))
                if not np.allclose(sums, _MILLION, rtol=_TOLERANCE):
                    self._millions.discard(name)
        if not counts.nnz and self._file.has("raw/X"):
            raise self._file.error(
                "X is empty, and raw.X holds numbers; put the counts (reads) in X"
            )
        self._require_reads(rows, np.diff(counts.indptr))
        if summary is not None:
            number = self._file.num_bootstraps[rows]
            if self._file.has_statistics:
                self._require_agreement(rows, matrices)
            self._centring.add(counts, summary, number)

    def finish(self) -> None:
        """Tell what is wrong with all cells together.

        Raises
        ------
        DataError
            If they have no counts.
        """
        file, depths = self._file, np.concatenate(self._depths)
        # One cell alone may have a million reads by chance.
        if self._millions and len(depths) == len(file.names):
            name = min(self._millions)
            raise file.error(
                f"{name} sums to a million in every cell, so it holds transcripts per million "
                "and no counts; put estimated counts (reads) there"
            )
        self._warn_of_equal_depths(depths)
        # Cells that are read in parts are told of once.
        names = np.concatenate(self._names)
        told = None if file.told_off_centre else self._centring.told(names)
        if told:
            file.told_off_centre = True
            warnings.warn(f"{file.path}: {told}", DataWarning, stacklevel=4)

    def _require_reads(self, rows: slice, sizes: np.ndarray) -> None:
        empty = np.flatnonzero(sizes == 0)
        if empty.size:
            raise DataError(
                f"{self._file.path}: cell {self._file.names[rows][empty[0]]} has no reads in X "
                f"({empty.size} such cells); leave them out"
            )

    def _require_agreement(self, rows: slice, matrices: CellMatrices) -> None:
        """Require that statistics are those of the bootstraps, where the file has all of them."""
        number = first_disagreement(
            matrices.bootstraps, matrices.summary, self._file.num_bootstraps[rows]
        )
        if number is not None:
            raise self._file.error(
                f"the layers infRep of cell {self._file.names[rows][number]} do not have the "
                f"statistics in {', '.join(STATISTICS)}, as if one of both were of another cell; "
                "import the cells again, or remove the layers of statistics, which are then "
                "computed"
            )

    def _warn_of_equal_depths(self, depths: np.ndarray) -> None:
        """Warn if all of several cells have the same number of reads, as after normalisation."""
        if len(depths) < _SEVERAL or np.ptp(depths) > _TOLERANCE * depths.max():
            return
        warnings.warn(
            f"{self._file.path}: X sums to {depths[0]:.6g} in every cell, as after normalisation, "
            "which makes intervals wrong; X and the bootstraps must be estimated counts (reads)",
            DataWarning,
            stacklevel=4,
        )
