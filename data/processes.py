"""A function of many tasks, one after another or in several processes at once.

Every such process loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from .errors import DataError

Task = TypeVar("Task")
Result = TypeVar("Result")
# Yields the results of a function for tasks, in the order of the tasks.
MapInOrder = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    num_processes: int,
    folder: Path | None = None,
) -> Iterator[Result]:
    """Yield the results of a function for tasks, in the order of the tasks.

    Few tasks and results are in memory at any time. Close the generator to stop the processes.

    Parameters
    ----------
    function
        The function, sent to each process once.
    tasks
        The tasks, taken when their turn comes.
    num_processes
        Number of processes; one is this process.
    folder
        Folder for a file that the processes read, best one that the next run clears, as a killed
        process leaves the file. By default the system's for temporary files.

    Raises
    ------
    Exception
        The exception of the first task that fails.
    DataError
        If a process dies.
    """
    if num_processes == 1:
        yield from map(function, tasks)
        return
    with TemporaryDirectory(dir=folder) as own:
        # Not sent through the pipe by which a process starts: where one dies before it has read
        # all, as in a script that is not guarded, Python waits for it forever.
        place = Path(own) / "function"
        place.write_bytes(pickle.dumps(function))
        with _signals_held():
            executor = ProcessPoolExecutor(num_processes, get_context("spawn"), _set_up, (place,))
        try:
            yield from _map(executor, tasks, 2 * num_processes)
        except BrokenProcessPool as error:
            raise DataError(
                "a process has died; if it ran out of memory, use fewer processes; a script "
                "needs if __name__ == '__main__' before what it runs"
            ) from error
        finally:
            executor.shutdown(cancel_futures=True)


def _map(executor: ProcessPoolExecutor, tasks: Iterable[Task], ahead: int) -> Iterator[Any]:
    """Yield results in order, with enough tasks ahead to keep all processes busy."""
    waiting: deque[Future[Any]] = deque()
    for task in tasks:
        with _signals_held():
            waiting.append(executor.submit(_run, task))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Delay signals of the terminal; a process that starts meanwhile never receives them.

    They are for the process that uses the results, which then stops the others.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield  # Windows
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# In a process that works for another: kept here once, and not sent along with every task.
_function: Callable[[Any], Any] | None = None


def _set_up(place: Path) -> None:
    global _function
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _function = pickle.loads(place.read_bytes())


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, in whatever way."""
    parent_process().join()
    os._exit(1)


def _run(task: Any) -> Any:
    return _function(task)
