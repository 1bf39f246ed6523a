"""Values measured on cells, from which models and guides start."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from .overdispersion import InferentialDispersions, inferential_dispersions

if TYPE_CHECKING:
    from .cell_batches import BatchSource
    from .cells import Cells


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
        self.cells = source.cells
        self.positions = positions
        self.counts = source.estimates[positions]

    @cached_property
    def expression(self) -> ExpressionScales:
        """Library sizes and mean expression."""
        batches = self.cells.batches[self.positions]
        return expression_scales(self.counts, batches, len(self.cells.batch_names))

    @cached_property
    def inputs(self) -> InputScales:
        """Scales of an encoder's input."""
        return input_scales(self.counts)

    def overdispersion(self, gene_codes: Tensor) -> InferentialDispersions:
        """Overdispersion of genes; the gene of each isoform has shape (isoforms,), int64."""
        return inferential_dispersions(self.cells, self.positions, gene_codes.cpu().numpy())

    def noise_variances(self, *, relative: bool) -> Tensor:
        """Mean variance of the bootstraps of each isoform, see :func:`noise_variances`."""
        return noise_variances(self.cells, self.positions, relative=relative)


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


def expression_scales(
    counts: csr_matrix, batches: np.ndarray, num_batches: int
) -> ExpressionScales:
    """Measure the scales of counts (reads), shape (cells, isoforms); every cell has reads.

    ``batches`` has shape (cells,), int64. A batch of fewer than two cells gets the scales of all
    cells together.
    """
    log_library = np.log(np.asarray(counts.sum(1)).ravel())
    of_batches = [log_library[batches == batch] for batch in range(num_batches)]
    of_batches = [own if len(own) > 1 else log_library for own in of_batches]
    # Half a read more for every isoform: none is impossible because it was not seen.
    totals = np.asarray(counts.sum(0)).ravel() + 0.5
    return ExpressionScales(
        torch.tensor([own.mean() for own in of_batches], dtype=torch.float32),
        torch.tensor([max(own.std(), 0.05) for own in of_batches], dtype=torch.float32),
        torch.tensor(totals / totals.sum(), dtype=torch.float32),
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


def input_scales(counts: csr_matrix) -> InputScales:
    """Measure the scales of counts (reads), shape (cells, isoforms); every cell has reads."""
    library = np.asarray(counts.sum(1), np.float64)
    reads = np.median(library)
    means = np.asarray(counts.multiply(reads / library).tocsr().log1p().mean(0)).ravel()
    return InputScales(
        torch.tensor(reads, dtype=torch.float32), torch.tensor(means, dtype=torch.float32)
    )


def noise_variances(cells: Cells, positions: np.ndarray, *, relative: bool) -> Tensor:
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
    positives, mean, squares = cells.statistics(["positives", "mean", "sum_of_squares"], positions)
    several = positives.data > 1
    variance = squares.data[several] / (positives.data[several] - 1)
    if relative:
        variance = variance / (1 + mean.data[several])
    isoform = positives.indices[several]
    count = np.bincount(isoform, minlength=cells.num_isoforms)
    total = np.bincount(isoform, variance, cells.num_isoforms)
    # One measurement of one unit more, so that there always is one.
    return torch.tensor((total + 1.0) / (count + 1.0), dtype=torch.float32)
