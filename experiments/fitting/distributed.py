"""Training by several processes that torchrun started: the fit is that of one process.

**Shares.** Each step takes the minibatch that one process would take, and each of W processes has a
contiguous share of it: n_w of B datapoints. Its loss is scaled to all N datapoints by Pyro's plate:

    loss_w = G + N / n_w sum of the terms of its datapoints

with G the terms that have no datapoint: priors of parameters, divergences of topics. The mean with
weights n_w / B is the loss of the whole minibatch, in which G counts once, whatever the model. So
is the mean of the gradients, which one all-reduce gives to every process before its optimiser takes
a step. A minibatch of fewer than W datapoints is computed by every process.

**Sums outside the loss**, the statistics of LDA's conjugate steps, are added up over the processes
(:func:`exvae.data.shares.summed`).

**Random draws.** All generators have the same state. A process draws for the whole minibatch and
keeps its share (:mod:`.shared_draws`); draws that are common to all datapoints are the same
everywhere. So every draw is that of one process. Noise of a class of a user is shared if it is of a
Pyro site, or drawn within :func:`exvae.data.shares.drawing`; else each process draws its own, and
the fit is as good, but another one.

**Divisions of reads** are drawn by the process that has the cell in its share, and all processes
get them at once: a member's cells, drawn anew, may have one cell in two minibatches.

**State.** Parameters, optimiser, generator and divisions are therefore the same in all processes
after each step, up to rounding, which the first process's parameters even out at the start of each
epoch. The checkpoint is the first process's. It does not know the number of processes, so that
``--resume`` may change it.

Sums over shares round otherwise than sums over minibatches: float32 agrees to about 1e-6. A draw by
rejection whose parameters differ so little is now and then accepted by one and not by the other.
From then on its noise is another; then the fits agree in distribution only.

**Ends.** A signal stops all processes after the same step, as its number goes with the gradients. A
process that has died closes its connections, and one that hangs is given up after
:data:`STEP_SECONDS`; the others then end with :class:`ProcessEnded` and write nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch
from pyro.infer import SVI
from torch import Tensor, distributed, nn

from ...data import shares
from ...data.errors import DataError
from .errors import ProcessEnded
from .fits import CHECKPOINT
from .shared_draws import Rows, SharedDraws, SharedSites
from .shared_memory import SharedMemory
from .workers import Alone, Task, Value

# Seconds that a process may be late for a step.
STEP_SECONDS = 60
# Seconds that a process may wait for the first one to write, or for another to read its data.
_EPOCH_SECONDS = 3600


class Processes(Alone):
    """The processes of one fit, as seen by one of them.

    Parameters
    ----------
    folder
        Folder of the fit, for messages.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.first = self.rank == 0
        self._group = distributed.new_group(timeout=timedelta(seconds=STEP_SECONDS))
        serves = SharedMemory.serves()
        self._memory = SharedMemory(self._group, STEP_SECONDS) if serves else None
        self._weight = 1.0
        self._interrupted: Callable[[], int] = int
        self._signal = 0

    @classmethod
    @contextmanager
    def joined(cls, folder: Path) -> Iterator[Processes]:
        """Join the other processes, and leave them at the end, unless they had met before.

        Raises
        ------
        DataError
            If they do not find each other.
        """
        known = distributed.is_initialized()
        try:
            if not known:
                wait = timedelta(seconds=_EPOCH_SECONDS)
                distributed.init_process_group(_backend(), timeout=wait)
            processes = cls(folder)
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"the processes of torchrun do not find each other ({reason}); check its options"
            ) from error
        yield processes
        # After an error the others may wait for what never comes: the end of this process ends it.
        distributed.destroy_process_group(processes._group if known else None)

    def sharing(self, svi: SVI) -> SVI:
        """Let a step of SVI average loss and gradients over the processes."""
        own_loss = svi.loss_and_grads

        def loss_and_grads(*arguments: Any, **options: Any) -> float:
            return self._averaged(own_loss(*arguments, **options))

        svi.loss_and_grads = loss_and_grads
        return svi

    @contextmanager
    def sharing_minibatch(self, positions: np.ndarray, datapoints: int) -> Iterator[np.ndarray]:
        """Give the positions of the own share of a minibatch, or all of a small one."""
        if len(positions) < self.size:
            self._weight = 1 / self.size
            yield positions
            return
        share = _Share(self, len(positions))
        self._weight = share.number / share.total
        with shares.using(share), SharedSites(share.number, datapoints):
            yield positions[share.own]

    def begin_epoch(self, modules: dict[str, nn.Module]) -> None:
        """Give all processes the parameters, buffers and random draws of the first one."""
        parameters = [own for _, own in pyro.get_param_store().named_parameters()]
        buffers = [own for module in modules.values() for own in module.buffers()]
        with self._ends_told():
            for own in (*parameters, *buffers):
                distributed.broadcast(own.detach(), 0)
            torch.set_rng_state(_of_first(torch.get_rng_state()))
            if torch.cuda.is_available():
                torch.cuda.set_rng_state(_of_first(torch.cuda.get_rng_state()))

    def agreed(self, interrupted: Callable[[], int]) -> Callable[[], int]:
        """Give a function that tells all processes of a signal after the same step."""
        self._interrupted = interrupted
        return lambda: self._signal

    def tell_of_signals(self) -> None:
        """Let all processes know of a signal after the same step."""
        self._hear(self.sum(torch.tensor([self._interrupted()])).item())

    def same(self, compute: Callable[[], Value]) -> Value:
        """Give all processes the value that the first computes."""
        values = [compute() if self.first else None]
        with self._ends_told():
            distributed.broadcast_object_list(values, 0, device=torch.device("cpu"))
        return values[0]

    def in_turn(self, number: int, compute: Callable[[int], Value]) -> Iterator[Value]:
        """Compute values 0, ..., number - 1, each in one process; the first one gets all."""
        for start in range(0, number, self.size):
            own = start + self.rank
            value = compute(own) if own < number else None
            gathered = [None] * self.size if self.first else None
            with self._ends_told():
                distributed.gather_object(value, gathered, 0)
            yield from (gathered or [])[: number - start]

    def map_in_order(
        self, function: Callable[[Task], Value], tasks: Iterable[Task]
    ) -> Iterator[Value]:
        """Give the first process the results of its function for its tasks, in their order."""
        function, tasks = self.same(lambda: (function, list(tasks)))
        yield from self.in_turn(len(tasks), lambda place: function(tasks[place]))

    def sum(self, values: Tensor) -> Tensor:
        """Add up a tensor, in place, over the processes."""
        with self._ends_told():
            if self._memory and not values.is_cuda:
                return self._memory.sum(values)
            distributed.all_reduce(values, group=self._group)
        return values

    def _averaged(self, loss: float) -> float:
        """Average loss and gradients, and tell signals; gives the loss of the minibatch."""
        parameters = [own for _, own in pyro.get_param_store().named_parameters()]
        parameters = [own for own in parameters if own.requires_grad]
        grads = [own.grad for own in parameters]
        parts = [
            torch.zeros_like(own) if grad is None else grad * self._weight
            for own, grad in zip(parameters, grads, strict=True)
        ]
        # Not every model uses all its parameters on every datapoint.
        told = [loss * self._weight, self._interrupted(), *(grad is not None for grad in grads)]
        flat = torch.cat([*(part.flatten() for part in parts), parts[0].new_tensor(told)])
        sizes = [part.numel() for part in parts]
        *parts, told = self.sum(flat).split([*sizes, len(told)])
        loss, number, *used = told.tolist()
        for own, part, uses in zip(parameters, parts, used, strict=True):
            if uses:
                own.grad = part.view_as(own).clone()
        self._hear(number)
        return loss

    def _hear(self, signals: float) -> None:
        """Take note of a sum of the processes' signals, which is 0 if there was none."""
        if signals:
            self._signal = self._interrupted() or signal.SIGTERM

    @contextmanager
    def _ends_told(self) -> Iterator[None]:
        """Turn a failed exchange with the others into a ProcessEnded."""
        try:
            yield
        except RuntimeError as error:
            begun = (self.folder / CHECKPOINT).is_file()
            remedy = "the same command with --resume goes on from its checkpoint"
            raise ProcessEnded(
                f"{self.folder}: another process has ended, or did not answer for "
                f"{STEP_SECONDS} s; {remedy if begun else 'run the command again'}"
            ) from error


class _Share:
    """The share of a process in a minibatch, see :class:`exvae.data.shares.Share`.

    Parameters
    ----------
    processes
        The processes.
    total
        Datapoints of the minibatch, at least one for each process.
    """

    def __init__(self, processes: Processes, total: int) -> None:
        self.processes, self.total = processes, total
        start, stop = ((processes.rank + end) * total // processes.size for end in (0, 1))
        self.own, self.number = slice(start, stop), stop - start

    def drawing(self, axis: int, *, elements: int | None = None) -> AbstractContextManager[Any]:
        rows = self._rows(self.number if elements is None else elements, elements is not None)
        return SharedDraws(rows, axis, partial(self._filled, rows))

    def summed(self, values: Tensor) -> Tensor:
        return self.processes.sum(values.clone())

    def same(self, values: Tensor) -> Tensor:
        return self.processes.sum(values if self.processes.first else torch.zeros_like(values))

    def gathered(self, values: Tensor, axis: int) -> tuple[Tensor, slice]:
        rows = self._rows(values.shape[axis], True)
        return self._filled(rows, values, axis), slice(rows.start, rows.start + rows.number)

    def _rows(self, number: int, of_elements: bool) -> Rows:
        """Find where so many rows of this process are among those of all."""
        if not of_elements:
            return Rows(self.own.start, number, self.total)
        numbers = torch.zeros(self.processes.size, dtype=torch.int64)
        numbers[self.processes.rank] = number
        before = self.processes.sum(numbers)[: self.processes.rank]
        return Rows(int(before.sum()), number, int(numbers.sum()))

    def _filled(self, rows: Rows, values: Tensor, axis: int) -> Tensor:
        """Gather rows along a dimension; shares differ in size, so that zeros are added."""
        whole = values.new_zeros(*values.shape[:axis], rows.total, *values.shape[axis + 1 :])
        whole.narrow(axis, rows.start, rows.number).copy_(values)
        return self.processes.sum(whole)


def _backend() -> str:
    """Choose how processes talk, and the GPU of this one, where there are GPUs."""
    number = torch.cuda.device_count()
    if not number:
        return "gloo"
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % number)
    # NCCL wants a GPU for each process; gloo copies what is on a GPU.
    enough = number >= int(os.environ["LOCAL_WORLD_SIZE"])
    return "cpu:gloo,cuda:nccl" if enough else "gloo"


def _of_first(state: Tensor) -> Tensor:
    """Give all processes the first one's state of a generator."""
    distributed.broadcast(state, 0)
    return state
