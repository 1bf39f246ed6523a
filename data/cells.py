"""Cells whose isoforms were quantified with bootstraps, and statistics of the bootstraps.

In memory everything stays sparse; only the cells of a minibatch become dense. Cells are read by
:mod:`exvae.data.h5ad.reading`; :mod:`exvae.data.cell_batches` makes minibatches of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from .corpora import offsets_of
from .errors import DataError
from .reads.classes import ClassCounts
from .row_blocks import blocks

STATISTICS = ("bootstrap_mean", "bootstrap_zeros", "bootstrap_ss")

# Values hashed at once; bounds the memory that a fingerprint takes.
_HASHED = 1 << 22


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
        indptr = offsets_of(np.concatenate([np.diff(part.indptr) for part in parts]))
        _, *entries = (np.concatenate(own) for own in zip(*parts, strict=True))
        return cls(indptr, *entries)

    def selected(self, columns: np.ndarray, num_isoforms: int) -> SparseSummary:
        """Select isoforms at these positions, shape (chosen,), of ``num_isoforms``, in order."""
        size = np.arange(1, len(self.indices) + 1)
        shape = (len(self.indptr) - 1, num_isoforms)
        entries = _columns(csr_matrix((size, self.indices, self.indptr), shape), columns)
        chosen = entries.data - 1
        indptr, indices = entries.indptr.astype(np.int64), entries.indices.astype(np.int32)
        return SparseSummary(indptr, indices, *(values[chosen] for values in self[2:]))

    def matrix(self, name: str, num_isoforms: int) -> csr_matrix:
        """Give a statistic, or the ``sum`` of the bootstraps, shape (cells, isoforms)."""
        values = self.positives * self.mean if name == "sum" else getattr(self, name)
        shape = (len(self.indptr) - 1, num_isoforms)
        return csr_matrix((values, self.indices, self.indptr), shape=shape)


@dataclass(frozen=True, eq=False)
class Cells:
    """Isoform counts of cells, with their bootstraps.

    Attributes
    ----------
    names, isoforms
        Distinct names, shapes (cells,) and (isoforms,), strings.
    genes
        Gene of each isoform, shape (isoforms,), strings; an isoform of unknown gene is its own.
        None if the file names no genes.
    counts
        Estimated counts (reads), shape (cells, isoforms), float32.
    bootstraps
        Bootstraps in the file (reads), each of shape (cells, isoforms), float32; a cell with fewer
        bootstraps than others has empty rows.
    summary
        Sufficient statistics of all bootstraps; None if there are no bootstraps.
    num_bootstraps
        Number of bootstraps in the statistics, shape (cells,), int64.
    obs
        Further columns about the cells, a row for each.
    batches
        Batch of each cell, a position in ``batch_names``, shape (cells,), int64.
    batch_names
        Names of the batches; one empty name if there is no batch key.
    effective_lengths
        Effective lengths of the isoforms (bases), shape (isoforms,); None if they are not known.
    source
        Origin of the cells, for messages.
    lost_var
        Whether an import by exvae made the cells, but its columns of ``var`` are gone.
    reads
        Reads by the classes of isoforms that they fit; None if the file has none.
    """

    names: np.ndarray
    isoforms: np.ndarray
    genes: np.ndarray | None
    counts: csr_matrix
    bootstraps: tuple[csr_matrix, ...]
    summary: SparseSummary | None
    num_bootstraps: np.ndarray
    obs: pd.DataFrame
    batches: np.ndarray
    batch_names: tuple[str, ...] = ("",)
    effective_lengths: np.ndarray | None = None
    source: str = "the cells"
    lost_var: bool = False
    reads: ClassCounts | None = None

    @property
    def num_cells(self) -> int:
        """Number of cells."""
        return len(self.names)

    @property
    def num_isoforms(self) -> int:
        """Number of isoforms, expressed or not."""
        return len(self.isoforms)

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of names, counts and sufficient statistics."""
        digest = hashlib.sha256("\n".join([*self.names, "", *self.isoforms]).encode())
        arrays = [self.counts.indptr, self.counts.indices, self.counts.data]
        if self.reads is not None:
            of_reads = self.reads
            arrays += [of_reads.counts.indptr, of_reads.counts.indices, of_reads.counts.data]
            arrays += [of_reads.starts, of_reads.members, of_reads.weights]
        for array in [*arrays, *(self.summary or ()), self.num_bootstraps]:
            kind = "<f4" if array.dtype.kind == "f" else "<i8"
            for start in range(0, len(array), _HASHED):
                digest.update(array[start : start + _HASHED].astype(kind).tobytes())
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
        (mean,) = self.statistics(["sum"])
        rows = np.repeat(np.arange(self.num_cells), np.diff(mean.indptr))
        mean.data /= self.num_bootstraps[rows]
        return mean.astype(np.float32, copy=False)

    @property
    def keeps_bootstraps(self) -> bool:
        """Whether the file keeps several bootstraps, and not only their statistics."""
        return len(self.bootstraps) > 1 and bool((self.num_bootstraps > 1).any())

    def column(self, name: str, argument: str) -> pd.Series:
        """Give a column of ``obs``, shape (cells,).

        Raises
        ------
        DataError
            If there is no such column; the message names the ``argument`` to change.
        """
        if name not in self.obs:
            columns = ", ".join(self.obs.columns) or "none"
            raise DataError(
                f"{self.source}: obs has no column {name!r}; {argument} must be one of {columns}"
            )
        return self.obs[name]

    def statistics(
        self, names: Sequence[str], positions: np.ndarray | None = None
    ) -> tuple[csr_matrix, ...]:
        """Give statistics of the bootstraps by name, see :meth:`SparseSummary.matrix`.

        Each has shape (cells, isoforms), of the cells at ``positions``, shape (cells,), or of all.
        """
        matrices = (self.summary.matrix(name, self.num_isoforms) for name in names)
        return tuple(matrix if positions is None else matrix[positions] for matrix in matrices)

    def require_bootstraps(self) -> None:
        """Raise a DataError unless every cell has bootstraps."""
        if self.summary is None:
            raise DataError(
                f"{self.source}: holds no bootstraps (layers infRep1, infRep2, ... or "
                f"{', '.join(STATISTICS)}); quantify with bootstraps (kallisto quant -b 30), or "
                "choose scvi, the model that needs none"
            )
        without = np.flatnonzero(self.num_bootstraps == 0)
        if without.size:
            raise DataError(
                f"{self.source}: cell {self.names[without[0]]} has no bootstraps "
                f"({without.size} such cells); quantify them with bootstraps or leave them out"
            )

    def require_class_counts(self, otherwise: str = "choose another model") -> None:
        """Raise a DataError unless every cell has reads by class; ``otherwise`` is a remedy."""
        if self.reads is None:
            raise DataError(
                f'{self.source}: holds no reads by class (obsm["reads"] and uns["reads"]); import '
                f"them (exvae isoforms import --reads), or {otherwise}"
            )
        require_reads(self.source, self.names, self.reads.counts, "its classes")

    def require_shared_batches(self) -> None:
        """Raise a DataError if most batches are of one cell, as of a column of measurements."""
        number = len(self.batch_names)
        if number > 1 and 2 * number > self.num_cells:
            raise DataError(
                f"{self.source}: its {self.num_cells} cells are in {number} batches, the first "
                f"{self.batch_names[0]!r}; choose a batch_key whose values many cells share"
            )

    def selected(self, isoforms: Sequence[str]) -> Cells:
        """Select isoforms by name, in their order.

        Raises
        ------
        DataError
            If the cells lack one of them.
        """
        if list(isoforms) == self.isoforms.tolist():
            return self
        places = {name: place for place, name in enumerate(self.isoforms.tolist())}
        missing = [name for name in isoforms if name not in places]
        if missing:
            raise DataError(
                f"{self.source}: lacks {len(missing)} of the {len(isoforms)} isoforms of the fit, "
                f"among them {missing[0]}; quantify its cells with the same transcripts"
            )
        columns = np.array([places[name] for name in isoforms])
        chosen = {
            name: values[columns]
            for name in ("isoforms", "genes", "effective_lengths")
            if (values := getattr(self, name)) is not None
        }
        summary = self.summary and self.summary.selected(columns, self.num_isoforms)
        inverse = np.full(self.num_isoforms, -1)
        inverse[columns] = np.arange(len(columns))
        return replace(
            self,
            counts=_columns(self.counts, columns),
            bootstraps=tuple(_columns(matrix, columns) for matrix in self.bootstraps),
            summary=summary,
            reads=self.reads and self.reads.of_isoforms(inverse),
            **chosen,
        )

    def recoded(self, batch_names: Sequence[str], *, average: bool = False) -> Cells:
        """Give these cells the batch codes of a fit.

        Parameters
        ----------
        batch_names
            Batches of the fit, in its order.
        average
            Whether cells of other batches get the code -1; otherwise they are an error.

        Raises
        ------
        DataError
            If the cells have an unknown batch.
        """
        codes = {name: code for code, name in enumerate(batch_names)}
        unknown = [name for name in self.batch_names if name not in codes]
        if unknown and not average:
            raise DataError(
                f"{self.source}: batch {unknown[0]!r} is not in the fit, which knows "
                f"{', '.join(map(repr, batch_names))}; leave its cells out, fit again, or take the "
                "average of the known batches (new_batches='average')"
            )
        batches = np.array([codes.get(name, -1) for name in self.batch_names])[self.batches]
        return replace(self, batches=batches, batch_names=tuple(batch_names))


def _columns(matrix: csr_matrix, columns: np.ndarray) -> csr_matrix:
    """Select columns of a matrix; the entries of each row stay sorted."""
    selected = matrix[:, columns]
    selected.sort_indices()
    return selected


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


def require_reads(source: str, names: np.ndarray, counts: csr_matrix, place: str) -> None:
    """Raise a DataError unless every cell has reads.

    Parameters
    ----------
    source
        Origin of the cells, for the message.
    names
        Names of the cells, shape (cells,).
    counts
        Reads, shape (cells, isoforms), without stored zeros.
    place
        Place of the counts in the file, for the message.
    """
    empty = np.flatnonzero(np.diff(counts.indptr) == 0)
    if empty.size:
        raise DataError(
            f"{source}: cell {names[empty[0]]} has no reads in {place} ({empty.size} such cells); "
            "leave them out"
        )
