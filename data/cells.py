"""Cells whose isoforms were quantified with bootstraps, and statistics of the bootstraps.

In memory everything stays sparse; only the cells of a minibatch become dense. Cells are read by
:mod:`exvae.data.h5ad.reading`; :mod:`exvae.data.cell_batches` makes minibatches of them, and
:mod:`exvae.data.stored_cells` leaves them on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from .cell_matrices import MATRICES, CellMatrices, SparseSummary
from .cell_tables import STATISTICS, CellTable
from .fingerprints import CellDigest
from .reads.classes import ClassCounts
from .row_blocks import blocks

__all__ = [
    "STATISTICS",
    "CellMatrices",
    "CellTable",
    "Cells",
    "MemoryReader",
    "SparseSummary",
    "flat_entries",
    "summarise",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class Cells(CellTable):
    """Isoform counts of cells in memory, with their bootstraps.

    Attributes
    ----------
    counts
        Estimated counts (reads), shape (cells, isoforms), float32.
    bootstraps
        Bootstraps in the file (reads), each of shape (cells, isoforms), float32; a cell with fewer
        bootstraps than others has empty rows.
    summary
        Sufficient statistics of all bootstraps; None if there are no bootstraps.
    reads
        Reads by the classes of isoforms that they fit; None if the file has none.
    """

    counts: csr_matrix
    bootstraps: tuple[csr_matrix, ...]
    summary: SparseSummary | None
    reads: ClassCounts | None = None

    @property
    def matrices(self) -> CellMatrices:
        """All matrices."""
        return CellMatrices(self.counts, self.bootstraps, self.summary, self.reads)

    @property
    def num_layers(self) -> int:
        """Number of bootstraps that are kept, beside their statistics."""
        return len(self.bootstraps)

    @property
    def has_summary(self) -> bool:
        """Whether there are statistics of bootstraps."""
        return self.summary is not None

    @property
    def has_reads(self) -> bool:
        """Whether there are reads by class."""
        return self.reads is not None

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of names, counts and sufficient statistics."""
        digest = CellDigest(self)
        digest.add(self.matrices)
        return digest.hexdigest()

    @cached_property
    def mean_bootstraps(self) -> csr_matrix:
        """Mean of all bootstraps (reads), zeros included, shape (cells, isoforms), float32.

        Raises
        ------
        DataError
            If a cell has no bootstraps.
        """
        self.require_bootstraps()
        return self.estimates_of(np.arange(self.num_cells), self.matrices)

    def sizes(self, name: str) -> np.ndarray:
        """Count the isoforms with reads in each cell, see :meth:`CellTable.sizes`."""
        return self.matrices.sizes(name)

    def reader(self, names: Sequence[str]) -> MemoryReader:
        """Give access to matrices of these names by cell."""
        return MemoryReader(self.matrices.only(names))

    def read(self, names: Sequence[str]) -> CellMatrices:
        """Give matrices of these names."""
        return self.matrices.only(names)

    def in_memory(self, columns: np.ndarray | None = None) -> Cells:
        """Give these cells, or isoforms at these positions, shape (chosen,), of them."""
        return self if columns is None else self.of_isoforms(columns)

    def of_isoforms(self, columns: np.ndarray) -> Cells:
        """Select isoforms at these positions, shape (chosen,), in order."""
        return self.with_matrices(self.matrices.of_isoforms(columns, self.num_isoforms), columns)

    def with_matrices(self, matrices: CellMatrices, columns: np.ndarray) -> Cells:
        """Give the same cells with other matrices, of isoforms at positions, shape (chosen,)."""
        own = {name: getattr(matrices, name) for name in MATRICES}
        return replace(self, **own, **self._of_isoforms(columns))


class MemoryReader:
    """Gives matrices of cells in memory by the positions of these.

    Parameters
    ----------
    matrices
        Matrices of all cells.
    """

    def __init__(self, matrices: CellMatrices) -> None:
        self._matrices = matrices

    def take(self, positions: np.ndarray) -> CellMatrices:
        """Give the matrices of the cells at positions, shape (cells,), in their order."""
        return self._matrices.take(positions)

    def locate(self, positions: np.ndarray) -> tuple[CellMatrices, np.ndarray]:
        """Give matrices that hold the cells at positions, and their rows, shape (cells,)."""
        return self._matrices, positions

    def keep(self, positions: np.ndarray) -> None:
        """Do nothing, as all cells are in memory."""

    def arranged(self, positions: np.ndarray) -> np.ndarray:
        """Leave the order of cells, shape (cells,), as it is."""
        return np.arange(len(positions))


def summarise(bootstraps: Sequence[csr_matrix]) -> SparseSummary:
    """Compute the sufficient statistics of bootstraps (reads), each of shape (cells, isoforms)."""
    num_cells, num_isoforms = bootstraps[0].shape
    parts = []
    for rows in blocks(num_cells, num_isoforms):
        size = (rows.stop - rows.start) * num_isoforms
        positives, mean, squares = np.zeros(size), np.zeros(size), np.zeros(size)
        keys_and_values = [flat_entries(counts[rows]) for counts in bootstraps]
        for key, values in keys_and_values:
            positives[key] += 1
            mean[key] += values
        mean /= np.maximum(positives, 1)
        for key, values in keys_and_values:
            squares[key] += (values - mean[key]) ** 2
        entries = np.flatnonzero(positives)
        cell, isoform = np.divmod(entries, num_isoforms)
        statistics = (array[entries] for array in (positives, mean, squares))
        parts.append(SparseSummary.of_entries(cell, isoform, rows.stop - rows.start, statistics))
    return SparseSummary.joined(parts)


def flat_entries(matrix: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the entries in the flat dense matrix, and their values in float64."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return row * matrix.shape[1] + matrix.indices, matrix.data.astype(np.float64)
