"""A function of many tasks, one after another or in several processes at once.

Every such process loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from .errors import DataError

Task = TypeVar("Task")
Result = TypeVar("Result")


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(
    function: Callable[[Task], Result], tasks: Iterable[Task], num_processes: int
) -> Iterator[Result]:
    """Yield what a function gives for each task, in their order.

    Few tasks and results are in memory at any time. Close the generator to stop the processes.

    Parameters
    ----------
    function
        Sent to each process once.
    tasks
        Taken when their turn comes.
    num_processes
        One is this process.

    Raises
    ------
    Exception
        That of the first task for which the function raises one.
    DataError
        If a process dies.
    """
    if num_processes == 1:
        yield from map(function, tasks)
        return
    executor = ProcessPoolExecutor(num_processes, get_context("spawn"), _set_up, (function,))
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(executor.submit(_run, task))
            # Enough to keep all processes busy while one result is used.
            if len(waiting) > 2 * num_processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process has died, perhaps for want of memory; use fewer with --processes"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


# In a process that works for another: kept here once, and not sent along with every task.
_function: Callable[[Any], Any] | None = None


def _set_up(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    # An interrupt is for the process that uses the results, which then stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(task: Any) -> Any:
    return _function(task)
