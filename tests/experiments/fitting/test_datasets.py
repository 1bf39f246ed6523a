"""Some datapoints of a source as if they were all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from exvae.data.cell_batches import batch_source
from exvae.data.cells import Cells
from exvae.data.errors import DataError
from exvae.experiments.fitting.datasets import Subset

# Of a source of twenty, not in their order.
POSITIONS = np.array([17, 3, 4, 11, 0, 19, 8, 12])


class Batch(NamedTuple):
    values: Tensor
    indices: Tensor
    total: int


class Source:
    """Twenty values, scaled if asked."""

    def batch(self, positions: np.ndarray, total: int, scale: float = 1.0) -> Batch:
        values = torch.arange(100, 120)[positions] * scale
        return Batch(values, torch.as_tensor(positions), total)


def subset(**options) -> Subset:
    return Subset(Source(), POSITIONS, unit="values", element="value", **options)


def test_a_minibatch_counts_among_the_chosen_alone() -> None:
    data = subset(scale=2.0)
    assert len(data) == 8
    for gather, scale in ((data.batch, 1.0), (data.minibatch, 2.0)):
        batch = gather(np.array([5, 0, 2]))
        assert batch.values.tolist() == [119.0 * scale, 117.0 * scale, 104.0 * scale]
        assert batch.indices.tolist() == [5, 0, 2]
        assert batch.total == 8


@pytest.mark.parametrize(
    ("size", "lengths"), [(1, [1] * 8), (3, [3, 3, 2]), (4, [4, 4]), (8, [8]), (50, [8])]
)
def test_minibatches_hold_all_once_in_another_order_each_time(
    size: int, lengths: list[int]
) -> None:
    data, orders = subset(), []
    for _ in range(3):
        batches = list(data.batches(size))
        assert [len(batch.indices) for batch in batches] == lengths
        order = torch.cat([batch.indices for batch in batches])
        values = torch.cat([batch.values for batch in batches])
        assert (values - 100).tolist() == POSITIONS[order].tolist()
        assert sorted(order.tolist()) == list(range(8))
        orders.append(tuple(order.tolist()))
    assert len(set(orders)) == 3


@pytest.mark.parametrize("size", [0, -3, 0.5, "8"])
def test_sizes_of_minibatches_are_positive(size: object) -> None:
    with pytest.raises(DataError, match=f"size is {size!r}; give a whole number of at least 1"):
        subset().batches(size)


def test_the_order_follows_the_generator_of_torch() -> None:
    orders = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        (batch,) = subset().batches(8)
        orders.append(batch.indices.tolist())
    assert orders[0] == orders[1] != orders[2]


def test_sizes_are_of_the_chosen() -> None:
    assert subset().size(np.array([1, 4, 7])) == 3
    sizes = np.arange(20) ** 2
    data = subset(sizes=sizes)
    assert data.size(np.array([1, 4, 7])) == 3**2 + 0**2 + 12**2
    assert data.size(np.arange(8)) == (POSITIONS**2).sum()


def test_cells_are_read_with_the_options_of_their_source(small_cells: Cells) -> None:
    data = Subset(
        batch_source(small_cells, "bootstrap_mean"),
        np.arange(4, 24, 2),
        unit="cells",
        element="cell",
        num_bootstraps=2,
    )
    everything = data.batch(np.arange(len(data)))
    assert everything.offsets.diff().tolist() == small_cells.num_bootstraps[4:24:2].tolist()
    for batch in data.batches(4):
        assert (batch.offsets.diff() == 2).all()
        assert batch.num_cells == 10
        of_all = 4 + 2 * batch.indices.numpy()
        assert batch.batches.tolist() == small_cells.batches[of_all].tolist()
        expected = small_cells.mean_bootstraps[of_all].toarray()
        np.testing.assert_allclose(batch.obs[..., 1], expected, rtol=1e-6)
