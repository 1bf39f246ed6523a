"""The truth of simulated cells, however its rows and columns are ordered."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.isoform_truth import read_truth

NAMES, ISOFORMS = ["one", "two", "three"], ["a", "b"]
EXPECTED = np.arange(6.0).reshape(3, 2)
TYPES = np.array(["x", "y", "x"])


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    path = tmp_path / "cells.h5ad"
    counts = csr_matrix(np.ones((3, 2), np.float32))
    data = anndata.AnnData(counts, pd.DataFrame(index=NAMES), pd.DataFrame(index=ISOFORMS))
    data.layers["infRep1"] = counts
    data.write_h5ad(path)
    return read_cells(path)


def arrays(rows: list[int], columns: list[int]) -> dict[str, np.ndarray]:
    return {
        "expected": EXPECTED[np.ix_(rows, columns)],
        "cell_type": TYPES[rows],
        "transcripts": np.array(ISOFORMS)[columns],
    }


@pytest.mark.parametrize("suffix", [".npz", ".h5ad"])
def test_rows_and_columns_are_found_by_name(cells: Cells, tmp_path: Path, suffix: str) -> None:
    path, rows = tmp_path / f"truth{suffix}", [2, 0, 1]
    own, names = arrays(rows, [1, 0]), np.array(NAMES)[rows]
    if suffix == ".npz":
        np.savez(path, cells=names, **own)
    else:
        data = anndata.AnnData(
            obs=pd.DataFrame({"cell_type": own["cell_type"]}, index=names),
            var=pd.DataFrame(index=own["transcripts"]),
            layers={"expected_counts": csr_matrix(own["expected"])},
        )
        data.write_h5ad(path)
    truth = read_truth(path, cells)
    np.testing.assert_array_equal(truth.expected, EXPECTED)
    assert truth.cell_types.tolist() == TYPES.tolist()
    chosen = truth.select(np.array([2, 1]))
    np.testing.assert_array_equal(chosen.expected, EXPECTED[[2, 1]])
    assert chosen.cell_types.tolist() == ["x", "y"]


def test_without_names_cells_are_in_order(cells: Cells, tmp_path: Path) -> None:
    path = tmp_path / "truth.npz"
    np.savez(path, **arrays([0, 1, 2], [1, 0]))
    np.testing.assert_array_equal(read_truth(path, cells).expected, EXPECTED)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"transcripts": np.array(["a", "c"])}, "does not have isoform b"),
        ({"cells": np.array(["one", "two", "four"])}, "does not have cell three"),
        ({"cell_type": TYPES[:2]}, "expected has shape"),
        ({"expected": EXPECTED[:2], "cell_type": TYPES[:2]}, "has 2 cells without names"),
        ({"expected": None}, "cannot be read as the truth"),
    ],
)
def test_the_truth_of_others(
    cells: Cells, tmp_path: Path, changes: dict[str, np.ndarray | None], reason: str
) -> None:
    path = tmp_path / "truth.npz"
    changed = arrays([0, 1, 2], [0, 1]) | changes
    np.savez(path, **{name: value for name, value in changed.items() if value is not None})
    with pytest.raises(DataError, match=f"truth.npz: .*{reason}"):
        read_truth(path, cells)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (".npz", "cannot be read as the truth"),
        (
            ".h5ad",
            "not a readable .h5ad .*give simulated cells|is empty, as after|zip archive; unpack",
        ),
    ],
)
def test_files_that_cannot_be_read(
    cells: Cells, tmp_path: Path, suffix: str, message: str, content: bytes
) -> None:
    path = tmp_path / f"truth{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_truth(path, cells)
