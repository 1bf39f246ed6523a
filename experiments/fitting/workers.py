"""The processes that share a command's work: this one alone, or several that torchrun started.

This module loads neither torch nor :mod:`.distributed`, which only a command under torchrun needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from pyro.infer import SVI
    from torch import nn

    from .datasets import Dataset

Task = TypeVar("Task")
Value = TypeVar("Value")

# Variables that torchrun sets in each process, and that torch.distributed needs.
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def number_of_processes() -> int:
    """Count the processes that torchrun started for one command; 1 without it."""
    under_torchrun = all(name in os.environ for name in _VARIABLES)
    return int(os.environ["WORLD_SIZE"]) if under_torchrun else 1


def is_first() -> bool:
    """Whether this process is the one that writes and talks."""
    return number_of_processes() == 1 or os.environ["RANK"] == "0"


class Alone:
    """One process, which computes everything.

    Attributes
    ----------
    first
        Whether this process writes files and shows progress.
    """

    first = True

    def sharing(self, svi: SVI) -> SVI:
        """Let a step of SVI average over the processes."""
        return svi

    def step(self, svi: SVI, data: Dataset, positions: np.ndarray) -> float:
        """Take a step on the datapoints at positions, shape (datapoints,), and give its loss."""
        with self.sharing_minibatch(positions, len(data)) as own:
            return svi.step(*data.minibatch(own))

    @contextmanager
    def sharing_minibatch(self, positions: np.ndarray, datapoints: int) -> Iterator[np.ndarray]:
        """Give the positions, shape (own,), of a minibatch that this process computes.

        Within the block its draws are those of one process for the whole minibatch, and
        :mod:`exvae.data.shares` knows the other processes. ``datapoints`` are all that are trained
        on.
        """
        yield positions

    def begin_epoch(self, modules: dict[str, nn.Module]) -> None:
        """Let all processes have the same parameters and random draws."""

    def agreed(self, interrupted: Callable[[], int]) -> Callable[[], int]:
        """Give a function that tells all processes of a signal after the same step."""
        return interrupted

    def tell_of_signals(self) -> None:
        """Let all processes know of a signal; steps of SVI do so themselves."""

    def same(self, compute: Callable[[], Value]) -> Value:
        """Give all processes the value that the first computes."""
        return compute()

    def in_turn(self, number: int, compute: Callable[[int], Value]) -> Iterator[Value]:
        """Compute values 0, ..., number - 1, each in one process; the first one gets all."""
        return map(compute, range(number))

    def map_in_order(
        self, function: Callable[[Task], Value], tasks: Iterable[Task]
    ) -> Iterator[Value]:
        """Give the first process the results of its function for its tasks, in their order.

        Several processes share the tasks. Those of the others, which call this with any arguments
        and iterate over nothing, are not looked at.
        """
        return map(function, tasks)


_current: Alone | Any = Alone()


def current() -> Alone:
    """Give the processes that work together now."""
    return _current


@contextmanager
def joined(out: Path) -> Iterator[Alone]:
    """Join the processes that torchrun started, if it did, to write one fit or file.

    Raises
    ------
    DataError
        If the processes do not find each other.
    """
    global _current
    if number_of_processes() == 1:
        yield _current
        return
    from .distributed import Processes

    with Processes.joined(out) as _current:
        try:
            yield _current
        finally:
            _current = Alone()
