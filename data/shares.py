"""The share of a minibatch that this process computes; without other processes it is all of it.

Where several processes compute a training step together, each has some of the minibatch's
datapoints. Code that draws random numbers for datapoints, or sums over them, does so through this
module, so that the result is the same for any number of processes. Everywhere else, as in a loop of
your own, these functions return what they are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from torch import Tensor


class Share(Protocol):
    """What processes that share a minibatch do for each other."""

    number: int
    """Datapoints of this process."""
    total: int
    """Datapoints of the minibatch."""

    def drawing(self, axis: int, *, elements: int | None = None) -> AbstractContextManager[None]:
        """See :func:`drawing`."""

    def summed(self, values: Tensor) -> Tensor:
        """See :func:`summed`."""

    def same(self, values: Tensor) -> Tensor:
        """See :func:`same`."""

    def gathered(self, values: Tensor, axis: int) -> tuple[Tensor, slice]:
        """See :func:`gathered`."""


_current: Share | None = None
_axis: int | None = None


@contextmanager
def using(share: Share) -> Iterator[None]:
    """Compute a share of a minibatch within the block."""
    global _current
    before, _current = _current, share
    try:
        yield
    finally:
        _current = before


@contextmanager
def drawing(axis: int = 0, *, elements: int | None = None) -> Iterator[None]:
    """Draw random tensors for datapoints within the block.

    What torch draws there is the share's part of what one process would draw for the minibatch.

    Parameters
    ----------
    axis
        Dimension of the drawn tensors that holds the datapoints, from the left.
    elements
        Where it holds elements of datapoints instead, such as bootstraps: their number here.

    Examples
    --------
    >>> import torch
    >>> from exvae.data import shares
    >>> with shares.drawing():
    ...     kept = torch.nn.functional.dropout(torch.ones(4, 3), 0.5)
    """
    global _axis
    if _current is None:
        yield
        return
    before, _axis = _axis, axis
    try:
        with _current.drawing(axis, elements=elements):
            yield
    finally:
        _axis = before


def summed(values: Tensor) -> Tensor:
    """Add up sums over the datapoints of each process, of any shape, to those of the minibatch."""
    return values if _current is None else _current.summed(values)


def same(values: Tensor) -> Tensor:
    """Give all processes the values of the first one, for draws that are common to all datapoints.

    Generators have the same state, unless a class of a user draws in its own way.
    """
    return values if _current is None else _current.same(values)


def total(number: int) -> int:
    """Count the datapoints of the minibatch, of which so many are here."""
    return number if _current is None else _current.total


def gathered(values: Tensor, axis: int = 0) -> tuple[Tensor, slice]:
    """Gather a value of each datapoint, or of each element of them, from all processes.

    Parameters
    ----------
    values
        The values here, in any shape.
    axis
        Their dimension that holds the datapoints.

    Returns
    -------
    tuple
        The values of the minibatch, and where in them those here are.
    """
    if _current is None:
        return values, slice(0, values.shape[axis])
    return _current.gathered(values, axis)


def of_draws(parameters: Tensor) -> tuple[Tensor, tuple[slice, ...]]:
    """Gather the parameters of draws that are made without torch, within :func:`drawing`.

    Returns
    -------
    tuple
        The parameters of all draws that one process would make, and the index of those here.
    """
    share, axis = _current, _axis
    if share is None or axis is None or parameters.shape[axis : axis + 1] != (share.number,):
        return parameters, ()
    whole, own = share.gathered(parameters, axis)
    return whole, (slice(None),) * axis + (own,)
