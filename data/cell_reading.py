"""Cells read one after another, or by several processes at once.

Every such process loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .cell_rows import CellRows, cell_rows
from .errors import DataError
from .quantifications import read_quantification


class CellReader(NamedTuple):
    """Reads directories of cells.

    Attributes
    ----------
    transcripts
        That every cell must have, in the order of the columns, shape (isoforms,), bytes.
    max_bootstraps
        Read the first so many of each cell; None reads all.
    num_layers
        Keep the first so many; None keeps all.
    """

    transcripts: np.ndarray
    max_bootstraps: int | None = None
    num_layers: int | None = None

    def __call__(self, directory: Path) -> CellRows:
        """Read one cell; DataError if anything is wrong with it."""
        cell = read_quantification(directory, self.max_bootstraps, self.transcripts)
        return cell_rows(cell, self.num_layers)


def read_all(
    reader: CellReader, directories: Sequence[Path], num_processes: int
) -> Iterator[CellRows]:
    """Yield the rows of cells in their order; few of them are in memory at any time.

    Close the generator to stop the processes.

    Raises
    ------
    DataError
        Of the first cell with which anything is wrong.
    """
    num_processes = min(num_processes, len(directories))
    if num_processes == 1:
        yield from map(reader, directories)
        return
    executor = ProcessPoolExecutor(num_processes, get_context("spawn"), _set_up_process, (reader,))
    waiting: deque[Future[CellRows]] = deque()
    try:
        for directory in directories:
            waiting.append(executor.submit(_read, directory))
            # Enough to keep all processes busy while one row is written.
            if len(waiting) > 2 * num_processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process that reads cells has died, perhaps for want of memory; use fewer with "
            "--processes"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


# In a process that reads: kept here once, and not sent along with every directory.
_reader: CellReader | None = None


def _set_up_process(reader: CellReader) -> None:
    global _reader
    _reader = reader
    # An interrupt is for the process that writes, which then stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read(directory: Path) -> CellRows:
    return _reader(directory)
