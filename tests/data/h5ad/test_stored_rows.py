"""Rows of matrices in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse

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
