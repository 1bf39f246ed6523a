"""Matrices of cells in memory, and some of their rows or columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, vstack

from .corpora import offsets_of
from .reads.classes import ClassCounts

# What can be read of cells.
MATRICES = ("counts", "bootstraps", "summary", "reads")


class SparseSummary(NamedTuple):
    """Sufficient statistics of bootstraps, kept where at least one bootstrap is not zero.

    Attributes
    ----------
    indptr, indices
        Isoforms of the entries of cell n are ``indices[indptr[n]:indptr[n + 1]]``, as in a CSR
        matrix; shapes (cells + 1,), int64, and (entries,), int32.
    positives, mean, sum_of_squares
        Statistics of :class:`~exvae.data.bootstraps.BootstrapSummary`, shape (entries,), float32.
    """

    indptr: np.ndarray
    indices: np.ndarray
    positives: np.ndarray
    mean: np.ndarray
    sum_of_squares: np.ndarray

    @classmethod
    def of_entries(
        cls,
        cell: np.ndarray,
        isoform: np.ndarray,
        num_cells: int,
        statistics: Iterable[np.ndarray],
    ) -> SparseSummary:
        """Take entries, sorted by cell and isoform, in the least memory.

        Parameters
        ----------
        cell, isoform
            Positions of the entries, shape (entries,).
        num_cells
            Number of cells, with entries or without.
        statistics
            Number of positive bootstraps, their mean and sum of squares, each of shape (entries,).
        """
        indptr = offsets_of(np.bincount(cell, minlength=num_cells))
        return cls(
            indptr, isoform.astype(np.int32), *(each.astype(np.float32) for each in statistics)
        )

    @classmethod
    def joined(cls, parts: Sequence[SparseSummary]) -> SparseSummary:
        """Join the summaries of consecutive cells."""
        if len(parts) == 1:
            return parts[0]
        indptr = offsets_of(np.concatenate([np.diff(part.indptr) for part in parts]))
        _, *entries = (np.concatenate(own) for own in zip(*parts, strict=True))
        return cls(indptr, *entries)

    def selected(self, columns: np.ndarray, num_isoforms: int) -> SparseSummary:
        """Select isoforms at these positions, shape (chosen,), of ``num_isoforms``, in order."""
        size = np.arange(1, len(self.indices) + 1)
        shape = (len(self.indptr) - 1, num_isoforms)
        entries = _columns(csr_matrix((size, self.indices, self.indptr), shape), columns)
        return self._chosen(entries.indptr, entries.indices, entries.data - 1)

    def take(self, rows: np.ndarray) -> SparseSummary:
        """Select cells at these positions, shape (chosen,)."""
        sizes = np.diff(self.indptr)[rows]
        indptr = offsets_of(sizes)
        places = np.repeat(self.indptr[rows] - indptr[:-1], sizes) + np.arange(indptr[-1])
        return self._chosen(indptr, self.indices[places], places)

    def _chosen(self, indptr: np.ndarray, indices: np.ndarray, places: np.ndarray) -> SparseSummary:
        indptr, indices = indptr.astype(np.int64), indices.astype(np.int32)
        return SparseSummary(indptr, indices, *(values[places] for values in self[2:]))

    def matrix(self, name: str, num_isoforms: int) -> csr_matrix:
        """Give a statistic, or the ``sum`` of the bootstraps, shape (cells, isoforms)."""
        values = self.positives * self.mean if name == "sum" else getattr(self, name)
        shape = (len(self.indptr) - 1, num_isoforms)
        return csr_matrix((values, self.indices, self.indptr), shape=shape)

    def mean_bootstraps(self, num_bootstraps: np.ndarray, num_isoforms: int) -> csr_matrix:
        """Give the mean of all bootstraps, zeros included, shape (cells, isoforms), float32.

        ``num_bootstraps`` are those of each cell, shape (cells,).
        """
        mean = self.matrix("sum", num_isoforms)
        mean.data /= np.repeat(num_bootstraps, np.diff(self.indptr))
        return mean.astype(np.float32, copy=False)


@dataclass(frozen=True, eq=False)
class CellMatrices:
    """Matrices of some cells; those that nobody asked for are missing.

    Attributes
    ----------
    counts, bootstraps, summary, reads
        See :class:`~exvae.data.cells.Cells`.
    """

    counts: csr_matrix | None = None
    bootstraps: tuple[csr_matrix, ...] = ()
    summary: SparseSummary | None = None
    reads: ClassCounts | None = None

    def only(self, names: Sequence[str]) -> CellMatrices:
        """Keep the matrices of these names, of :data:`MATRICES`."""
        return CellMatrices(**{name: getattr(self, name) for name in names})

    def take(self, rows: np.ndarray) -> CellMatrices:
        """Select cells at these positions, shape (chosen,), in their order."""
        return CellMatrices(
            counts=None if self.counts is None else self.counts[rows],
            bootstraps=tuple(matrix[rows] for matrix in self.bootstraps),
            summary=self.summary and self.summary.take(rows),
            reads=self.reads and replace(self.reads, counts=self.reads.counts[rows]),
        )

    def of_isoforms(self, columns: np.ndarray, num_isoforms: int) -> CellMatrices:
        """Select isoforms at these positions, shape (chosen,), of ``num_isoforms``, in order."""
        inverse = np.full(num_isoforms, -1)
        inverse[columns] = np.arange(len(columns))
        return CellMatrices(
            counts=None if self.counts is None else _columns(self.counts, columns),
            bootstraps=tuple(_columns(matrix, columns) for matrix in self.bootstraps),
            summary=self.summary and self.summary.selected(columns, num_isoforms),
            reads=self.reads and self.reads.of_isoforms(inverse),
        )

    def sizes(self, name: str) -> np.ndarray:
        """Count the isoforms, or classes, with reads in each cell, shape (cells,), int64.

        Parameters
        ----------
        name
            Where: ``summary``, ``reads``, or ``rounded`` for the counts once they are rounded.
        """
        if name == "rounded":
            return _sums_of_rows(self.counts, np.round(self.counts.data) > 0)
        matrix = self.summary if name == "summary" else self.reads.counts
        return np.diff(matrix.indptr).astype(np.int64)

    @classmethod
    def joined(cls, parts: Sequence[CellMatrices]) -> CellMatrices:
        """Join the matrices of consecutive cells, all with the same matrices."""
        first = parts[0]
        if len(parts) == 1:
            return first
        layers = zip(*(part.bootstraps for part in parts), strict=True)
        counts = None if first.counts is None else _stacked([part.counts for part in parts])
        summary, reads = first.summary, first.reads
        if summary is not None:
            summary = SparseSummary.joined([part.summary for part in parts])
        if reads is not None:
            reads = replace(reads, counts=_stacked([part.reads.counts for part in parts]))
        return cls(counts, tuple(_stacked(own) for own in layers), summary, reads)


def _sums_of_rows(matrix: csr_matrix, values: np.ndarray) -> np.ndarray:
    """Sum values in the place of those of a matrix, (entries,), over each row, shape (rows,)."""
    return np.diff(offsets_of(values)[matrix.indptr])


def _stacked(parts: Sequence[csr_matrix]) -> csr_matrix:
    return vstack(parts, format="csr")


def _columns(matrix: csr_matrix, columns: np.ndarray) -> csr_matrix:
    """Select columns of a matrix; the entries of each row stay sorted."""
    selected = matrix[:, columns]
    selected.sort_indices()
    return selected
