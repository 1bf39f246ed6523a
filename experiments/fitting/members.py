"""Training of the members of a model's ensemble, after the model itself."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ...models.ensemble import Ensemble

if TYPE_CHECKING:
    from .training import Trainer


@contextmanager
def still_parameters() -> Iterator[None]:
    """Let Pyro train a part of the parameters without a warning about the others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*was not registered in the param store", UserWarning)
        yield


class Members:
    """Trains members one after another, each from the estimate on, on cells drawn anew.

    Only the parameters of the ensemble move. A member's values are kept when its epochs are done,
    and in the end the model has its estimate again.

    Parameters
    ----------
    trainer
        The trainer; its model may have an attribute ``ensemble``.

    Attributes
    ----------
    epoch
        Number of finished epochs of all members.
    training
        Whether a member is in training.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = weakref.proxy(trainer)  # models are freed as soon as nobody needs them
        self.ensemble: Ensemble | None = getattr(trainer.modules["model"], "ensemble", None)
        self.epoch = 0
        self.training = False

    @property
    def num_epochs(self) -> int:
        """Number of epochs of all members."""
        return 0 if self.ensemble is None else self.ensemble.num_epochs

    @property
    def member(self) -> int:
        """Number of the member in training, from 0."""
        return self.epoch // self.ensemble.epochs

    def forget(self) -> None:
        """Begin anew: training of the model itself goes on."""
        if self.epoch:
            self.ensemble.forget()
            self.epoch = 0

    def begin_epoch(self) -> bool:
        """Prepare the next epoch; tell whether there is one."""
        self.training = self.epoch < self.num_epochs
        if not self.training:
            return False
        if not self.epoch % self.ensemble.epochs and not self._trainer.batches_done:
            self._begin_member()
        self._move_members_alone()
        size = len(self._trainer.data)
        generator = np.random.default_rng((self._trainer.config.seed, self.member))
        self._trainer.data.resampled = generator.integers(size, size=size)
        return True

    def _begin_member(self) -> None:
        if not self.epoch:
            self.ensemble.keep(0)
        self.ensemble.load()
        self._trainer.renew_optimizer()  # its memory is of other values

    def _move_members_alone(self) -> None:
        own = {id(value) for value in self.ensemble.parameters_of_model.values()}
        for module in self._trainer.modules.values():
            for value in module.parameters():
                value.requires_grad_(id(value) in own)
                if id(value) not in own:
                    value.grad = None  # an optimiser moves what has a gradient, even of zero

    def finish_epoch(self) -> None:
        """Count an epoch; keep the member if it was its last."""
        self.epoch += 1
        if not self.epoch % self.ensemble.epochs:
            self.ensemble.keep(self.member)
        if self.epoch == self.num_epochs:
            self.ensemble.load()

    def rest(self) -> None:
        """Leave model and guide as they are used: with the estimate, and all free to move."""
        self.training = False
        if self.ensemble is None:
            return
        self.ensemble.load()
        self._trainer.data.resampled = None
        for module in self._trainer.modules.values():
            module.requires_grad_(True)
