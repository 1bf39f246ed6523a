"""Reads of cells, counted by the classes of isoforms that they fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

# Names of the arrays in ``uns["reads"]``.
STARTS, MEMBERS, WEIGHTS, ISOFORMS = "starts", "members", "weights", "isoforms"


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Counts of the equivalence classes of reads.

    A class is a set of isoforms; a read belongs to the class of all isoforms that it fits.

    Attributes
    ----------
    counts
        Reads of each class in each cell, shape (cells, classes), int32, sorted, without zeros.
    starts, members
        Isoforms of class c are ``members[starts[c]:starts[c + 1]]``, ascending; shapes
        (classes + 1,), int64, and (entries,), int32.
    weights
        Probability of the class given one of its isoforms, up to a factor of the class, shape
        (entries,), float64: the inverse of the effective length (1 / bases), or the quantifier's.
    """

    counts: csr_matrix
    starts: np.ndarray
    members: np.ndarray
    weights: np.ndarray

    @property
    def num_members(self) -> np.ndarray:
        """Number of isoforms of each class, shape (classes,)."""
        return np.diff(self.starts)

    def kept(self, classes: np.ndarray) -> ClassCounts:
        """Keep some classes, given by their positions, shape (kept,)."""
        entries, starts = _joined(self.starts, classes)
        counts = self.counts[:, classes]
        counts.sort_indices()
        return replace(
            self,
            counts=counts,
            starts=starts,
            members=self.members[entries],
            weights=self.weights[entries],
        )

    def of_isoforms(self, places: np.ndarray) -> ClassCounts:
        """Keep some isoforms, and the classes that fit any of them.

        Parameters
        ----------
        places
            New position of each isoform, -1 for those left out, shape (isoforms,).
        """
        members = places[self.members]
        inside = members >= 0
        sizes = np.add.reduceat(inside, self.starts[:-1]) if len(members) else inside
        own = np.repeat(np.arange(len(sizes)), self.num_members)[inside]
        order = np.lexsort((members[inside], own))  # ascending in each class, as before
        classes = ClassCounts(
            self.counts,
            np.concatenate([[0], np.cumsum(sizes)]),
            members[inside][order].astype(np.int32),
            self.weights[inside][order],
        )
        return classes.kept(np.flatnonzero(sizes))

    def of_cell(self, position: int) -> tuple[np.ndarray, ...]:
        """Give reads, starts, members and weights of the classes of a cell that have reads."""
        row = self.counts[position]
        entries, starts = _joined(self.starts, row.indices)
        return row.data, starts, self.members[entries], self.weights[entries]


def _joined(starts: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give entries of some classes, one after another, and the bounds of each among them."""
    sizes = np.diff(starts)[classes]
    own = np.concatenate([[0], np.cumsum(sizes)])
    return np.repeat(starts[classes] - own[:-1], sizes) + np.arange(own[-1]), own


@dataclass(frozen=True, eq=False)
class ReadClasses(ClassCounts):
    """Counts of classes, with all that a quantifier says of cells and isoforms.

    Attributes
    ----------
    cells
        Names, shape (cells,), strings.
    isoforms
        Names, shape (isoforms,), strings.
    lengths, effective_lengths
        Of the isoforms (bases), shape (isoforms,), int32 and float64.
    fragments
        Number of fragments of 0, 1, ... bases, shape (longest + 1,); None if they are not known.
    """

    cells: np.ndarray
    isoforms: np.ndarray
    lengths: np.ndarray
    effective_lengths: np.ndarray
    fragments: np.ndarray | None = None

    def of_cells(self, positions: np.ndarray) -> ReadClasses:
        """Keep some cells, given by their positions, shape (kept,)."""
        return replace(self, cells=self.cells[positions], counts=self.counts[positions])

    def stored(self) -> dict[str, Any]:
        """Give what ``uns["reads"]`` of an ``.h5ad`` holds; the counts are ``obsm["reads"]``.

        The isoforms of classes are positions in the names that are stored with them.
        """
        return {
            STARTS: self.starts,
            MEMBERS: self.members,
            WEIGHTS: self.weights,
            ISOFORMS: self.isoforms.astype(object),
        }
