"""Rows and columns of the matrices of cells."""

from __future__ import annotations

import numpy as np
import pytest

from exvae.data.cell_matrices import MATRICES, CellMatrices, SparseSummary
from exvae.data.h5ad.reading import read_cells

from ..small_data import NUM_CELLS, draw_cells


@pytest.fixture(scope="module")
def matrices() -> CellMatrices:
    return read_cells(draw_cells()).matrices


def dense(matrices: CellMatrices) -> list[np.ndarray]:
    size = matrices.counts.shape[1]
    names = ("positives", "mean", "sum_of_squares", "sum")
    return [
        own.toarray()
        for own in (
            matrices.counts,
            *matrices.bootstraps,
            *(matrices.summary.matrix(name, size) for name in names),
            matrices.reads.counts,
        )
    ]


def test_rows_may_be_taken_in_any_order_and_twice(matrices: CellMatrices) -> None:
    rows = np.array([7, 0, 7, NUM_CELLS - 1])
    for whole, part in zip(dense(matrices), dense(matrices.take(rows)), strict=True):
        np.testing.assert_array_equal(part, whole[rows])


def test_parts_are_joined(matrices: CellMatrices) -> None:
    parts = [matrices.take(rows) for rows in np.array_split(np.arange(NUM_CELLS), 3)]
    for whole, joined in zip(dense(matrices), dense(CellMatrices.joined(parts)), strict=True):
        np.testing.assert_array_equal(joined, whole)
    assert isinstance(CellMatrices.joined(parts).summary, SparseSummary)


def test_some_matrices_alone(matrices: CellMatrices) -> None:
    for name in MATRICES:
        only = matrices.only([name])
        parts = [only.take(np.arange(5)), only.take(np.arange(5, 8))]
        for own in (only, CellMatrices.joined(parts)):
            missing = {each for each in MATRICES if getattr(own, each) is None}
            missing |= set() if own.bootstraps else {"bootstraps"}
            assert missing == set(MATRICES) - {name}


def test_columns_are_those_of_the_isoforms(matrices: CellMatrices) -> None:
    columns = np.array([11, 2, 3])
    size = matrices.counts.shape[1]
    chosen = matrices.of_isoforms(columns, size)
    for whole, part in zip(dense(matrices)[:-1], dense(chosen)[:-1], strict=True):
        np.testing.assert_array_equal(part, whole[:, columns])


def test_sizes(matrices: CellMatrices) -> None:
    counts = matrices.counts.toarray()
    np.testing.assert_array_equal(matrices.sizes("rounded"), (np.round(counts) > 0).sum(1))
    some = sum(layer.toarray() for layer in matrices.bootstraps) > 0
    np.testing.assert_array_equal(matrices.sizes("summary"), some.sum(1))
    reads = matrices.reads.counts.toarray()
    np.testing.assert_array_equal(matrices.sizes("reads"), (reads > 0).sum(1))
    fractions = CellMatrices(counts=matrices.counts * np.float32(0.01))
    np.testing.assert_array_equal(fractions.sizes("rounded"), (np.round(counts / 100) > 0).sum(1))
