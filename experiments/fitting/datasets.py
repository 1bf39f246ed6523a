"""Datapoints on the training device, from which minibatches are gathered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch


class Dataset(Protocol):
    """What the trainer asks of training data."""

    unit: str
    """Name of a datapoint, in the plural: documents, cells."""
    element: str
    """What the loss is reported per: token, cell."""

    def __len__(self) -> int:
        """Count the datapoints."""

    def batch(self, positions: np.ndarray) -> tuple:
        """Gather the arguments of model and guide for the datapoints at these positions."""

    def size(self, positions: np.ndarray) -> int:
        """Count the elements of the datapoints at these positions."""


class Subset:
    """Some of the datapoints of a source, as if they were all.

    Parameters
    ----------
    source
        Has ``batch(positions, total, **batch_options)``, which gives a named tuple with
        ``indices``.
    positions
        Positions of the chosen datapoints in the source, shape (datapoints,).
    unit, element
        Of :class:`Dataset`.
    sizes
        Elements of each datapoint of the source, shape (all datapoints,); one each by default.
    **batch_options
        Of the source's ``batch``.
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
        """Gather the arguments of model and guide for the datapoints at these positions."""
        own = self.source.batch(self.positions[positions], len(self), **self.batch_options)
        return own._replace(indices=torch.as_tensor(positions, device=own.indices.device))

    def size(self, positions: np.ndarray) -> int:
        """Count the elements of the datapoints at these positions."""
        return len(positions) if self.sizes is None else int(self.sizes[positions].sum())

    def batches(self, size: int) -> Iterator[tuple]:
        """Gather all datapoints once, in minibatches of ``size`` and in random order."""
        order = torch.randperm(len(self)).numpy()
        for start in range(0, len(self), size):
            yield self.batch(order[start : start + size])
