"""Rows of one cell: sparse values, sufficient statistics, and bootstraps that are off centre."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.quantified.cell_rows import SparseRow, cell_rows, displaced_share
from exvae.data.quantified.directories import find_cells, read_quantification
from exvae.data.quantified.quantifications import Quantification

COUNTS = st.one_of(st.just(0.0), st.floats(0, 1e6, width=32), st.integers(0, 100).map(float))
BOOTSTRAPS = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=COUNTS)


def quantification(counts: np.ndarray, bootstraps: np.ndarray) -> Quantification:
    size = len(counts)
    return Quantification(
        np.array([f"t{index}" for index in range(size)], dtype=np.bytes_),
        np.full(size, 1000, np.int32),
        np.full(size, 800.0),
        counts.astype(np.float32),
        bootstraps.astype(np.float32),
        "kallisto",
        "0.48.0",
    )


def dense(row: SparseRow, size: int) -> np.ndarray:
    assert (np.diff(row.indices) > 0).all()
    assert (row.values != 0).all()
    values = np.zeros(size, np.float32)
    values[row.indices] = row.values
    return values


@given(bootstraps=BOOTSTRAPS)
def test_statistics_are_those_of_the_likelihood(bootstraps: np.ndarray) -> None:
    num_bootstraps, size = bootstraps.shape
    rows = cell_rows(quantification(np.ones(size), bootstraps))
    summary = BootstrapSummary.of(torch.from_numpy(bootstraps.T.astype(np.float64)))
    np.testing.assert_array_equal(rows.zeros, summary.zeros)
    np.testing.assert_array_equal(num_bootstraps - rows.zeros, summary.positives)
    np.testing.assert_allclose(dense(rows.mean, size), summary.mean, rtol=1e-6, atol=1e-44)
    np.testing.assert_allclose(
        dense(rows.sum_of_squares, size), summary.sum_of_squares, rtol=1e-6, atol=1e-44
    )
    for row, values in zip(rows.bootstraps, bootstraps, strict=True):
        np.testing.assert_array_equal(dense(row, size), values)


def test_fewer_layers_leave_the_statistics_as_they_are() -> None:
    bootstraps = np.random.default_rng(0).poisson(1.0, (7, 20)).astype(float)
    cell = quantification(np.ones(20), bootstraps)
    for num_layers in (0, 3, 7, 9):
        rows = cell_rows(cell, num_layers)
        assert len(rows.bootstraps) == min(num_layers, 7)
        np.testing.assert_array_equal(rows.mean.values, cell_rows(cell).mean.values)
        assert rows.num_bootstraps == 7


def test_what_is_told_of_a_cell() -> None:
    rows = cell_rows(quantification(np.array([0.25, 0.0, 7.5]), np.ones((2, 3))))
    assert rows.total_counts == 7.75
    assert rows.counts.indices.tolist() == [0, 2]
    assert rows.counts.values.tolist() == [0.25, 7.5]
    assert (rows.quantifier, rows.version, rows.replicates) == ("kallisto", "0.48.0", "bootstrap")


# Centring


def resampled(generator: np.random.Generator, num_bootstraps: int) -> Quantification:
    """Give a cell whose bootstraps scatter around its estimates, all of 20 000 reads."""
    counts = generator.multinomial(20_000, generator.dirichlet(np.full(200, 0.2)))
    bootstraps = generator.multinomial(20_000, counts / 20_000, num_bootstraps)
    return quantification(counts, bootstraps)


@pytest.mark.parametrize("num_bootstraps", [1, 2, 3, 5, 10, 30, 100])
def test_resampled_reads_are_centred(num_bootstraps: int) -> None:
    generator = np.random.default_rng(5)
    for _ in range(50):
        assert cell_rows(resampled(generator, num_bootstraps)).is_centred


@pytest.mark.parametrize("num_bootstraps", [5, 10, 30, 100])
def test_estimates_that_are_corrected_alone_are_noticed(num_bootstraps: int) -> None:
    generator = np.random.default_rng(6)
    for _ in range(50):
        cell = resampled(generator, num_bootstraps)
        corrected = cell.counts * generator.lognormal(0, 0.5, len(cell.counts))
        corrected *= cell.counts.sum() / corrected.sum()
        assert not cell_rows(cell._replace(counts=corrected.astype(np.float32))).is_centred


def test_the_displaced_share() -> None:
    # The second is displaced by 40 reads, of which three standard deviations of 2 are allowed.
    bootstraps = np.array([[100.0, 38.0], [100.0, 40.0], [100.0, 42.0]])
    share = displaced_share(np.array([100.0, 0.0]), bootstraps)
    assert share == pytest.approx((40 - 3 * 2) / 100, rel=1e-4)
    assert displaced_share(np.array([100.0, 40.0]), bootstraps) == 0


@pytest.mark.parametrize("num_bootstraps", [2, 5, 10, 30])
def test_the_real_quantifiers_are_centred(shared_data, num_bootstraps: int) -> None:
    folder = shared_data / "cells_kallisto"
    kallisto = sorted(folder.glob("cell_*"))
    assert len(kallisto) == 240
    for directory in (
        *kallisto[:: 30 // num_bootstraps],
        *find_cells([folder / "salmon"]).cells.values(),
    ):
        assert cell_rows(read_quantification(directory, num_bootstraps), 0).is_centred
