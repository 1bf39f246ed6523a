"""Values measured on cells, from which models and guides start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from .overdispersion import InferentialDispersions, inferential_dispersions

if TYPE_CHECKING:
    from .cell_batches import BatchSource
    from .cell_tables import CellTable


class InitialValues:
    """All that models and guides may start from, each measured when it is asked for.

    Parameters
    ----------
    source
        The cells as the model observes them.
    positions
        Positions of the training cells, shape (cells,).
    """

    def __init__(self, source: BatchSource, positions: np.ndarray) -> None:
        self.source = source
        self.cells = source.cells
        self.positions = np.sort(positions)

    def _counts(self) -> Iterator[csr_matrix]:
        """Yield estimates of the counts (reads) of the training cells, some cells at a time."""
        for positions, matrices in self.cells.blocks(self.source.estimated_from, self.positions):
            yield self.source.estimates_of(positions, matrices)

    @cached_property
    def _totals(self) -> Totals:
        return Totals.of(self._counts())

    @cached_property
    def expression(self) -> ExpressionScales:
        """Library sizes and mean expression."""
        batches = self.cells.batches[self.positions]
        return expression_scales(self._totals, batches, len(self.cells.batch_names))

    @cached_property
    def inputs(self) -> InputScales:
        """Scales of an encoder's input."""
        return input_scales(self._totals, self._counts())

    def overdispersion(self, gene_codes: Tensor) -> InferentialDispersions:
        """Overdispersion of genes; the gene of each isoform has shape (isoforms,), int64."""
        return inferential_dispersions(self.cells, self.positions, gene_codes.cpu().numpy())

    def noise_variances(self, *, relative: bool) -> Tensor:
        """Mean variance of the bootstraps of each isoform, see :func:`noise_variances`."""
        return noise_variances(self.cells, self.positions, relative=relative)


class Totals(NamedTuple):
    """Sums of counts (reads).

    Attributes
    ----------
    of_cells
        Reads of each cell, shape (cells,), float64.
    of_isoforms
        Reads of each isoform, shape (isoforms,), float64.
    """

    of_cells: np.ndarray
    of_isoforms: np.ndarray

    @classmethod
    def of(cls, counts: Iterable[csr_matrix]) -> Totals:
        """Sum counts (reads) that come some cells at a time, shapes (cells, isoforms)."""
        of_cells, of_isoforms = [], 0.0
        for block in counts:
            of_cells.append(np.asarray(block.sum(1, dtype=np.float64)).ravel())
            of_isoforms = of_isoforms + np.asarray(block.sum(0, dtype=np.float64)).ravel()
        return cls(np.concatenate(of_cells), of_isoforms)


class ExpressionScales(NamedTuple):
    """Scales of the library sizes and of the expression of cells.

    Attributes
    ----------
    log_library_mean, log_library_sd
        Mean and standard deviation of the log reads of a cell, in each batch, shape (batches,).
    fractions
        Share of each isoform in the reads of all cells, shape (isoforms,), positive, of sum one.
    """

    log_library_mean: Tensor
    log_library_sd: Tensor
    fractions: Tensor


def expression_scales(totals: Totals, batches: np.ndarray, num_batches: int) -> ExpressionScales:
    """Measure the scales of the counts with these sums; every cell has reads.

    ``batches`` has shape (cells,), int64. A batch of fewer than two cells gets the scales of all
    cells together.
    """
    log_library = np.log(totals.of_cells)
    of_batches = [log_library[batches == batch] for batch in range(num_batches)]
    of_batches = [own if len(own) > 1 else log_library for own in of_batches]
    # Half a read more for every isoform: none is impossible because it was not seen.
    fractions = totals.of_isoforms + 0.5
    return ExpressionScales(
        torch.tensor([own.mean() for own in of_batches], dtype=torch.float32),
        torch.tensor([max(own.std(), 0.05) for own in of_batches], dtype=torch.float32),
        torch.tensor(fractions / fractions.sum(), dtype=torch.float32),
    )


class InputScales(NamedTuple):
    """Reference values that standardise the counts of a cell for an encoder.

    Attributes
    ----------
    reads
        Median reads of a cell, to which every cell is scaled, shape ().
    log1p_means
        Mean over cells of log1p of the counts so scaled, shape (isoforms,).
    """

    reads: Tensor
    log1p_means: Tensor


def input_scales(totals: Totals, counts: Iterable[csr_matrix]) -> InputScales:
    """Measure the scales of counts; every cell has reads.

    Parameters
    ----------
    totals
        Sums of the counts.
    counts
        The counts (reads), some cells at a time, shapes (cells, isoforms).
    """
    reads = np.median(totals.of_cells)
    sums, start = np.zeros(len(totals.of_isoforms)), 0
    for block in counts:
        library = totals.of_cells[start : start + block.shape[0]]
        scaled = block.astype(np.float64)
        scaled.data *= np.repeat(reads / library, np.diff(block.indptr))
        sums += np.asarray(scaled.log1p().sum(0)).ravel()
        start += block.shape[0]
    return InputScales(
        torch.tensor(reads, dtype=torch.float32),
        torch.tensor(sums / max(start, 1), dtype=torch.float32),
    )


def noise_variances(cells: CellTable, positions: np.ndarray, *, relative: bool) -> Tensor:
    """Mean variance of the bootstraps above zero of each isoform, shape (isoforms,).

    Parameters
    ----------
    cells
        The cells, all with bootstraps.
    positions
        Positions of the cells to measure, shape (cells,).
    relative
        Whether each variance (reads squared) is divided by one plus the mean bootstrap.
    """
    total, count = np.ones((2, cells.num_isoforms))
    # One measurement of one unit more, so that there always is one.
    for _, matrices in cells.blocks(("summary",), positions):
        summary = matrices.summary
        several = summary.positives > 1
        variance = summary.sum_of_squares[several] / (summary.positives[several] - 1)
        if relative:
            variance = variance / (1 + summary.mean[several])
        isoform = summary.indices[several]
        count += np.bincount(isoform, minlength=cells.num_isoforms)
        total += np.bincount(isoform, variance, cells.num_isoforms)
    return torch.tensor(total / count, dtype=torch.float32)
