"""Cells written to a file and read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import pytest

from exvae.data.cells import Cells
from exvae.data.h5ad.reading import read_cells


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Cells]:
    """Write a table and read it."""

    def write_and_read(made: anndata.AnnData, batch_key: str | None = None) -> Cells:
        made.write_h5ad(tmp_path / "cells.h5ad")
        return read_cells(tmp_path / "cells.h5ad", batch_key)

    return write_and_read
