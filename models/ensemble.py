"""Uncertainty of a model's parameters: values from fits to resampled cells.

A point estimate of parameters that few cells determine would be believed in every cell. Bagging
(Breiman 1996, Bagging predictors) shows how far they would differ had other cells been seen: the
parameters of isoforms are fitted again, from their estimate on, to cells drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Values of some parameters of a model: the estimate, and one for each member.

    Parameters
    ----------
    parameters
        The parameters by name.
    number
        Number of members.
    epochs
        Passes over resampled cells for each member.

    Attributes
    ----------
    num_kept
        Number of kept values: none before the estimate is known, then the estimate, then members.
    """

    num_kept: Tensor

    def __init__(self, parameters: dict[str, nn.Parameter], number: int, epochs: int) -> None:
        super().__init__()
        self.number, self.epochs = number, epochs
        self.parameters_of_model = parameters  # a dict, so that torch does not register them
        self.register_buffer("num_kept", torch.zeros((), dtype=torch.int64))
        for name, value in parameters.items():
            kept = value.new_zeros(number + 1, *value.shape)
            self.register_buffer(name.replace(".", "_"), kept.detach())

    @property
    def num_epochs(self) -> int:
        """Number of epochs of all members."""
        return self.number * self.epochs

    @property
    def members(self) -> list[int]:
        """Places of the members that are trained, from 1; place 0 has the estimate."""
        return list(range(1, int(self.num_kept)))

    @torch.no_grad()
    def keep(self, place: int) -> None:
        """Keep the present values at a place."""
        for name, value in self.parameters_of_model.items():
            getattr(self, name.replace(".", "_"))[place] = value
        self.num_kept.fill_(place + 1)

    @torch.no_grad()
    def load(self, place: int = 0) -> None:
        """Give the model the values of a place, if they are kept; by default the estimate."""
        if place < self.num_kept:
            for name, value in self.parameters_of_model.items():
                value.copy_(getattr(self, name.replace(".", "_"))[place])

    def forget(self) -> None:
        """Give the model its estimate, and keep nothing."""
        self.load()
        self.num_kept.zero_()

    @contextmanager
    def using(self, place: int) -> Iterator[None]:
        """Give the model the values of a member for a while."""
        self.load(place)
        try:
            yield
        finally:
            self.load()
