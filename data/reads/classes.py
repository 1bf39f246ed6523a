"""Reads of cells, counted by the classes of isoforms that they fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

# Names of the arrays in ``uns["reads"]``.
_STARTS, _MEMBERS, _WEIGHTS, _ISOFORMS = "starts", "members", "weights", "isoforms"


@dataclass(frozen=True, eq=False)
class ReadClasses:
    """Counts of the equivalence classes of reads.

    A class is a set of isoforms; a read belongs to the class of all isoforms that it fits.

    Attributes
    ----------
    cells
        Names, shape (cells,), strings.
    isoforms
        Names, shape (isoforms,), strings.
    lengths, effective_lengths
        Of the isoforms (bases), shape (isoforms,), int32 and float64.
    counts
        Reads of each class in each cell, shape (cells, classes), int32, sorted, without zeros.
    starts, members
        Isoforms of class c are ``members[starts[c]:starts[c + 1]]``, ascending; shapes
        (classes + 1,), int64, and (entries,), int32.
    weights
        Probability of the class given one of its isoforms, up to a factor of the class, shape
        (entries,), float64: the inverse of the effective length (1 / bases), or the quantifier's.
    """

    cells: np.ndarray
    isoforms: np.ndarray
    lengths: np.ndarray
    effective_lengths: np.ndarray
    counts: csr_matrix
    starts: np.ndarray
    members: np.ndarray
    weights: np.ndarray

    @property
    def num_members(self) -> np.ndarray:
        """Number of isoforms of each class, shape (classes,)."""
        return np.diff(self.starts)

    def kept(self, classes: np.ndarray) -> ReadClasses:
        """Keep some classes, given by their positions, shape (kept,)."""
        structure = csr_matrix(
            (np.arange(1, len(self.members) + 1), self.members, self.starts),
            shape=(len(self.starts) - 1, len(self.isoforms)),
        )[classes]
        entries = structure.data - 1
        counts = self.counts[:, classes]
        counts.sort_indices()
        return replace(
            self,
            counts=counts,
            starts=structure.indptr.astype(np.int64),
            members=self.members[entries],
            weights=self.weights[entries],
        )

    def of_cells(self, positions: np.ndarray) -> ReadClasses:
        """Keep some cells, given by their positions, shape (kept,)."""
        return replace(self, cells=self.cells[positions], counts=self.counts[positions])

    def of_cell(self, position: int) -> tuple[np.ndarray, ...]:
        """Give reads, starts, members and weights of the classes of a cell that have reads."""
        row = self.counts[position]
        sizes = self.num_members[row.indices]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        entries = np.repeat(self.starts[row.indices] - starts[:-1], sizes) + np.arange(starts[-1])
        return row.data, starts, self.members[entries], self.weights[entries]

    def stored(self) -> dict[str, Any]:
        """Give what ``uns["reads"]`` of an ``.h5ad`` holds; the counts are ``obsm["reads"]``.

        The isoforms of classes are positions in the names that are stored with them.
        """
        return {
            _STARTS: self.starts,
            _MEMBERS: self.members,
            _WEIGHTS: self.weights,
            _ISOFORMS: self.isoforms.astype(object),
        }
