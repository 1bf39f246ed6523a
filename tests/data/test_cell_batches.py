"""Minibatches of cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.cell_batches import CellTensors, CountTensors
from exvae.data.errors import DataError

from .cell_table import CELLS, ISOFORMS, NUMBERS, draw, table


def test_statistics_do_without_bootstraps(read) -> None:
    cells = read(table(statistics=True, layers=0))
    assert cells.bootstraps == ()
    batch = CellTensors(cells).batch([2, 0])
    assert batch.offsets.tolist() == [0, 1, 2]
    _, draws = draw()
    np.testing.assert_allclose(batch.bootstraps, draws.mean(0)[[2, 0]], rtol=1e-5)


def test_few_layers_beside_the_statistics_of_all(read) -> None:
    cells = read(table(statistics=True, layers=2, numbers=NUMBERS))
    batch = CellTensors(cells).batch(np.arange(CELLS))
    assert batch.offsets.diff().tolist() == np.minimum(NUMBERS, 2).tolist()
    assert (batch.obs.zeros + batch.obs.positives)[:, 0].tolist() == NUMBERS.tolist()


def test_tables_without_bootstraps_are_for_scvi(read) -> None:
    cells = read(table(layers=0))
    assert cells.summary is None
    with pytest.raises(DataError, match="kallisto quant -b 30.*choose scvi"):
        CellTensors(cells)
    assert CountTensors(cells).batch([0]).obs.shape == (1, ISOFORMS)


def test_cells_without_bootstraps_are_named(read) -> None:
    made = table(numbers=np.array([4, 4, 4, 0, 4, 0, 4]))
    with pytest.raises(DataError, match=r"cell cell3 has no bootstraps \(2 such cells\)"):
        CellTensors(read(made))


def test_a_minibatch_holds_its_cells_in_order(read) -> None:
    cells = read(table(numbers=NUMBERS), "batch")
    _, draws = draw()
    positions = [5, 2, 3]
    batch = CellTensors(cells).batch(positions, 100)
    assert batch.indices.tolist() == positions
    assert batch.num_cells == 100
    assert batch.batches.tolist() == [0, 1, 0]
    assert batch.offsets.tolist() == [0, 4, 5, 8]
    read_by_guide = np.concatenate([draws[: NUMBERS[n], n] for n in positions])
    np.testing.assert_array_equal(batch.bootstraps, read_by_guide)
    for row, n in enumerate(positions):
        expected = BootstrapSummary.of(torch.from_numpy(draws[: NUMBERS[n], n]).T.double())
        for found, wanted in zip(batch.obs, expected, strict=True):
            np.testing.assert_allclose(found[row], wanted, rtol=1e-5, atol=1e-5)


def test_a_subset_of_bootstraps_is_drawn_anew(read) -> None:
    cells = read(table(numbers=NUMBERS))
    tensors, everything = CellTensors(cells), np.arange(CELLS)
    whole = tensors.batch(everything)
    seen = set()
    for _ in range(60):
        batch = tensors.batch(everything, num_bootstraps=2)
        assert batch.offsets.diff().tolist() == np.minimum(NUMBERS, 2).tolist()
        assert all(map(torch.equal, batch.obs, whole.obs))
        for n in range(CELLS):
            own = batch.bootstraps[batch.offsets[n] : batch.offsets[n + 1]]
            all_own = whole.bootstraps[whole.offsets[n] : whole.offsets[n + 1]]
            found = (own[:, None] == all_own[None]).all(-1).nonzero()[:, 1].tolist()
            assert len(set(found)) == len(own)
            seen |= {(n, number) for number in found}
    assert len(seen) == NUMBERS.sum()  # each bootstrap in its turn


def test_subsets_follow_the_generator_of_torch(read) -> None:
    tensors = CellTensors(read(table()))
    batches = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        batches.append(tensors.batch(np.arange(CELLS), num_bootstraps=2).bootstraps)
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_counts_are_rounded_for_scvi(read) -> None:
    cells = read(table())
    batch = CountTensors(cells).batch([1, 4], num_bootstraps=3)
    np.testing.assert_array_equal(batch.obs, np.round(cells.counts[[1, 4]].toarray()))
    assert torch.equal(batch.bootstraps, batch.obs)
    assert batch.offsets.tolist() == [0, 1, 2]
    assert batch.num_cells == CELLS
    assert (cells.counts.data % 1).any()  # the cells themselves stay as they are
    made = table()
    made.X[2] = 0.2
    with pytest.raises(DataError, match="cell cell2 has no reads in X after rounding"):
        CountTensors(read(made))
