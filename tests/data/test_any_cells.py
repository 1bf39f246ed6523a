"""Whether cells are read into memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from exvae.data import any_cells
from exvae.data.any_cells import get_cells, told_storage
from exvae.data.cells import Cells
from exvae.data.h5ad.reading import open_cells, read_cells
from exvae.data.stored_cells import StoredCells, size_in_memory

from ..small_data import draw_cells
from .cell_table import KINDS, table


def bytes_of(cells: Cells) -> int:
    """Bytes of the entries of all matrices but those of reads."""
    matrices = (cells.counts, *cells.bootstraps)
    size = sum(matrix.data.nbytes + matrix.indices.nbytes for matrix in matrices)
    return size + sum(own.nbytes for own in cells.summary[1:])


def test_cells_that_fit_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cells.h5ad"
    table(statistics=True).write_h5ad(path)
    with open_cells(path) as file:
        assert size_in_memory(file) == bytes_of(read_cells(path))
    for available, kind in ((10 * bytes_of(read_cells(path)), Cells), (100, StoredCells)):
        monkeypatch.setattr(any_cells, "available_memory", lambda own=available: own)
        cells = get_cells(path)
        assert isinstance(cells, kind)
        assert (told_storage(cells) is None) == (kind is Cells)
        assert isinstance(get_cells(path, backed=False), Cells)
        assert isinstance(get_cells(path, backed=True), StoredCells)
        assert isinstance(get_cells(draw_cells()), Cells)


def test_cells_by_columns_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(KINDS["CSC"]).write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.setattr(any_cells, "available_memory", lambda: 100)
    assert isinstance(get_cells(tmp_path / "cells.h5ad"), Cells)
