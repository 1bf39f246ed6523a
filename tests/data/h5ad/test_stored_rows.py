"""Rows of matrices in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse
from anndata.io import write_elem

from exvae.data.h5ad.stored_rows import StoredRows

VALUES = np.random.default_rng(0).poisson(0.7, (6, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "is_sparse"),
    [(np.asarray, False), (scipy.sparse.csr_matrix, True), (scipy.sparse.csc_matrix, True)],
)
def test_rows_are_those_of_the_matrix(kind: Callable, is_sparse: bool, tmp_path: Path) -> None:
    anndata.AnnData(kind(VALUES)).write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad") as file:
        stored = StoredRows(file["X"])
        assert stored.shape == VALUES.shape
        for rows in (slice(0, 6), slice(2, 5), slice(5, 6)):
            found = stored[rows]
            assert scipy.sparse.issparse(found) == is_sparse
            dense = found.toarray() if is_sparse else found
            np.testing.assert_array_equal(dense, VALUES[rows])


# How it is stored


@pytest.mark.parametrize(
    ("kind", "dtype", "options", "expected"),
    [
        (scipy.sparse.csr_matrix, "f4", {"compression": "gzip"}, True),
        (scipy.sparse.csr_matrix, "i8", {"compression": "gzip"}, True),
        (np.asarray, "i2", {"compression": "gzip"}, True),
        (scipy.sparse.csr_matrix, "f4", {}, False),
        (scipy.sparse.csr_matrix, "f4", {"compression": "lzf"}, False),
        (scipy.sparse.csc_matrix, "f4", {"compression": "gzip"}, False),
        (np.asarray, "f2", {"compression": "gzip"}, False),
        (np.asarray, ">f4", {"compression": "gzip"}, False),
        (np.asarray, "?", {"compression": "gzip"}, False),
    ],
)
def test_matrices_that_an_export_may_copy(
    kind: Callable, dtype: str, options: dict[str, str], expected: bool, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "cells.h5ad", "w") as file:
        write_elem(file, "X", kind(VALUES).astype(dtype), dataset_kwargs=options)
        assert StoredRows(file["X"]).is_packed == expected
        stored = file["X"]
        if isinstance(stored, h5py.Group):
            places = stored["indices"][:]
            del stored["indices"]
            stored.create_dataset("indices", data=places.astype(np.int16), compression="gzip")
            assert not StoredRows(stored).is_packed
