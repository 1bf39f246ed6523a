"""The training loop that all models share: ``pyro.infer.SVI`` over explicit minibatches.

The order of the data depends on the seed and the epoch alone, every random draw comes from torch's
generator, and both are part of the checkpoint. So a run that was stopped anywhere, also by
``kill -9``, and resumed gives on the CPU the very parameters of a run that was not.
"""

from __future__ import annotations

import importlib
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam
from tqdm import tqdm

from ...data.errors import DataError
from ...models.base import UniquelyNamedModule
from .datasets import Dataset
from .errors import LossNotFinite, TrainingInterrupted
from .fits import CHECKPOINT, read_checkpoint, read_metrics, write_checkpoint, write_metrics


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
        Of Adam, for the parameters that have gradients.
    seed
        Of the order of the data and of every random draw.
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
    """How training ended: after which epoch, why, and in how many seconds (resumed ones too)."""

    epochs: int
    reason: str
    seconds: float


# The attributes of the trainer that say how far it is.
PROGRESS = (
    "epoch",
    "batches_done",
    "epoch_loss",
    "seconds",
    "best_score",
    "epochs_since_best",
)


def choose_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device; DataError where it is not to be had."""
    if name not in ("auto", "cpu", "cuda"):
        raise DataError(f"--device is {name!r}; choose one of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise DataError("--device is cuda, but torch sees no CUDA device; choose cpu or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


class Trainer:
    """Trains a model and a guide, both already on the device, and keeps their fit on disk.

    Parameters
    ----------
    model, guide
        Take the same arguments, those that ``data.batch`` gives.
    data
        The training data.
    config
        How to train.
    folder
        Where checkpoint and metrics go; it exists.
    monitor
        Called after each epoch; gives further columns of the metrics.
    score
        The column of the monitor (lower is better) that decides with ``patience`` when to stop.
    """

    def __init__(
        self,
        model: UniquelyNamedModule,
        guide: UniquelyNamedModule,
        data: Dataset,
        config: TrainingConfig,
        folder: Path,
        *,
        monitor: Callable[[], dict[str, float]] = dict,
        score: str | None = None,
    ) -> None:
        self.modules = {"model": model, "guide": guide}
        self.data = data
        self.config = config
        self.folder = folder
        self.monitor = monitor
        self.score = score
        self.metrics: list[dict[str, float]] = []
        self.optimizer = ClippedAdam(self._options)
        self.svi = SVI(model, guide, self.optimizer, TraceMeanField_ELBO())
        self.epoch = 0
        self.batches_done = 0
        self.epoch_loss = 0.0
        self.seconds = 0.0
        self.best_score = math.inf
        self.epochs_since_best = 0

    def _options(self, parameter: str) -> dict[str, float]:
        """Options of Adam for a parameter, by its name in Pyro's parameter store."""
        factors = [
            module.learning_rate_factor(parameter.removeprefix(f"{module.root_name}."))
            for module in self.modules.values()
            if parameter.startswith(f"{module.root_name}.")
        ]
        return {"lr": self.config.learning_rate * (factors[0] if factors else 1.0)}

    def train(self, *, resume: bool = False) -> TrainingResult:
        """Train to the end, from the checkpoint if asked.

        Raises
        ------
        TrainingInterrupted
            After Ctrl-C, once the checkpoint is written.
        LossNotFinite
            If the loss becomes NaN or infinite.
        """
        # Optimisers load this at their first step: a second that no epoch should be charged with.
        importlib.import_module("torch._dynamo")

        # Pyro's parameter store is global; in a scope of its own this run leaves nothing behind.
        with pyro.get_param_store().scope(), _interruptible() as interrupted:
            pyro.set_rng_seed(self.config.seed)
            if resume:
                self.load_state(read_checkpoint(self.folder))
            else:
                self.save()  # what cannot be saved should fail now and not after hours
            while self.epoch < self.config.epochs and not self.out_of_patience:
                self._train_epoch(interrupted)
        reason = "out of patience" if self.out_of_patience else "all epochs done"
        return TrainingResult(self.epoch, reason, self.seconds)

    @property
    def out_of_patience(self) -> bool:
        """Whether the held-out score has not improved for as long as allowed."""
        return 0 < self.config.patience <= self.epochs_since_best

    def _train_epoch(self, interrupted: Callable[[], bool]) -> None:
        size, batch_size = len(self.data), self.config.batch_size
        order = np.random.default_rng((self.config.seed, self.epoch)).permutation(size)
        progress = tqdm(
            total=size,
            initial=min(self.batches_done * batch_size, size),
            desc=f"epoch {self.epoch + 1}/{self.config.epochs}",
            unit=f" {self.data.unit}",
            file=sys.stderr,
            # A log file needs no more than a line now and then.
            mininterval=0.2 if sys.stderr.isatty() else 10.0,
            leave=self.epoch + 1 == self.config.epochs,
        )
        for module in self.modules.values():
            module.train()
        started = time.perf_counter()
        with progress:
            for start in range(self.batches_done * batch_size, size, batch_size):
                positions = order[start : start + batch_size]
                loss = self._step(positions)
                # The loss is scaled to all the data; this is what the minibatch adds to it.
                own_loss = loss * len(positions) / size
                self.epoch_loss += own_loss
                self.batches_done += 1
                progress.update(len(positions))
                loss_per_element = own_loss / self.data.size(positions)
                progress.set_postfix(loss=f"{loss_per_element:.4f}", refresh=False)
                if interrupted():
                    self.seconds += time.perf_counter() - started
                    self.save()
                    raise TrainingInterrupted(
                        f"interrupted: saved epoch {self.epoch + 1}, batch {self.batches_done} of "
                        f"{math.ceil(size / batch_size)}, in {self.folder}; "
                        "the same command with --resume goes on from there"
                    )
        elapsed = time.perf_counter() - started
        self.seconds += elapsed
        self._finish_epoch(elapsed)

    def _step(self, positions: np.ndarray) -> float:
        try:
            loss = self.svi.step(*self.data.batch(positions))
        except ValueError:
            # Parameters that are not finite fail the distributions' checks before there is a loss.
            if self._parameters_are_finite():
                raise
            loss = math.nan
        if not math.isfinite(loss):
            raise LossNotFinite(
                f"the loss became {loss} in epoch {self.epoch + 1}, batch {self.batches_done + 1}; "
                f"{self.folder / CHECKPOINT} holds the state before this epoch; "
                "try a lower --learning-rate"
            ) from None
        return loss

    def _parameters_are_finite(self) -> bool:
        return all(
            bool(parameter.isfinite().all())
            for module in self.modules.values()
            for parameter in module.parameters()
        )

    def _finish_epoch(self, elapsed: float) -> None:
        for module in self.modules.values():
            module.eval()
        row = {
            "epoch": self.epoch + 1,
            "seconds": self.seconds,
            f"loss_per_{self.data.element}": self.epoch_loss
            / self.data.size(np.arange(len(self.data))),
            f"{self.data.unit}_per_second": len(self.data) / elapsed,
            **self.monitor(),
        }
        if self.score is not None:
            improved = row[self.score] < self.best_score
            self.best_score = min(self.best_score, row[self.score])
            self.epochs_since_best = 0 if improved else self.epochs_since_best + 1
        self.epoch += 1
        self.batches_done = 0
        self.epoch_loss = 0.0
        self.metrics.append(row)
        write_metrics(self.folder, self.metrics)
        self.save()

    def save(self) -> None:
        """Write the checkpoint; the one before it stays until the new one is complete."""
        write_checkpoint(self.folder, self.state())

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on: tensors, numbers and strings."""
        random = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            random["cuda"] = torch.cuda.get_rng_state()
        return {
            **{name: module.state_dict() for name, module in self.modules.items()},
            "optimizer": self._renamed(self.optimizer.get_state(), to_disk=True),
            "random": random,
            "progress": {name: getattr(self, name) for name in PROGRESS},
            "data_order_seed": self.config.seed,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a state that :meth:`state` gave.

        Raises
        ------
        DataError
            If it belongs to another model or seed.
        """
        if state["data_order_seed"] != self.config.seed:
            raise DataError(
                f"{self.folder}: was fitted with --seed {state['data_order_seed']}, not "
                f"{self.config.seed}; resume with the same seed"
            )
        for name, module in self.modules.items():
            module.load_state_dict(state[name])
        self.optimizer.set_state(self._renamed(state["optimizer"], to_disk=False))
        torch.set_rng_state(state["random"]["cpu"])
        if "cuda" in state["random"] and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["random"]["cuda"])
        for name in PROGRESS:
            setattr(self, name, state["progress"][name])
        recorded = read_metrics(self.folder)
        # An epoch whose row was written but whose checkpoint was not will be trained again.
        self.metrics = recorded[recorded["epoch"] <= self.epoch].to_dict("records")

    def _renamed(self, states: dict[str, Any], *, to_disk: bool) -> dict[str, Any]:
        """Exchange the names that modules have in this process for those in the checkpoint."""
        renamed = {}
        for parameter, state in states.items():
            for name, module in self.modules.items():
                here, there = f"{module.root_name}.", f"{name}."
                old, new = (here, there) if to_disk else (there, here)
                if parameter.startswith(old):
                    renamed[new + parameter.removeprefix(old)] = state
        return renamed


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back until the step under way is done; gives a function that tells of it."""
    pressed = False

    def note(*_: object) -> None:
        nonlocal pressed
        pressed = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: pressed  # signals reach the main thread alone
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
