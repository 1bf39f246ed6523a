"""What a minibatch stands for, and what cells tell of where a fit starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from exvae.data.cell_batches import CellTensors, CountTensors
from exvae.data.cells import Cells
from exvae.data.initial_values import expression_scales, noise_variances

both_kinds = pytest.mark.parametrize("kind", [CellTensors, CountTensors])


@both_kinds
def test_a_minibatch_tells_its_cells_their_batches_and_how_many_there_are(
    small_cells: Cells, kind: type
) -> None:
    tensors = kind(small_cells)
    batch = tensors.batch([7, 2, 13, 4], 100)
    assert batch.indices.tolist() == [7, 2, 13, 4]
    assert batch.batches.tolist() == small_cells.batches[[7, 2, 13, 4]].tolist() == [1, 0, 1, 1]
    assert batch.num_cells == 100
    # All cells unless it is told.
    assert tensors.batch([7, 2]).num_cells == 24


def test_the_guide_reads_all_bootstraps_unless_told(small_cells: Cells) -> None:
    batch = CellTensors(small_cells).batch(np.arange(24))
    assert batch.offsets.diff().tolist() == small_cells.num_bootstraps.tolist()
    fewer = replace(small_cells, bootstraps=small_cells.bootstraps[:3])
    batch = CellTensors(fewer).batch(np.arange(24))
    assert batch.offsets.diff().tolist() == np.minimum(small_cells.num_bootstraps, 3).tolist()


def test_each_bootstrap_is_as_likely_to_be_read(small_cells: Cells) -> None:
    """Also the last ones of a cell, and each with any other."""
    tensors = CellTensors(small_cells)
    cell = int(np.flatnonzero(small_cells.num_bootstraps == 4)[0])
    own = tensors.batch([cell]).bootstraps
    drawn = tensors.batch([cell] * 3000, num_bootstraps=2).bootstraps
    number = (drawn[:, None] == own).all(-1).nonzero()[:, 1]
    np.testing.assert_allclose(torch.bincount(number) / 3000, 0.5, atol=0.04)
    pairs = number.reshape(3000, 2)
    assert len({tuple(sorted(pair)) for pair in pairs.tolist()}) == 6


def test_libraries_that_are_alike_have_a_spread() -> None:
    counts = csr_matrix(np.full((4, 3), 5.0))
    scales = expression_scales(counts, np.array([0, 0, 1, 1]), 2)
    np.testing.assert_allclose(scales.log_library_sd, 0.05)
    np.testing.assert_allclose(scales.log_library_mean, np.log(15.0), rtol=1e-6)


def test_two_cells_are_enough_for_a_batch() -> None:
    counts = csr_matrix(np.array([[2.0], [8.0], [100.0], [300.0], [900.0]]))
    scales = expression_scales(counts, np.array([0, 0, 1, 2, 2]), 3)
    logs = np.log([2.0, 8.0, 100.0, 300.0, 900.0])
    expected = [logs[:2].mean(), logs.mean(), logs[3:].mean()]
    np.testing.assert_allclose(scales.log_library_mean, expected, rtol=1e-6)
    expected = [logs[:2].std(), logs.std(), logs[3:].std()]
    np.testing.assert_allclose(scales.log_library_sd, expected, rtol=1e-6)


def test_an_isoform_never_seen_is_not_impossible() -> None:
    counts = csr_matrix(np.array([[3.0, 0.0], [4.0, 0.0]]))
    fractions = expression_scales(counts, np.zeros(2, np.int64), 1).fractions
    np.testing.assert_allclose(fractions, [7.5 / 8, 0.5 / 8], rtol=1e-6)


def test_noise_of_an_isoform_never_seen_is_one(small_cells: Cells) -> None:
    for relative in (False, True):
        found = noise_variances(small_cells, np.array([], np.int64), relative=relative)
        assert found.tolist() == [1.0] * 6
