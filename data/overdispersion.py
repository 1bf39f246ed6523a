"""Quantification overdispersion: variance per read of the estimates, from bootstraps alone.

The overdispersion of edgeR's catchSalmon and catchKallisto (Baldoni, Chen, Hediyeh-zadeh, Liao,
Dong, Ritchie, Shi & Smyth, 2024, "Dividing out quantification uncertainty allows efficient
assessment of differential transcript expression with edgeR", Nucleic Acids Research 52(3): e13),
here of gene totals and of their split between isoforms. fishpond's inferential relative variance
(Zhu, Srivastava, Ibrahim, Patro & Love, 2019, "Nonparametric expression analysis using inferential
replicate counts", Nucleic Acids Research 47(18): e105) measures the same excess, per entry.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .cell_matrices import CellMatrices, SparseSummary
from .cell_tables import CellTable

# Entries (cells x isoforms) per block.
_BLOCK = 1 << 20


class InferentialDispersions(NamedTuple):
    """Overdispersion: variance of the bootstraps over the variance of counts of as many reads.

    It is one if only the drawing of reads adds variance, and larger if reads are ambiguous. Less is
    measured of a gene with a large share of all reads, whose bootstraps hardly move as each draws
    as many reads; sequencing again would draw other numbers, so that one is the least, as in
    edgeR.

    Attributes
    ----------
    totals
        Overdispersion of the reads of genes, shape (genes,), float32.
    divisions
        Overdispersion of their split between isoforms, shape (genes,), float32; one for genes of
        one isoform.
    """

    totals: Tensor
    divisions: Tensor


def inferential_dispersions(
    cells: CellTable, positions: np.ndarray, genes: np.ndarray, *, block_size: int = _BLOCK
) -> InferentialDispersions:
    """Measure overdispersion over the cells that have several bootstraps.

    Genes of several isoforms need the bootstraps themselves: the sufficient statistics lack the
    covariance between isoforms.

    Parameters
    ----------
    cells
        The cells, all with bootstraps.
    positions
        Positions of the cells to measure, shape (cells,).
    genes
        Position of the gene of each isoform, shape (isoforms,), int64.
    block_size
        Entries (cells x isoforms) per block.
    """
    num_genes = genes.max() + 1
    # One more read, with the variance of a count, avoids division by zero.
    sums = np.ones((4, num_genes))
    single = num_genes == len(genes)
    numbers = cells.num_bootstraps
    if not single:
        numbers = np.minimum(numbers, cells.num_layers)
    chosen = positions[numbers[positions] > 1]
    read = ("summary",) if single else ("bootstraps",)
    for block, matrices in cells.blocks(read, chosen, block_size):
        if single:
            sums[:2, genes] += _variances_of_isoforms(matrices.summary, numbers[block], len(genes))
        else:
            sums += _variances_of_genes(matrices, numbers[block], genes)
    totals, mean, divisions, counts = torch.tensor(sums, dtype=torch.float32)
    totals, divisions = totals / mean, divisions / counts
    return InferentialDispersions(totals.clamp(min=1.0), divisions.clamp(min=1.0))


def _variances_of_isoforms(summary: SparseSummary, numbers: np.ndarray, size: int) -> np.ndarray:
    """Sum variance and mean of the bootstraps, zeros included, over cells, (2, isoforms)."""
    positives, sums = summary.positives, summary.positives * summary.mean
    number = np.repeat(numbers, np.diff(summary.indptr))
    means = sums / number
    # Stored sums of squares are centred at the mean of the positive bootstraps, not of all.
    squares = summary.sum_of_squares + sums * (sums / positives - means)
    isoform = summary.indices
    variances = np.bincount(isoform, squares / (number - 1), size)
    return np.stack([variances, np.bincount(isoform, means, size)])


def _variances_of_genes(
    matrices: CellMatrices, numbers: np.ndarray, genes: np.ndarray
) -> np.ndarray:
    """Sum numerators and denominators of both overdispersions over cells, shape (4, genes).

    The variance of genes' reads, their mean, the variance of isoforms' reads around their mean
    share of the gene's, and the variance that a multinomial of the gene's reads would have.
    """
    num_genes = genes.max() + 1
    of_isoforms, of_genes = (len(numbers), len(genes)), (len(numbers), num_genes)
    total, total_square = np.zeros(of_genes), np.zeros(of_genes)
    own, own_square, product = (np.zeros(of_isoforms) for _ in range(3))
    for number in range(numbers.max()):
        # Rows of cells that have fewer bootstraps are empty.
        reads = matrices.bootstraps[number].tocoo()
        row, isoform, values = reads.row, reads.col, reads.data.astype(np.float64)
        of_gene = np.bincount(row * num_genes + genes[isoform], values, total.size)
        of_gene = of_gene.reshape(of_genes)
        total += of_gene
        total_square += of_gene**2
        own[row, isoform] += values
        own_square[row, isoform] += values**2
        product[row, isoform] += values * of_gene[row, genes[isoform]]
    size = numbers[:, None]
    mean = total / size
    share = np.divide(own, total[:, genes], out=np.zeros(of_isoforms), where=own > 0)
    variance = total_square - total * mean
    scatter = own_square - own**2 / size - 2 * share * (product - own * mean[:, genes])
    scatter += share**2 * variance[:, genes]
    expected = mean[:, genes] * share * (1 - share)
    return np.stack(
        [
            (variance / (size - 1)).sum(0),
            mean.sum(0),
            np.bincount(genes, (scatter / (size - 1)).sum(0), num_genes),
            np.bincount(genes, expected.sum(0), num_genes),
        ]
    )
