"""Windows of cells read ahead from disk."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from exvae.data.cell_matrices import CellMatrices
from exvae.data.windows import Key, WindowReader, WindowSizes, sizes_of

CELLS = 203


class Disk:
    """Cells whose only count is their position plus one."""

    def __init__(self) -> None:
        self.reads: list[slice] = []
        self.keys: list[Key] = []

    def __call__(self, rows: slice, key: Key) -> CellMatrices:
        self.reads.append(rows)
        self.keys.append(key)
        values = np.arange(rows.start, rows.stop, dtype=np.float32) + 1
        return CellMatrices(csr_matrix(values[:, None]))


def positions_in(matrices: CellMatrices) -> list[int]:
    return (matrices.counts.toarray()[:, 0] - 1).astype(int).tolist()


@pytest.fixture
def disk() -> Disk:
    return Disk()


def reader_of(disk: Disk, window: int, block: int) -> WindowReader:
    return WindowReader(disk, WindowSizes(CELLS, window, block))


def test_cells_come_in_the_order_asked_for(disk: Disk) -> None:
    reader = reader_of(disk, 40, 4)
    rng = np.random.default_rng(0)
    for size in (1, 7, 60, CELLS):
        positions = rng.integers(CELLS, size=size)
        assert positions_in(reader.take(positions)) == positions.tolist()


@pytest.mark.parametrize(("window", "expected"), [(CELLS, True), (CELLS - 1, False)])
def test_one_window_may_hold_all_cells(disk: Disk, window: int, expected: bool) -> None:
    assert reader_of(disk, window, 4).is_whole == expected


def test_a_window_of_all_cells_leaves_their_order(disk: Disk) -> None:
    order = np.random.default_rng(0).permutation(CELLS)
    assert reader_of(disk, CELLS, 4).arranged(order).tolist() == list(range(CELLS))


def test_every_cell_is_read_once_in_an_epoch(disk: Disk) -> None:
    reader = reader_of(disk, 40, 4)
    order = np.random.default_rng(0).permutation(CELLS)
    order = order[reader.arranged(order)]
    assert sorted(order.tolist()) == list(range(CELLS))
    for start in range(0, CELLS, 16):
        reader.take(order[start : start + 16])
    read = np.concatenate([np.arange(rows.start, rows.stop) for rows in disk.reads])
    assert sorted(read.tolist()) == list(range(CELLS))


def test_windows_and_orders_have_keys_of_their_own(disk: Disk) -> None:
    def keys(seed: int) -> list[Key]:
        order = np.random.default_rng(seed).permutation(CELLS)
        reader = reader_of(disk, 40, 4)
        order = order[reader.arranged(order)]
        del disk.keys[:]
        for start in range(0, CELLS, 16):
            reader.take(order[start : start + 16])
        return sorted(set(disk.keys))

    first, again, other = keys(1), keys(1), keys(2)
    assert first == again
    assert len(first) == len(other) == 6
    assert not set(first) & set(other)


def test_two_windows_are_in_memory(disk: Disk) -> None:
    reader = reader_of(disk, 40, 4)
    order = np.random.default_rng(2).permutation(CELLS)
    order = order[reader.arranged(order)]
    for start in range(0, CELLS, 16):
        reader.take(order[start : start + 16])
        assert len(reader._loaded) + (reader._ahead is not None) <= 2


def test_an_epoch_may_begin_anywhere(disk: Disk) -> None:
    """A training that is resumed reads on from its minibatch."""
    reader = reader_of(disk, 40, 4)
    order = np.random.default_rng(3).permutation(CELLS)
    order = order[reader.arranged(order)]
    assert positions_in(reader.take(order[150:170])) == order[150:170].tolist()
    assert sum(rows.stop - rows.start for rows in disk.reads) < 130


def test_cells_that_are_kept_are_not_read_again(disk: Disk) -> None:
    reader = reader_of(disk, 40, 4)
    kept = np.array([200, 3, 77])
    reader.keep(kept)
    del disk.reads[:]
    assert positions_in(reader.take(kept)) == kept.tolist()
    assert not disk.reads
    mixed = np.array([77, 4, 200])
    assert positions_in(reader.take(mixed)) == mixed.tolist()


def test_a_failure_to_read_ahead_is_raised_where_the_cells_are_taken() -> None:
    def read(rows: slice, key: Key) -> CellMatrices:
        if rows.start >= 80:
            raise OSError("the disk is gone")
        return Disk()(rows, key)

    reader = WindowReader(read, WindowSizes(CELLS, 40, 4))
    reader.take(np.arange(40))
    with pytest.raises(OSError, match="the disk is gone"):
        for start in range(40, CELLS, 40):
            reader.take(np.arange(start, start + 10))


def test_minibatches_are_nearly_those_of_random_cells(disk: Disk) -> None:
    """Of cells sorted by type a minibatch has the mean of all, with little more variance.

    Blocks of neighbours are alike in the worst case. Then a minibatch of B cells from a window of
    n cells in W blocks, of N in all, has (1 - (B - 1) / (n - 1)) (1 - 1 / W) + B / W (1 - n / N)
    times the variance of B cells drawn at random: less than 1 + B / W.
    """
    cells, window, block, size = 6400, 640, 8, 32
    kind = np.arange(cells) * 20 // cells
    reader = WindowReader(disk, WindowSizes(cells, window, block))
    rng, means, of_random = np.random.default_rng(0), [], []
    for _ in range(100):
        order = rng.permutation(cells)
        of_random.append(kind[order].reshape(-1, size).mean(1))
        means.append(kind[order[reader.arranged(order)]].reshape(-1, size).mean(1))
    assert np.mean(means) == pytest.approx(kind.mean())
    number = window / block
    within = (1 - (size - 1) / (window - 1)) * (1 - 1 / number)
    expected = within + size / number * (1 - window / cells)
    assert np.var(means) / np.var(of_random) == pytest.approx(expected, rel=0.05)


def test_sizes() -> None:
    assert sizes_of(100, 1000, 4, 10**6) == WindowSizes(100, 1000, 16)
    # A block is never so large that a window has few of them, nor empty.
    assert sizes_of(10**5, 1000, 50, 10**6) == WindowSizes(10**5, 1000, 31)
    assert sizes_of(10**5, 10**9, 0, 10**6) == WindowSizes(10**5, 1, 1)
