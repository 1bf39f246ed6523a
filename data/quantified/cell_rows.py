"""One cell's rows in an ``.h5ad``: its counts, its bootstraps and their sufficient statistics.

Like :mod:`~exvae.data.quantified.quantifications`, this loads neither torch nor anndata.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..centring import allowed_offset, is_centred
from .quantifications import Quantification, are_the_same


class SparseRow(NamedTuple):
    """Entries of a row above zero.

    Attributes
    ----------
    indices
        Positions of the columns, ascending, shape (entries,), int32.
    values
        Values of the entries, shape (entries,), float32.
    """

    indices: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, indices: np.ndarray | None = None) -> SparseRow:
        """Take values above zero; both shapes are (values,), indices by default 0, 1, ..."""
        values = values.astype(np.float32)
        kept = np.flatnonzero(values)
        columns = kept if indices is None else indices[kept]
        return cls(columns.astype(np.int32), values[kept])


class CellRows(NamedTuple):
    """Rows of one cell.

    Attributes
    ----------
    counts
        Estimated counts (reads).
    bootstraps
        Bootstraps to keep (reads).
    mean, sum_of_squares
        Statistics of all bootstraps, see :class:`~exvae.data.bootstraps.BootstrapSummary`.
    zeros
        Number of bootstraps that are zero, shape (isoforms,), int16.
    effective_lengths
        Effective lengths of the transcripts (bases), shape (isoforms,), float64.
    num_bootstraps
        Number of bootstraps, kept or not.
    total_counts
        Sum of the estimates (reads).
    displaced
        Share of reads, see :func:`displaced_share`.
    quantifier, version, replicates, notes
        See :class:`~exvae.data.quantified.quantifications.Quantification`.
    """

    counts: SparseRow
    bootstraps: tuple[SparseRow, ...]
    mean: SparseRow
    sum_of_squares: SparseRow
    zeros: np.ndarray
    effective_lengths: np.ndarray
    num_bootstraps: int
    total_counts: float
    displaced: float
    quantifier: str
    version: str
    replicates: str
    notes: tuple[str, ...]

    @property
    def is_centred(self) -> bool:
        """Whether the bootstraps scatter around the estimates."""
        return bool(is_centred(self.displaced, self.num_bootstraps))

    def matrices(self) -> tuple[dict[str, SparseRow], dict[str, np.ndarray]]:
        """Give the sparse and the dense rows by the place of their matrix in the file.

        Dense rows have shape (isoforms,).
        """
        bootstraps = enumerate(self.bootstraps, start=1)
        sparse = {
            "X": self.counts,
            "layers/bootstrap_mean": self.mean,
            "layers/bootstrap_ss": self.sum_of_squares,
            **{f"layers/infRep{number}": bootstrap for number, bootstrap in bootstraps},
        }
        return sparse, {"layers/bootstrap_zeros": self.zeros}


def cell_rows(cell: Quantification, num_layers: int | None = None) -> CellRows:
    """Make the rows of a cell, with the first ``num_layers`` bootstraps (None: with all)."""
    num_bootstraps, num_isoforms = cell.bootstraps.shape
    expressed = np.flatnonzero(cell.bootstraps.any(0))
    bootstraps = cell.bootstraps[:, expressed].astype(np.float64)
    # As BootstrapSummary.of, but without torch, which every process would have to load.
    positive = bootstraps > 0
    positives = positive.sum(0)
    mean = bootstraps.sum(0) / positives
    squares = np.square(np.where(positive, bootstraps - mean, 0.0)).sum(0)
    zeros = np.full(num_isoforms, num_bootstraps, np.int16)
    zeros[expressed] -= positives.astype(np.int16)
    return CellRows(
        counts=SparseRow.of(cell.counts),
        bootstraps=tuple(SparseRow.of(row, expressed) for row in bootstraps[:num_layers]),
        mean=SparseRow.of(mean, expressed),
        sum_of_squares=SparseRow.of(squares, expressed),
        zeros=zeros,
        effective_lengths=cell.effective_lengths,
        num_bootstraps=num_bootstraps,
        total_counts=float(cell.counts.sum(dtype=np.float64)),
        displaced=displaced_share(cell.counts, cell.bootstraps),
        quantifier=cell.quantifier,
        version=cell.version,
        replicates=cell.replicates,
        notes=cell.notes,
    )


def displaced_share(counts: np.ndarray, bootstraps: np.ndarray) -> float:
    """Measure the displacement of the bootstraps from the estimates.

    Parameters
    ----------
    counts
        Estimated counts (reads), shape (isoforms,).
    bootstraps
        Bootstrap estimates (reads), shape (bootstraps, isoforms).

    Returns
    -------
    float
        Share of the estimated reads by which bootstrap means miss the estimates, beyond three
        standard deviations of a bootstrap. Ambiguous isoforms have biases within that limit.
    """
    if len(bootstraps) == 1 or are_the_same(bootstraps):
        return 0.0  # their scatter is unknown
    seen = np.flatnonzero(bootstraps.any(0) | (counts > 0))
    estimates, drawn = counts[seen].astype(np.float64), bootstraps[:, seen].astype(np.float64)
    offset = np.abs(drawn.mean(0) - estimates)
    allowed = allowed_offset(estimates, drawn.std(0, ddof=1))
    return float(np.maximum(offset - allowed, 0.0).sum() / estimates.sum())
