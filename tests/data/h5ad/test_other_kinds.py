"""HDF5 files of other programs that are given as cells."""

from __future__ import annotations

import gzip
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells

from ...small_data import draw_cells
from ..cell_table import table
from ..quantified.quantifier_output import draw_cell, write_kallisto_h5

MATRIX = {"data": np.ones(2), "indices": np.arange(2), "indptr": np.arange(3), "shape": [2, 2]}
LOOM = {"matrix": np.ones((2, 2)), "row_attrs/Gene": [b"a", b"b"], "col_attrs/CellID": [b"c", b"d"]}
TENX = {"barcodes": [b"c", b"d"], "features/id": [b"a", b"b"], **MATRIX}
OLD_TENX = {"barcodes": [b"c", b"d"], "genes": [b"a", b"b"], **MATRIX}
KINDS = {
    "loom": (LOOM, "is a loom file, .*kallisto or salmon.*anndata.io.read_loom"),
    "10x": (
        {f"matrix/{name}": values for name, values in TENX.items()},
        "is a count matrix of 10x Genomics, .*kallisto or salmon.*scanpy.read_10x_h5",
    ),
    "old 10x": (
        {f"GRCh38/{name}": values for name, values in OLD_TENX.items()},
        "is a count matrix of 10x Genomics, .*scanpy.read_10x_h5",
    ),
    "MuData": (
        {"mod/rna/X": np.ones((2, 2)), "obs/_index": [b"c"], "var/_index": [b"a"]},
        "is MuData, .*write_h5ad",
    ),
    "h5Seurat": ({"assays/RNA": [1], "meta.data/a": [1]}, "is an object of Seurat; .*Convert"),
}


@pytest.mark.parametrize(("content", "message"), KINDS.values(), ids=list(KINDS))
def test_files_of_other_programs_are_named(content: dict, message: str, tmp_path: Path) -> None:
    path = tmp_path / "cells.h5"
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name] = values
    with pytest.raises(DataError, match=message):
        read_cells(path)


def test_a_cell_of_kallisto_is_named(tmp_path: Path) -> None:
    write_kallisto_h5(tmp_path, draw_cell(seed=0))
    with pytest.raises(DataError, match="is one cell of kallisto; import its folder"):
        read_cells(tmp_path / "abundance.h5")


# Files that are no HDF5 files, whatever their names, and what is told of them.
NO_HDF5 = {
    "packed": (gzip.compress(b"\x89HDF\r\n"), "is packed by gzip; unpack it, or give"),
    "zip": (b"PK\x03\x04 ...", r"is a workbook \(\.xlsx\) or a zip archive; unpack it"),
    "zstd": (b"(\xb5/\xfd ...", "is compressed by zstd; unpack it"),
    "page": (b"<!DOCTYPE html><p>404", "is a web page, as of a failed download"),
    "R": (gzip.compress(b"X\n\0\0\0\3"), "is an R object; give the cells as .h5ad"),
    "text": (b"no cells", "not a readable .h5ad file"),
}


@pytest.mark.parametrize(("content", "message"), NO_HDF5.values(), ids=list(NO_HDF5))
@pytest.mark.parametrize("name", ["cells.h5ad", "cells.h5ad.gz"])
def test_files_that_are_no_hdf5_are_named(
    content: bytes, message: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{path}: {message}"):
        read_cells(path)


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    table().write_h5ad(path)
    with h5py.File(path, "a") as file:
        values = file["X/data"][()]
        del file["X/data"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk(values.shape)
        plan.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(values.shape)
        h5py.h5d.create(file["X"].id, b"data", h5py.h5t.NATIVE_FLOAT, space, plan)
    with pytest.raises(DataError, match="X/data is compressed by the filter 32999, .*plugin; wr"):
        read_cells(path)


@pytest.mark.parametrize("layer", [None, "counts"])
def test_cells_without_x(layer: str | None, tmp_path: Path) -> None:
    made = draw_cells()
    if layer is not None:
        made.layers[layer] = made.X
    made.X = None
    made.write_h5ad(tmp_path / "cells.h5ad")
    told = "has no X; put the estimated counts .reads. there"
    named = r", perhaps those of layers\['counts'\]" if layer else ""
    with pytest.raises(DataError, match=f"{told}{named}$"):
        read_cells(tmp_path / "cells.h5ad")


def test_transposed_cells_of_tximeta(tmp_path: Path) -> None:
    made = draw_cells()
    made.var = made.var.rename(columns={"gene": "gene_id"}).assign(tx_name="T")
    anndata.AnnData(made.X.T.tocsr(), obs=made.var, var=made.obs).write_h5ad(tmp_path / "c.h5ad")
    with pytest.raises(DataError, match="its rows are isoforms and its columns cells; transpose"):
        read_cells(tmp_path / "c.h5ad")
