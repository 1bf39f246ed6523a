"""Blocks of genes with all their isoforms, dense, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...data.cells import Cells

# Values in a dense block of genes.
BLOCK = 1 << 21


class GeneColumns(NamedTuple):
    """All isoforms of some genes.

    Attributes
    ----------
    columns
        Positions of the isoforms, shape (isoforms,).
    genes
        Gene of each, numbered from 0, shape (isoforms,).
    """

    columns: np.ndarray
    genes: np.ndarray


def gene_columns(
    cells: Cells, *, least_isoforms: int = 1, size: int | None = None
) -> Iterator[GeneColumns]:
    """Yield the isoforms of genes, some genes at a time.

    Parameters
    ----------
    cells
        The cells; without genes each isoform is a gene of its own.
    least_isoforms
        Genes with fewer isoforms are left out.
    size
        Values (cells x isoforms) in a block; by default :data:`BLOCK`.
    """
    names = cells.isoforms if cells.genes is None else cells.genes
    _, genes, sizes = np.unique(names, return_inverse=True, return_counts=True)
    columns = np.flatnonzero(sizes[genes] >= least_isoforms)
    columns = columns[np.argsort(genes[columns], kind="stable")]
    # A gene's isoforms stay together in the block in which the first of them lies.
    starts = np.flatnonzero(np.diff(genes[columns], prepend=-1))
    block = starts // max(1, (size or BLOCK) // cells.num_cells)
    for chosen in np.split(starts, np.flatnonzero(np.diff(block)) + 1):
        last = chosen[-1] + sizes[genes[columns[chosen[-1]]]]
        own = columns[chosen[0] : last]
        yield GeneColumns(own, np.unique(genes[own], return_inverse=True)[1])


def mean_bootstraps(cells: Cells, columns: np.ndarray) -> np.ndarray:
    """Mean bootstraps (reads) of isoforms at positions, (isoforms,); shape (cells, isoforms)."""
    return cells.mean_bootstraps[:, columns].toarray().astype(np.float64)


def bootstraps(cells: Cells, columns: np.ndarray) -> Iterator[np.ndarray]:
    """Yield bootstraps (reads), shape (cells, columns); cells with fewer start again."""
    stack = np.stack([layer[:, columns].toarray() for layer in cells.bootstraps])
    number = np.minimum(cells.num_bootstraps, len(stack))
    for index in range(len(stack)):
        yield stack[index % number, np.arange(cells.num_cells)].astype(np.float64)


def sum_genes(values: np.ndarray, genes: np.ndarray) -> np.ndarray:
    """Add up isoforms, (..., isoforms), of genes in ascending order; shape (..., genes)."""
    return np.add.reduceat(values, np.flatnonzero(np.diff(genes, prepend=-1)), axis=-1)
