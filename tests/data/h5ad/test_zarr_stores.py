"""Cells in a zarr store are those of the file."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest

from exvae.data.cell_matrices import MATRICES
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import open_cells, read_cells
from exvae.data.stored_cells import store_cells

from ...small_data import NUM_CELLS, draw_cells
from ..cell_table import table

pytest.importorskip("zarr")


def written(made: anndata.AnnData, folder: Path) -> tuple[Path, Path]:
    """Write cells to a file and to a store."""
    paths = folder / "cells.h5ad", folder / "cells.zarr"
    made.write_h5ad(paths[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the format that will be written in future
        made.write_zarr(paths[1])
    return paths


@pytest.mark.parametrize("make", [draw_cells, lambda: table(statistics=True)])
def test_cells_of_a_store(make, tmp_path: Path) -> None:
    path, store = written(make(), tmp_path)
    expected, found, stored = read_cells(path, "batch"), read_cells(store, "batch"), None
    assert found.fingerprint == expected.fingerprint
    np.testing.assert_array_equal(found.genes, expected.genes)
    np.testing.assert_array_equal(found.batches, expected.batches)
    stored = store_cells(store, "batch", 3000)
    assert stored.fingerprint == expected.fingerprint
    reader = stored.reader(MATRICES)
    positions = np.random.default_rng(0).permutation(expected.num_cells)
    for own in np.array_split(positions, 3):
        layers = reader.take(own).bootstraps
        for one, other in zip(layers, expected.matrices.take(own).bootstraps, strict=True):
            np.testing.assert_array_equal(one.toarray(), other.toarray())


@pytest.mark.parametrize("version", [2, 3])
def test_a_store_without_raw_is_copied(version: int, tmp_path: Path) -> None:
    """A store tells that there is none in another way than a file does."""
    if version == 3 and not hasattr(anndata.settings, "zarr_write_format"):
        pytest.skip("needs anndata 0.12")
    with anndata.settings.override(zarr_write_format=version):
        store = written(draw_cells(), tmp_path)[1]
    with h5py.File(tmp_path / "copy.h5ad", "w") as new, open_cells(store) as file:
        for name in ("raw", "obsm"):
            file.copy(name, new)
        assert list(new) == ["obsm"]
        assert list(new["obsm"]) == ["reads"]


def test_faults_of_a_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.zarr: no such folder"):
        read_cells(tmp_path / "none.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(DataError, match=r"empty\.zarr: is no zarr store"):
        read_cells(tmp_path / "empty.zarr")
    made = draw_cells()
    made.X[NUM_CELLS - 1, 0] = np.nan
    with pytest.raises(DataError, match="X holds nan in cell cell23"):
        read_cells(written(made, tmp_path)[1])


def test_zarr_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cells.zarr").mkdir()
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(DataError, match=r"pip install 'exvae\[zarr\]'"):
        read_cells(tmp_path / "cells.zarr")
