"""A model so small that its loss is known, and what trains it."""

from __future__ import annotations

import os
import signal

import numpy as np
import pyro
import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from exvae.models.base import UniquelyNamedModule

VALUES = torch.tensor([0.3, -1.2, 2.0, 0.7, -0.4, 1.1, 5.0])
# Items are made of elements, two of the first, and so on.
SIZES = np.array([2, 1, 4, 3, 1, 1, 2])


class ItemModel(UniquelyNamedModule):
    """Values around a mean that learns at once and ``quick`` at five times the rate."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = nn.Parameter(torch.zeros(()))
        self.quick = nn.Parameter(torch.zeros(()))
        self.weight = nn.Parameter(torch.zeros(()))

    def learning_rate_factor(self, parameter: str) -> float:
        return 5.0 if parameter == "quick" else 1.0

    def forward(self, values: Tensor, indices: Tensor, num_items: int) -> None:
        with pyro.plate("items", num_items, subsample=indices):
            latent = pyro.sample("latent", Normal(0.0, 1.0))
            mean = self.slow + self.quick + self.weight * latent
            pyro.sample("value", Normal(mean, 1.0), obs=values)


class ItemGuide(UniquelyNamedModule):
    """The same posterior for every item."""

    def __init__(self) -> None:
        super().__init__()
        self.location = nn.Parameter(torch.tensor(0.5))

    def forward(self, values: Tensor, indices: Tensor, num_items: int) -> None:
        with pyro.plate("items", num_items, subsample=indices):
            pyro.sample("latent", Normal(self.location, 0.8))


class Items:
    """Values to train on; remembers the minibatches that were asked for.

    The first of all is no step: the trainer looks with it for parameters.
    """

    unit = "items"
    element = "element"

    def __init__(self, interrupt_at: int | None, values: Tensor) -> None:
        self.interrupt_at = interrupt_at
        self.values = values
        self.seen: list[list[int]] = []
        self.modes: list[bool] = []
        self.guide: nn.Module | None = None

    @property
    def steps(self) -> list[list[int]]:
        """Positions of the minibatches of the steps."""
        return self.seen[1:]

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, positions: np.ndarray) -> tuple:
        self.seen.append(positions.tolist())
        self.modes.append(self.guide.training)
        if self.interrupt_at is not None and len(self.steps) == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        indices = torch.as_tensor(positions)
        return self.values[indices], indices, len(self)

    def minibatch(self, positions: np.ndarray) -> tuple:
        return self.batch(positions)

    def size(self, positions: np.ndarray) -> int:
        return int(SIZES[positions].sum())
