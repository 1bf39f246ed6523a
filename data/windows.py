"""Cells read from disk in windows of several blocks, ahead of their use.

Rows that lie together are read fast, and minibatches want cells from anywhere. So the cells are
divided into blocks of neighbours, blocks are drawn at random into windows, and minibatches are
drawn at random from a window while a thread reads the next one. Two windows are in memory, whatever
the number of cells. If one window holds all cells, minibatches are those of cells in memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from .cell_matrices import CellMatrices

# Chunks in a block, and the least number of blocks in a window.
_CHUNKS, _BLOCKS = 4, 32
# Number of the window of cells that are kept.
_KEPT = -1

# Numbers of a plan and of one of its windows, which seed what is chosen at random.
Key = tuple[int, int]


class Window(NamedTuple):
    """Some cells in memory.

    Attributes
    ----------
    rows
        Their positions among all cells, ascending, shape (cells,).
    matrices
        Their matrices.
    """

    rows: np.ndarray
    matrices: CellMatrices

    def locate(self, positions: np.ndarray) -> tuple[CellMatrices, np.ndarray]:
        """Give the matrices, and the rows of cells at positions among all cells, shape (cells,)."""
        return self.matrices, np.searchsorted(self.rows, positions)

    def take(self, positions: np.ndarray) -> CellMatrices:
        """Give the matrices of cells at positions among all cells, shape (cells,)."""
        matrices, rows = self.locate(positions)
        return matrices.take(rows)


class WindowSizes(NamedTuple):
    """Number of cells.

    Attributes
    ----------
    cells
        All cells.
    window, block
        Cells in a window, and in each of its blocks.
    """

    cells: int
    window: int
    block: int


class WindowReader:
    """Gives matrices of cells on disk by the positions of these.

    Cells that are asked for in an order that :meth:`arranged` did not give, and that is not theirs,
    cost a window each.

    Parameters
    ----------
    read
        Reads the matrices of consecutive cells, a slice, of a window.
    sizes
        Numbers of cells.
    """

    def __init__(self, read: Callable[[slice, Key], CellMatrices], sizes: WindowSizes) -> None:
        self._read = read
        self._sizes = sizes
        self._num_blocks = -(-sizes.cells // sizes.block)
        self._kept = np.zeros(sizes.cells, bool)
        self._loaded: dict[int, Window] = {}
        self._ahead: tuple[int, Future[Window]] | None = None
        self._thread = ThreadPoolExecutor(1, "cells")
        self._plan(np.arange(self._num_blocks))

    def take(self, positions: np.ndarray) -> CellMatrices:
        """Give the matrices of the cells at positions, shape (cells,), in their order."""
        matrices, rows = self.locate(positions)
        return matrices.take(rows)

    def locate(self, positions: np.ndarray) -> tuple[CellMatrices, np.ndarray]:
        """Give matrices that hold the cells at positions, and their rows, shape (cells,)."""
        windows = self._window_of_block[positions // self._sizes.block]
        windows[self._kept[positions]] = _KEPT
        numbers = np.unique(windows)
        if len(numbers) == 1:
            found = self._window(int(numbers[0])).locate(positions)
            self._forget(numbers)
            return found
        parts, places = [], []
        for number in numbers.tolist():
            own = np.flatnonzero(windows == number)
            parts.append(self._window(number).take(positions[own]))
            places.append(own)
        self._forget(numbers)
        return CellMatrices.joined(parts), np.argsort(np.concatenate(places))

    @property
    def is_whole(self) -> bool:
        """Whether one window holds all cells."""
        return self._num_windows == 1

    def read(self, positions: np.ndarray, key: Key = (0, 0)) -> Window:
        """Read the cells at positions, shape (cells,), and no others."""
        rows = np.unique(positions)
        ends = np.flatnonzero(np.diff(rows) > 1) + 1
        runs = [slice(own[0], own[-1] + 1) for own in np.split(rows, ends)]
        return Window(rows, CellMatrices.joined([self._read(run, key) for run in runs]))

    def keep(self, positions: np.ndarray) -> None:
        """Keep cells at positions, shape (cells,), in memory, as they are asked for often."""
        self._kept[:] = False
        if len(positions):
            self._kept[positions] = True
            self._loaded[_KEPT] = self.read(positions)

    def arranged(self, positions: np.ndarray) -> np.ndarray:
        """Arrange cells, shape (cells,), in random order, that will be taken one after another.

        Windows are filled with blocks in the order in which these first occur, and cells stay in
        their order within a window.

        Returns
        -------
        numpy.ndarray
            Order in which to take them, shape (cells,).
        """
        blocks = positions // self._sizes.block
        found, first = np.unique(blocks, return_index=True)
        others = np.setdiff1d(np.arange(self._num_blocks), found)
        self._plan(np.concatenate([found[np.argsort(first)], others]))
        return np.argsort(self._window_of_block[blocks], kind="stable")

    def _plan(self, blocks: np.ndarray) -> None:
        """Fill windows of about the same size with blocks in this order, shape (blocks,)."""
        self._stop()
        self._number = zlib.crc32(blocks.tobytes())
        number = -(-self._sizes.cells // self._sizes.window)
        self._num_windows = min(number, self._num_blocks)
        windows = np.arange(self._num_blocks) * self._num_windows // self._num_blocks
        self._window_of_block = np.empty(self._num_blocks, np.int64)
        self._window_of_block[blocks] = windows

    def _stop(self) -> None:
        """Forget windows of an earlier plan."""
        self._cancel()
        self._loaded = {number: own for number, own in self._loaded.items() if number == _KEPT}

    def _cancel(self) -> None:
        if self._ahead is not None:
            self._ahead[1].cancel()
            self._ahead = None

    def _window(self, number: int) -> Window:
        """Give a window; wait until it is read."""
        if number not in self._loaded:
            if self._ahead is not None and self._ahead[0] == number:
                self._loaded[number] = self._ahead[1].result()
                self._ahead = None
            else:
                self._loaded[number] = self._submitted(number).result()
        return self._loaded[number]

    def _forget(self, used: np.ndarray) -> None:
        """Keep the windows that were used, and read the one after the last ahead."""
        kept = {_KEPT, *used.tolist()}
        self._loaded = {number: own for number, own in self._loaded.items() if number in kept}
        following = int(used[-1]) + 1
        is_one = len(set(used.tolist()) - {_KEPT}) == 1
        if not is_one or (self._ahead is not None and self._ahead[0] == following):
            return
        self._cancel()
        if following < self._num_windows:
            self._ahead = following, self._submitted(following)

    def _submitted(self, number: int) -> Future[Window]:
        """Let the thread read a window."""
        size = self._sizes.block
        rows = [
            np.arange(block * size, min((block + 1) * size, self._sizes.cells))
            for block in np.flatnonzero(self._window_of_block == number)
        ]
        return self._thread.submit(self.read, np.concatenate(rows), (self._number, number))


def sizes_of(
    num_cells: int, bytes_of_cell: float, cells_of_chunk: float, window_bytes: int
) -> WindowSizes:
    """Choose the sizes of windows and blocks.

    Parameters
    ----------
    num_cells
        Number of all cells.
    bytes_of_cell
        Bytes that the matrices of a cell take in memory.
    cells_of_chunk
        Cells in the chunk of a file that is read at once.
    window_bytes
        Bytes of a window.
    """
    window = max(1, int(window_bytes / max(bytes_of_cell, 1.0)))
    # At its ends a block shares chunks with others, which are read for it too.
    block = max(1, min(int(_CHUNKS * cells_of_chunk), window // _BLOCKS))
    return WindowSizes(num_cells, window, block)
