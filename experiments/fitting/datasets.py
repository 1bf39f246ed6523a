"""Datapoints on the training device, from which minibatches are gathered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any, Protocol

import numpy as np
import torch

from .errors import ArgumentError


class Dataset(Protocol):
    """Interface of training data for the trainer."""

    unit: str
    """Name of a datapoint, in the plural: documents, cells."""
    element: str
    """Unit of the reported loss: token, cell."""

    def __len__(self) -> int:
        """Count the datapoints."""

    def batch(self, positions: np.ndarray) -> tuple:
        """Gather the arguments of model and guide for datapoints at positions, (datapoints,)."""

    def minibatch(self, positions: np.ndarray) -> tuple:
        """Gather the same for a training step, which may draw a part of each datapoint."""

    def size(self, positions: np.ndarray) -> int:
        """Count the elements of the datapoints at positions, shape (datapoints,)."""


def training_order(data: Dataset, seed: Sequence[int]) -> np.ndarray:
    """Give the order of the datapoints in an epoch of this seed, shape (datapoints,).

    It is random. Data on disk have a method ``arranged``, which puts together what they read at
    once.
    """
    order = np.random.default_rng(seed).permutation(len(data))
    arranged = getattr(data, "arranged", None)
    return order if arranged is None else arranged(order)


class Subset:
    """A subset of a source, which model and guide see as the whole data set.

    Parameters
    ----------
    source
        Object with a method ``batch(positions, total, **minibatch_options)`` that returns a named
        tuple with ``indices``.
    positions
        Positions of the chosen datapoints in the source, shape (datapoints,).
    unit, element
        As in :class:`Dataset`.
    sizes
        Number of elements of each datapoint of the source, shape (all datapoints,); 1 by default.
    **minibatch_options
        Further keyword arguments of the source's ``batch`` for training steps.
    """

    def __init__(
        self,
        source: Any,
        positions: np.ndarray,
        *,
        unit: str,
        element: str,
        sizes: np.ndarray | None = None,
        **minibatch_options: Any,
    ) -> None:
        self.source = source
        self.positions = positions
        self.unit, self.element = unit, element
        self.sizes = None if sizes is None else sizes[positions]
        self.minibatch_options = minibatch_options
        # Datapoints that training steps take for those here, shape (datapoints,).
        self.resampled: np.ndarray | None = None

    def __len__(self) -> int:
        """Count the datapoints."""
        return len(self.positions)

    def batch(self, positions: np.ndarray) -> tuple:
        """Gather the arguments of model and guide for datapoints at positions, (datapoints,).

        Each datapoint comes with all its elements, as inference wants them.
        """
        return self._gathered(positions)

    def minibatch(self, positions: np.ndarray) -> tuple:
        """Gather the same for a training step, for which the source may draw some elements."""
        if self.resampled is not None:
            positions = self.resampled[positions]
        return self._gathered(positions, **self.minibatch_options)

    def size(self, positions: np.ndarray) -> int:
        """Count the elements of the datapoints at positions, shape (datapoints,)."""
        return len(positions) if self.sizes is None else int(self.sizes[positions].sum())

    def arranged(self, order: np.ndarray) -> np.ndarray:
        """Give an order for training that suits the source, from a random order, (datapoints,).

        Only sources on disk change it.
        """
        arrange = getattr(self.source, "arranged", None)
        if arrange is None:
            return order
        taken = order if self.resampled is None else self.resampled[order]
        return order[arrange(self.positions[taken])]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Give all that training changes in the source, empty for most."""
        return getattr(self.source, "state_dict", dict)()

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take a state from :meth:`state_dict`."""
        self.source.load_state_dict(state)

    def batches(self, size: int) -> Iterator[tuple]:
        """Gather all datapoints once, in random order, in minibatches of ``size`` for training.

        Raises
        ------
        ArgumentError
            If ``size`` is no positive whole number.
        """
        if not isinstance(size, Integral) or size < 1:
            raise ArgumentError(f"size is {size!r}; give a whole number of at least 1")
        order = self.arranged(torch.randperm(len(self)).numpy())
        starts = range(0, len(self), size)
        return (self.minibatch(order[start : start + size]) for start in starts)

    def _gathered(self, positions: np.ndarray, **options: Any) -> tuple:
        own = self.source.batch(self.positions[positions], len(self), **options)
        return own._replace(indices=torch.as_tensor(positions, device=own.indices.device))
