"""The training loop of all models: ``pyro.infer.SVI`` over explicit minibatches.

The order of the data depends only on the seed and the epoch, every random draw comes from torch's
generator, and the checkpoint holds both. On the CPU a run that was stopped anywhere, even by
``kill -9``, and resumed therefore ends with exactly the parameters of an uninterrupted run.
"""

from __future__ import annotations

import copy
import importlib
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.infer import ELBO, SVI, TraceMeanField_ELBO
from pyro.optim import PyroOptim
from torch import nn

from ...data.errors import DataWarning
from ...data.evaluating import evaluating
from ...data.progress import progress_bar
from . import divergence, optimizers, training_state, workers
from .datasets import Dataset, training_order
from .dry_run import dry_run
from .errors import LossNotFinite, TrainingInterrupted
from .fits import CHECKPOINT, read_checkpoint, write_checkpoint, write_metrics
from .freed_memory import keeping_freed_memory
from .interrupts import interruptible
from .members import Members, still_parameters
from .user_code import place_of, reason_of

if TYPE_CHECKING:
    from tqdm import tqdm


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes
    ----------
    epochs
        Passes over the data.
    batch_size
        Datapoints in a minibatch.
    learning_rate
        Learning rate of Adam.
    seed
        Seed of the order of the data and of all random draws.
    device
        ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.
    patience
        Epochs without a better held-out score before training stops; 0 trains to the end.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int = 0
    device: str = "auto"
    patience: int = 0


@dataclass(frozen=True)
class TrainingResult:
    """How training ended: last epoch, reason, and seconds, those before a resume included."""

    epochs: int
    reason: str
    seconds: float


class Trainer:
    """Trains a model and a guide, both already on the device, and saves their fit.

    It trains and saves everything in Pyro's parameter store: parameters of modules, PyroParam and
    ``pyro.param``.

    Parameters
    ----------
    model, guide
        Modules that take the arguments of ``data.batch``; the guide may be an AutoGuide.
    data
        The training data.
    config
        How to train.
    folder
        Existing folder for checkpoint and metrics; None saves nothing.
    monitor
        Called after each epoch; returns further columns of the metrics.
    score
        Column of the monitor (lower is better) that stops training by ``patience``.
    elbo
        The loss, TraceMeanField_ELBO by default.
    optimizer
        By default :func:`~exvae.experiments.fitting.optimizers.optimizer`.
    callbacks
        Called with the trainer after each epoch; ``trainer.metrics[-1]`` is the epoch's row. A
        callback that returns True ends the training.
    progress
        Whether to show a progress bar.
    """

    def __init__(
        self,
        model: nn.Module,
        guide: nn.Module,
        data: Dataset,
        config: TrainingConfig,
        folder: Path | None = None,
        *,
        monitor: Callable[[], dict[str, float]] = dict,
        score: str | None = None,
        elbo: ELBO | None = None,
        optimizer: PyroOptim | None = None,
        callbacks: Sequence[Callable[[Trainer], bool | None]] = (),
        progress: bool = True,
    ) -> None:
        self.modules = {"model": model, "guide": guide}
        self.data = data
        self.config = config
        self.workers = workers.current()
        self.folder = folder if self.workers.first else None
        self.monitor = monitor
        self.score = score
        self.callbacks = callbacks
        self.progress = progress and self.workers.first
        self.metrics: list[dict[str, float]] = []
        self.optimizer = optimizer or optimizers.optimizer(model, guide, config.learning_rate)
        self.loaded_optimizer: dict[str, Any] = {}
        self._new_optimizer = copy.deepcopy(self.optimizer)
        svi = SVI(model, guide, self.optimizer, elbo or TraceMeanField_ELBO())
        self.svi = self.workers.sharing(svi)
        self.epoch = 0
        self.batches_done = 0
        self.epoch_loss = 0.0
        self.seconds = 0.0
        self.best_score = math.inf
        self.epochs_since_best = 0
        self.stopped = False
        self.members = Members(self)
        # Without a folder, the state at the end of the training or where it was interrupted.
        self.last_state: dict[str, Any] | None = None

    def train(self, *, resume: bool = False, state: dict[str, Any] | None = None) -> TrainingResult:
        """Train to the end, from the checkpoint if ``resume`` is true, or from a state.

        Raises
        ------
        TrainingInterrupted
            After Ctrl-C or another signal; the checkpoint is written first.
        LossNotFinite
            If the loss, or a parameter, becomes NaN or infinite.

        Warns
        -----
        DataWarning
            If the loss ends no lower than it began.
        """
        # Optimisers import this at their first step; import it now so that no epoch includes it.
        importlib.import_module("torch._dynamo")

        # Pyro's parameter store is global; in its own scope this run leaves nothing behind.
        with (
            pyro.get_param_store().scope(),
            keeping_freed_memory(),
            interruptible() as received,
        ):
            interrupted = self.workers.agreed(received)
            pyro.set_rng_seed(self.config.seed)
            self._register_parameters()
            if resume or state is not None:
                known = state is not None
                begun = self.workers.same(lambda: state if known else read_checkpoint(self.folder))
                self.load_state(begun)
            else:
                self.save()  # a fit that cannot be saved should fail now, not after hours
            try:
                with self._progress_bar() as bar:
                    while self.epoch < self.config.epochs and not self.ended:
                        self.members.forget()
                        self._train_epoch(interrupted, bar)
                    with still_parameters():
                        while not self.stopped and self.members.begin_epoch():
                            self._train_epoch(interrupted, bar)
                if interrupted():
                    raise TrainingInterrupted(self._where(), interrupted())
            finally:
                # Parameters in Pyro's store are lost with its scope.
                self.last_state = self.state() if self.folder is None else None
                self.members.rest()
        told = divergence.rise_of_losses(self.metrics, self._loss_name)
        if not told and not self.config.patience:
            told = divergence.overfitting(self.metrics, self._loss_name)
        if told:
            warnings.warn(told, DataWarning, stacklevel=2)
        reason = "out of patience" if self.out_of_patience else "all epochs done"
        if self.stopped:
            reason = "stopped by a callback"
        return TrainingResult(self.epoch, reason, self.seconds)

    def check(self, *, loose: bool = True) -> None:
        """Run model and guide on two datapoints; see :func:`~.dry_run.dry_run`."""
        dry_run(*self.modules.values(), self.data, loose=loose)

    @torch.no_grad()
    def _register_parameters(self) -> None:
        """Run model and guide once so that all their parameters exist; changes nothing else."""
        with evaluating(*self.modules.values()), torch.random.fork_rng(), poutine.block():
            batch = self.data.batch(np.arange(1))
            trace = poutine.trace(self.modules["guide"]).get_trace(*batch)
            poutine.replay(self.modules["model"], trace)(*batch)

    @property
    def out_of_patience(self) -> bool:
        """Whether the held-out score has not improved for ``patience`` epochs."""
        return 0 < self.config.patience <= self.epochs_since_best

    @property
    def ended(self) -> bool:
        """Whether patience or a callback has ended the training."""
        return self.out_of_patience or self.stopped

    def _progress_bar(self) -> tqdm:
        """Make one bar for all datapoints of all epochs."""
        size = len(self.data)
        total = (self.config.epochs + self.members.num_epochs) * size
        done = (self.epoch + self.members.epoch) * size
        done += min(self.batches_done * self.config.batch_size, size)
        return progress_bar(total, "training", self.data.unit, done=done, shown=self.progress)

    def _train_epoch(self, interrupted: Callable[[], int], bar: tqdm) -> None:
        size, batch_size = len(self.data), self.config.batch_size
        epoch = self.epoch + self.members.epoch
        order = training_order(self.data, (self.config.seed, epoch))
        number = "" if self.members.training else f"/{self.config.epochs}"
        bar.set_description(f"{self._place}{number}", refresh=False)
        for module in self.modules.values():
            module.train()
        self.workers.begin_epoch(self.modules)
        started = time.perf_counter()
        first = self.batches_done * batch_size
        for start in range(first, size, batch_size):
            positions = order[start : start + batch_size]
            loss = self._step(positions)
            # The loss is scaled to all data; this is the minibatch's part of it.
            own_loss = loss * len(positions) / size
            self.epoch_loss += own_loss
            self.batches_done += 1
            bar.update(len(positions))
            loss_per_element = own_loss / self.data.size(positions)
            bar.set_postfix(loss=f"{loss_per_element:.4f}", refresh=False)
            if interrupted():
                self.seconds += time.perf_counter() - started
                if self._has_nan():
                    raise self._diverged("parameters became NaN or infinite")
                self.save()
                raise TrainingInterrupted(self._where(), interrupted())
        elapsed = time.perf_counter() - started
        self.seconds += elapsed
        if self.members.training:
            self._finish_epoch_of_member()
            return
        # A resumed epoch may have been interrupted after its last minibatch.
        self._finish_epoch((size - first) / elapsed if first < size else math.nan)

    def renew_optimizer(self) -> None:
        """Forget what the optimiser remembers of earlier steps."""
        self.loaded_optimizer = {}
        self.svi.optim = self.optimizer = copy.deepcopy(self._new_optimizer)

    def _step(self, positions: np.ndarray) -> float:
        try:
            loss = self.workers.step(self.svi, self.data, positions)
        except ValueError as error:
            # Parameters that are not finite, or extreme, fail the distributions' checks before the
            # loss is computed. What fails from the beginning is no matter of learning.
            is_finite = not self._has_nan()
            if is_finite and self.epoch == self.batches_done == 0:
                raise
            told = f"the model failed ({reason_of(error)})" if is_finite else "the loss became nan"
            raise self._diverged(told) from error
        if not math.isfinite(loss):
            raise self._diverged(f"the loss became {loss}")
        return loss

    def _diverged(self, what: str) -> LossNotFinite:
        """Make the error of a training that diverges."""
        kept = ""
        if self.folder is not None:
            kept = f"{self.folder / CHECKPOINT} holds the last good state; "
        place = f"epoch {self.epoch + 1}"
        if self.batches_done * self.config.batch_size < len(self.data):
            place = f"{place}, batch {self.batches_done + 1}"
        remedy = "try a lower learning rate"
        if self.epoch == self.batches_done == 0:
            remedy = "no step was taken before: the model cannot score these data"
        return LossNotFinite(f"{what} in {place}; {kept}{remedy}")

    def _has_nan(self) -> bool:
        loose = training_state.loose_parameters(self.modules.values())
        return divergence.has_nan(self.modules.values(), loose)

    @property
    def _place(self) -> str:
        """Name the epoch in progress."""
        if self.members.training:
            return f"member {self.members.member + 1} of {self.members.ensemble.number}"
        return f"epoch {self.epoch + 1}"

    def _where(self) -> str:
        """Describe the progress of an interrupted training."""
        num_batches = math.ceil(len(self.data) / self.config.batch_size)
        place = f"{self._place}, batch {self.batches_done} of {num_batches}"
        if self.epoch == self.config.epochs and not self.members.training:
            place = "the last epoch"
        if self.folder is None:
            return f"interrupted in {place}"
        return (
            f"interrupted: saved {place}, in {self.folder}; the same command with --resume goes on "
            "from there"
        )

    def _finish_epoch_of_member(self) -> None:
        if self._has_nan():
            raise self._diverged("parameters became NaN or infinite")
        self.members.finish_epoch()
        self.batches_done = 0
        self.epoch_loss = 0.0
        self.save()

    def _finish_epoch(self, per_second: float) -> None:
        for module in self.modules.values():
            module.eval()
        if self._has_nan():
            raise self._diverged("parameters became NaN or infinite")
        size = self.data.size(np.arange(len(self.data)))
        row = {
            "epoch": self.epoch + 1,
            "seconds": self.seconds,
            self._loss_name: self.epoch_loss / size,
            f"{self.data.unit}_per_second": per_second,
            **self.workers.same(self._monitored),
        }
        if name := divergence.loss_not_finite(row):
            raise self._diverged(f"{name} became {row[name]}")
        if self.score is not None:
            improved = row[self.score] < self.best_score
            self.best_score = min(self.best_score, row[self.score])
            self.epochs_since_best = 0 if improved else self.epochs_since_best + 1
        self.epoch += 1
        self.batches_done = 0
        self.epoch_loss = 0.0
        self.metrics.append(row)
        if self.folder is not None:
            write_metrics(self.folder, self.metrics)
        self.save()
        for callback in self.callbacks:
            self.stopped |= bool(callback(self))

    @property
    def _loss_name(self) -> str:
        return f"loss_per_{self.data.element}"

    def _monitored(self) -> dict[str, float]:
        """Further columns of the metrics."""
        try:
            return self.monitor()
        except ValueError as error:
            if place_of(error):
                raise  # a user's code
            raise self._diverged(f"the model failed ({reason_of(error)})") from error

    def save(self) -> None:
        """Write the checkpoint; the one before it stays until the new one is complete."""
        if self.folder is not None:
            write_checkpoint(self.folder, self.state())

    def state(self) -> dict[str, Any]:
        """State from which training resumes: tensors, numbers and strings."""
        return training_state.state_of(self)

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore a state from :meth:`state`.

        Raises
        ------
        DataError
            If it belongs to another model or seed, or is none.
        """
        training_state.restore(self, state)
