"""Datapoints on the training device, from which minibatches are gathered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch


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

    def size(self, positions: np.ndarray) -> int:
        """Count the elements of the datapoints at positions, shape (datapoints,)."""


class Subset:
    """A subset of a source, which model and guide see as the whole data set.

    Parameters
    ----------
    source
        Object with a method ``batch(positions, total, **batch_options)`` that returns a named tuple
        with ``indices``.
    positions
        Positions of the chosen datapoints in the source, shape (datapoints,).
    unit, element
        As in :class:`Dataset`.
    sizes
        Number of elements of each datapoint of the source, shape (all datapoints,); 1 by default.
    **batch_options
        Keyword arguments of the source's ``batch``.
    """

    def __init__(
        self,
        source: Any,
        positions: np.ndarray,
        *,
        unit: str,
        element: str,
        sizes: np.ndarray | None = None,
        **batch_options: Any,
    ) -> None:
        self.source = source
        self.positions = positions
        self.unit, self.element = unit, element
        self.sizes = None if sizes is None else sizes[positions]
        self.batch_options = batch_options

    def __len__(self) -> int:
        """Count the datapoints."""
        return len(self.positions)

    def batch(self, positions: np.ndarray) -> tuple:
        """Gather the arguments of model and guide for datapoints at positions, (datapoints,)."""
        own = self.source.batch(self.positions[positions], len(self), **self.batch_options)
        return own._replace(indices=torch.as_tensor(positions, device=own.indices.device))

    def size(self, positions: np.ndarray) -> int:
        """Count the elements of the datapoints at positions, shape (datapoints,)."""
        return len(positions) if self.sizes is None else int(self.sizes[positions].sum())

    def batches(self, size: int) -> Iterator[tuple]:
        """Gather all datapoints once, in random order, in minibatches of ``size``."""
        order = torch.randperm(len(self)).numpy()
        for start in range(0, len(self), size):
            yield self.batch(order[start : start + size])
