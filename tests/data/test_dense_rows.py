"""Rows of sparse matrices in a dense one."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, random

from exvae.data.dense_rows import dense_rows


def test_rows_are_those_of_the_matrices() -> None:
    matrices = [
        random(7, 90, 0.3, "csr", np.float32, np.random.default_rng(seed)) for seed in range(3)
    ]
    numbers, rows = np.array([2, 0, 0, 2, 1]), np.array([6, 3, 3, 0, 5])
    found = dense_rows(matrices, numbers, rows)
    assert found.dtype == np.float32
    expected = [matrices[number].toarray()[row] for number, row in zip(numbers, rows, strict=True)]
    np.testing.assert_array_equal(found, expected)


def test_entries_of_one_place_add_up() -> None:
    matrix = csr_matrix(
        (np.array([1.0, 2.0, 4.0], np.float32), np.array([1, 1, 0]), np.array([0, 2, 3])), (2, 3)
    )
    found = dense_rows([matrix], np.zeros(2, int), np.array([0, 1]))
    np.testing.assert_array_equal(found, [[0, 3, 0], [4, 0, 0]])


def test_no_rows() -> None:
    empty = np.zeros(0, int)
    assert dense_rows([csr_matrix((2, 3), dtype=np.float32)], empty, empty).shape == (0, 3)
