"""Minibatches of cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from exvae.data.bootstraps import BootstrapMean, BootstrapSummary
from exvae.data.cell_batches import CellTensors, CountTensors, batch_source
from exvae.data.cells import Cells
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
    batch = CellTensors(cells, observes="bootstrap_summary").batch(np.arange(CELLS))
    assert batch.offsets.diff().tolist() == np.minimum(NUMBERS, 2).tolist()
    summary = BootstrapSummary.unstacked(batch.obs)
    assert (summary.zeros + summary.positives)[:, 0].tolist() == NUMBERS.tolist()
    batch = CellTensors(cells, observes="bootstrap_mean").batch(np.arange(CELLS))
    assert BootstrapMean.unstacked(batch.obs).number[:, 0].tolist() == NUMBERS.tolist()


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


@pytest.mark.parametrize("observes", ["counts", "estimates", "bootstrap_mean", "bootstrap_summary"])
def test_a_minibatch_holds_what_the_model_observes(read, observes: str) -> None:
    cells = read(table(numbers=NUMBERS))
    _, draws = draw()
    positions = [5, 2, 3]
    source = batch_source(cells, observes)
    found = source.batch(positions).obs
    assert found.dtype == torch.float32
    for row, n in enumerate(positions):
        bootstraps = torch.from_numpy(draws[: NUMBERS[n], n]).T.double()
        expected = {
            "counts": torch.from_numpy(cells.counts[n].toarray()[0]).round(),
            "estimates": bootstraps.mean(-1),
            "bootstrap_mean": BootstrapMean.of(bootstraps).stacked(),
            "bootstrap_summary": BootstrapSummary.of(bootstraps).stacked(),
        }[observes]
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-5)
    if observes == "counts":
        every = source.estimates(np.arange(CELLS))
        np.testing.assert_array_equal(every.toarray(), source.batch(range(CELLS)).obs)
    else:
        means = [draws[:number, n].mean(0) for n, number in enumerate(NUMBERS)]
        every = source.estimates(np.arange(CELLS))
        np.testing.assert_allclose(every.toarray(), means, rtol=1e-5)


@pytest.mark.parametrize("kind", [CellTensors, CountTensors])
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


def test_a_subset_of_bootstraps_is_drawn_anew(read) -> None:
    cells = read(table(numbers=NUMBERS))
    tensors, everything = CellTensors(cells), np.arange(CELLS)
    whole = tensors.batch(everything)
    seen = set()
    for _ in range(60):
        batch = tensors.batch(everything, num_bootstraps=2)
        assert batch.offsets.diff().tolist() == np.minimum(NUMBERS, 2).tolist()
        assert torch.equal(batch.obs, whole.obs)
        for n in range(CELLS):
            own = batch.bootstraps[batch.offsets[n] : batch.offsets[n + 1]]
            all_own = whole.bootstraps[whole.offsets[n] : whole.offsets[n + 1]]
            found = (own[:, None] == all_own[None]).all(-1).nonzero()[:, 1].tolist()
            assert len(set(found)) == len(own)
            seen |= {(n, number) for number in found}
    assert len(seen) == NUMBERS.sum()  # each bootstrap in its turn


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
