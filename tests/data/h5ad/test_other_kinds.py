"""HDF5 files of other programs that are given as cells."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells

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
