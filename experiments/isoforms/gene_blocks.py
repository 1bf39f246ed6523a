"""Blocks of genes with all their isoforms, dense, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ...data.cell_tables import CellTable
from ...data.cells import Cells
from ...data.stored_cells import size_in_memory

# Values in a dense block of genes.
BLOCK = 1 << 21
# Bytes of cells on disk that are in memory at once.
HELD = 1 << 30


class GeneColumns(NamedTuple):
    """All isoforms of some genes.

    Attributes
    ----------
    cells
        Cells in memory, with these isoforms and perhaps others.
    columns
        Positions of the isoforms among those of the cells, shape (isoforms,).
    genes
        Gene of each, numbered from 0, shape (isoforms,).
    """

    cells: Cells
    columns: np.ndarray
    genes: np.ndarray


def gene_columns(
    cells: CellTable, *, least_isoforms: int = 1, size: int | None = None
) -> Iterator[GeneColumns]:
    """Yield the isoforms of genes, some genes at a time.

    Cells on disk are read once for every :data:`HELD` bytes of them.

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
    parts = []
    for chosen in np.split(starts, np.flatnonzero(np.diff(block)) + 1):
        last = chosen[-1] + sizes[genes[columns[chosen[-1]]]]
        parts.append(columns[chosen[0] : last])
    for held, own in _held(cells, parts):
        for part in own:
            named = held.isoforms if cells.genes is None else held.genes
            yield GeneColumns(held, part, np.unique(named[part], return_inverse=True)[1])


def _held(
    cells: CellTable, parts: Sequence[np.ndarray]
) -> Iterator[tuple[Cells, list[np.ndarray]]]:
    """Yield cells in memory, and positions of isoforms in them that were positions in the cells."""
    if isinstance(cells, Cells):
        yield cells, list(parts)
        return
    number = max(1, round(size_in_memory(cells.file) / HELD))
    for group in np.array_split(np.arange(len(parts)), min(number, len(parts))):
        columns = np.concatenate([parts[place] for place in group])
        ends = np.cumsum([len(parts[place]) for place in group])
        yield cells.in_memory(columns), np.split(np.arange(len(columns)), ends[:-1])


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
