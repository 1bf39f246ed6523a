"""Matrices that grow in a file, read back by anndata."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from anndata.io import read_elem
from scipy.sparse import csr_matrix, random

from exvae.data.h5ad.growing import GrowingMatrix, SparseLayers

ROWS, COLUMNS = 50, 9
BLOCKS = [slice(0, 7), slice(7, 8), slice(8, 41), slice(41, 50)]


@pytest.fixture
def matrix() -> csr_matrix:
    return random(ROWS, COLUMNS, 0.4, "csr", np.float32, np.random.default_rng(0))


@pytest.mark.parametrize("chunk", [5, 1000])
def test_layers_share_the_places_of_their_entries(
    tmp_path: Path, matrix: csr_matrix, chunk: int
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        layers = SparseLayers(file, matrix.shape, chunk=chunk)
        for rows in BLOCKS:
            own = matrix[rows]
            values = {"one": own.data, "two": 2 * own.data}
            layers.extend(np.diff(own.indptr), own.indices, values)
        layers.finish()
        assert file["one/indices"] == file["two/indices"]
        assert file["one/indptr"].dtype == file["one/indices"].dtype
    with h5py.File(tmp_path / "a.h5") as file:
        one, two = read_elem(file["one"]), read_elem(file["two"])
    np.testing.assert_array_equal(one.toarray(), matrix.toarray())
    np.testing.assert_array_equal(two.toarray(), 2 * matrix.toarray())
    one.eliminate_zeros()  # needs places of one type


def test_many_entries_have_places_of_64_bits(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        layers = SparseLayers(file, (1 << 20, 1 << 12))
        layers.extend(np.array([1]), np.array([3]), {"one": np.ones(1, np.float32)})
        layers.finish()
        assert file["one/indptr"].dtype == file["one/indices"].dtype == np.int64


@pytest.mark.parametrize("sparse", [True, False])
def test_matrices_grow_by_rows(tmp_path: Path, matrix: csr_matrix, sparse: bool) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        growing = GrowingMatrix(file, "x", ROWS)
        for rows in BLOCKS:
            growing.extend(matrix[rows] if sparse else matrix[rows].toarray())
        growing.finish()
    with h5py.File(tmp_path / "a.h5") as file:
        found = read_elem(file["x"])
    assert isinstance(found, np.ndarray) is not sparse
    np.testing.assert_array_equal(found.toarray() if sparse else found, matrix.toarray())
