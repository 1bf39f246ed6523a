"""Isoforms without reads left out of cells, in memory that does not grow with the cells.

An isoform has reads in a cell if the mean of the cell's bootstraps is above zero; without
bootstraps in the file, if its estimate is. A fit takes the sum over the isoforms in the file for
the library size of a cell, so that after filtering fractions refer to the reads of the isoforms
kept.
``obs["total_counts"]`` keeps its imported values.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from scipy.sparse import csr_matrix

from ..errors import DataError
from ..files import require_h5ad, unchanged, written_atomically
from ..h5ad.new_files import NewFile
from ..h5ad.reading import CellFile, dense_rows, open_cells
from ..h5ad.writing import H5adRows
from ..progress import with_progress
from ..row_blocks import blocks
from .cell_rows import SparseRow

# Entries, cells times isoforms, of each matrix that are read at once.
_BLOCK = 1 << 21

Rows = tuple[dict[str, SparseRow], dict[str, np.ndarray]]


class FilterSummary(NamedTuple):
    """Size of the filtered cells.

    Attributes
    ----------
    cells
        Number of cells.
    isoforms, isoforms_before
        Number of isoforms after and before filtering.
    reads_kept
        Share of the reads of all cells in the isoforms kept.
    """

    cells: int
    isoforms: int
    isoforms_before: int
    reads_kept: float


def filter_isoforms(
    source: Path, out: Path, min_cells: int, min_reads: float = 0.0
) -> FilterSummary:
    """Write a copy of cells with only the isoforms that have reads in enough of them.

    Parameters
    ----------
    source
        The cells, an ``.h5ad``.
    out
        The ``.h5ad`` to write; it appears when it is complete.
    min_cells
        Number of cells in which an isoform must have reads to be kept.
    min_reads
        Smallest mean of the bootstraps (reads) that counts as reads in a cell; 0 takes all above
        zero.

    Raises
    ------
    DataError
        If the cells cannot be read, no isoform is left, or a cell without reads.
    """
    require_h5ad(out)
    if out.resolve() == source.resolve():
        raise DataError(f"{out}: is the file that is read; choose another place")
    with (
        open_cells(source) as file,
        written_atomically(out) as temporary,
        unchanged([source]),
    ):
        num_cells, num_isoforms = file.shape
        if min_cells > num_cells:
            raise file.error(f"has {num_cells} cells, min_cells is {min_cells}; give fewer")
        seen_in, totals = np.zeros(num_isoforms, np.int64), np.zeros(num_isoforms)
        for reads in with_progress(_mean_reads(file), num_cells, "count"):
            seen_in += (reads > 0) & (reads >= min_reads)
            totals += reads
        kept = seen_in >= min_cells
        if not kept.any():
            raise file.error(
                f"no isoform has reads in {min_cells} cells, the most are {seen_in.max(initial=0)};"
                " lower min_cells or min_reads"
            )
        summary = FilterSummary(
            num_cells, int(kept.sum()), num_isoforms, float(totals[kept].sum() / totals.sum())
        )
        about = {"min_cells": min_cells, "min_reads": min_reads, **summary._asdict()}
        del about["cells"], about["isoforms"]
        with H5adRows(temporary, summary.isoforms) as rows:
            for own in with_progress(_kept_rows(file, kept), num_cells, "filter"):
                rows.append(*own)
            rows.finish(file.obs, _rows_of(file.var, kept))
        with NewFile(temporary, "r+") as new:
            _copy_others(file, new, kept)
            write_elem(new["uns"], "exvae_filter", about)
    return summary


def _mean_reads(file: CellFile) -> Iterator[np.ndarray]:
    """Yield the mean bootstraps of each cell, or without bootstraps its counts (isoforms,)."""
    for rows in blocks(*file.shape, _BLOCK):

        def read(name: str, rows: slice = rows) -> np.ndarray:
            return dense_rows(file.read_rows(name, rows))

        number = np.maximum(file.num_bootstraps[rows, None], 1)
        if file.has_statistics:
            shares = 1 - read("layers/bootstrap_zeros") / number
            yield from read("layers/bootstrap_mean") * shares
        elif file.bootstraps:
            yield from sum(read(f"layers/{name}") for name in file.bootstraps) / number
        else:
            yield from read("X")


def _kept_rows(file: CellFile, kept: np.ndarray) -> Iterator[Rows]:
    """Yield the rows of each cell by the place of their matrix."""
    places = ["X", *(f"layers/{name}" for name in file.layers)]
    new_column = np.cumsum(kept, dtype=np.int32) - 1
    for rows in blocks(*file.shape, _BLOCK):
        parts = {place: file.read_rows(place, rows) for place in places}
        for place in ("X", *(f"layers/{name}" for name in file.bootstraps)):
            part = parts[place]
            values = part.data if isinstance(part, csr_matrix) else part
            if not (np.isfinite(values) & (values >= 0)).all():
                raise file.error(
                    f"{place} holds numbers that are negative or missing; it must hold estimated "
                    "counts (reads)"
                )
        for number, cell in enumerate(file.names[rows]):
            sparse, dense = {}, {}
            for place, part in parts.items():
                if isinstance(part, csr_matrix):
                    sparse[place] = _kept_entries(part, number, kept, new_column)
                else:
                    dense[place] = part[number, kept]
            counts = sparse["X"].values if "X" in sparse else dense["X"]
            if not counts.any():
                raise file.error(
                    f"cell {cell} has no reads in the isoforms that are kept; lower min_cells or "
                    "min_reads, or leave the cell out"
                )
            yield sparse, dense


def _kept_entries(
    rows: csr_matrix, number: int, kept: np.ndarray, new_column: np.ndarray
) -> SparseRow:
    """Entries of a row in the columns that are kept, at their new places."""
    own = slice(rows.indptr[number], rows.indptr[number + 1])
    indices = rows.indices[own]
    chosen = kept[indices]
    return SparseRow(new_column[indices[chosen]], rows.data[own][chosen])


def _rows_of(table: pd.DataFrame, kept: np.ndarray) -> pd.DataFrame:
    """Rows of a table, without categories that none of them has."""
    table = table[kept].copy()
    for name in table.select_dtypes("category"):
        table[name] = table[name].cat.remove_unused_categories()
    return table


def _copy_others(old: CellFile, new: h5py.File, kept: np.ndarray) -> None:
    """Copy further elements: of cells unchanged, of isoforms for the isoforms kept."""
    for name in ("uns", "obsm", "obsp", "raw"):
        old.copy(name, new)
    if "uns" not in new:
        write_elem(new, "uns", {})
    chosen: dict[str, tuple[Any, ...]] = {"varm": (kept,), "varp": np.ix_(kept, kept)}
    for name, own in chosen.items():
        if old.has(name):
            write_elem(
                new, name, {key: _chosen(old, f"{name}/{key}", own) for key in old.group(name)}
            )


def _chosen(old: CellFile, place: str, own: tuple[Any, ...]) -> Any:
    """Read the entries of isoforms kept, along one dimension or two.

    Raises
    ------
    DataError
        If the element is not of the isoforms.
    """
    value = old.element(place)
    wanted = (old.shape[1],) * len(own)
    if np.shape(value)[: len(own)] != wanted:
        raise old.error(
            f"{place} has not a row for each isoform; the file is damaged, write it again"
        )
    return value[own[0]] if len(own) == 1 else value[own]
