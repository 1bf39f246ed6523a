"""How far estimates of isoforms scatter for each read that they hold, from bootstraps alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .cells import Cells

# Reads in all cells together above which an isoform's own scatter is measured well enough to count
# for its gene.
_FEW_READS = 3.0


def inferential_dispersions(cells: Cells, positions: np.ndarray) -> Tensor:
    """Variance of the bootstraps divided by their mean (reads), shape (isoforms,), float32.

    One where only the drawing of reads makes estimates scatter, as Poisson counts do, and more
    where it is not clear which isoform a read is of. All isoforms of a gene that have reads get one
    value, the mean of theirs weighted by the dispersions themselves: what one isoform is given in
    error another lacks, and the one that is given most reads shows least of it. Where genes are not
    known each isoform has its own.

    Parameters
    ----------
    cells
        The cells, all with bootstraps.
    positions
        Of the cells to measure, shape (cells,).
    """
    variances, means = _variances_and_means(cells, positions)
    # As if one read had been seen to scatter as counts do.
    dispersions = (variances + 1.0) / (means + 1.0)
    if cells.genes is not None:
        _, gene = np.unique(cells.genes, return_inverse=True)
        seen = means > _FEW_READS
        weights = dispersions * seen
        total = np.bincount(gene, weights)[gene]
        weighted = np.bincount(gene, weights * dispersions)[gene]
        dispersions = np.divide(weighted, total, out=dispersions, where=seen)
    return torch.tensor(dispersions, dtype=torch.float32)


def _variances_and_means(cells: Cells, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up variance and mean of the bootstraps, zeros too, of cells that have several."""
    chosen = positions[cells.num_bootstraps[positions] > 1]
    positives, sums, squares = (
        cells.summary.matrix(name, cells.num_isoforms)[chosen]
        for name in ("positives", "sum", "sum_of_squares")
    )
    number = np.repeat(cells.num_bootstraps[chosen], np.diff(positives.indptr))
    means = sums.data / number
    # Those that are not zero scatter around their own mean, which is not that of all.
    squares = squares.data + sums.data * (sums.data / positives.data - means)
    isoform, size = positives.indices, cells.num_isoforms
    variances = np.bincount(isoform, squares / (number - 1), size)
    return variances, np.bincount(isoform, means, size)
