"""Cells from wherever they are, in memory or left on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .cell_tables import CellTable
from .errors import DataError
from .h5ad.reading import file_of, open_cells, read_cells
from .memory import available_memory
from .stored_cells import StoredCells, column_wise, size_in_memory, store_cells

if TYPE_CHECKING:
    from anndata import AnnData

# Memory at the peak of reading, over that of the cells once they are read; share of the available
# memory that cells may take.
_PEAK, _SHARE = 2.0, 0.7


def get_cells(
    source: str | Path | AnnData,
    batch_key: str | None = None,
    gene_key: str | None = None,
    *,
    backed: bool | None = None,
) -> CellTable:
    """Read cells into memory, or leave them on disk if they do not fit.

    Parameters
    ----------
    source
        The file, its content as an AnnData, or an AnnData that was opened with ``backed="r"``.
    batch_key
        Column of ``obs`` with the batch of each cell; None puts all cells in one.
    gene_key
        Column of ``var`` with the gene of each isoform; None takes ``gene`` or ``gene_id``.
    backed
        Whether the cells stay on disk; None leaves those there that do not fit in memory.

    Raises
    ------
    DataError
        As :func:`~.h5ad.reading.read_cells`, or if cells that are to stay on disk cannot.
    """
    if not isinstance(source, str | Path):
        if not source.isbacked:
            if backed:
                raise DataError("adata is in memory; give the path of its file, or backed=False")
            return read_cells(source, batch_key, gene_key)
        source, backed = file_of(source), backed is None or backed
    if backed is None:
        backed = not fits_in_memory(Path(source))
    if backed:
        return store_cells(Path(source), batch_key, gene_key=gene_key)
    return read_cells(source, batch_key, gene_key)


def fits_in_memory(path: Path) -> bool:
    """Tell whether reading the cells of a file leaves memory for other things."""
    with open_cells(path) as file:
        if column_wise(file):
            return True  # every cell needs the whole file
        return _PEAK * size_in_memory(file) <= _SHARE * available_memory()


def told_storage(cells: CellTable) -> str | None:
    """Tell that cells stay on disk; None if they are in memory."""
    if not isinstance(cells, StoredCells):
        return None
    size = size_in_memory(cells.file) / 2**30
    return (
        f"{cells.source}: its {cells.num_cells} cells, {size:.2g} GiB, stay on disk and are read "
        "in parts (--in-memory reads all at once)"
    )
