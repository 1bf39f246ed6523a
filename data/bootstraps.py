"""Sufficient statistics of bootstraps, one entry for each isoform in each cell.

Likelihoods that are exchangeable over bootstraps need no more of them, and cost the same whatever
their number. Models observe statistics as one tensor, stacked in a last dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class BootstrapMean(NamedTuple):
    """Number and mean of bootstraps.

    Attributes
    ----------
    number
        Number of bootstraps, shape (...).
    mean
        Their mean (reads), shape (...).

    Examples
    --------
    >>> BootstrapMean.of(torch.tensor([[0.0, 3.0, 6.0]])).stacked()
    tensor([[3., 3.]])
    """

    number: Tensor
    mean: Tensor

    @classmethod
    def of(cls, bootstraps: Tensor) -> BootstrapMean:
        """Summarise bootstraps (reads), shape (..., bootstraps)."""
        mean = bootstraps.mean(-1)
        return cls(torch.full_like(mean, bootstraps.shape[-1]), mean)

    @classmethod
    def unstacked(cls, statistics: Tensor) -> BootstrapMean:
        """Take the statistics from a tensor of shape (..., 2)."""
        return cls(*statistics.unbind(-1))

    def stacked(self) -> Tensor:
        """Stack the statistics, shape (..., 2)."""
        return _stacked(self)

    def check(self) -> None:
        """Raise ValueError if no bootstraps could have these statistics."""
        least_number, least_mean = (part.amin() if part.numel() else 1 for part in self)
        _check(least_number >= 1, "an entry has no bootstraps; leave it out")
        _check(not self.number.frac().any(), "numbers of bootstraps must be whole")
        _check(least_mean >= 0, "mean bootstraps must not be negative or missing")


class BootstrapSummary(NamedTuple):
    """Numbers, mean and scatter of bootstraps, those that are zero apart.

    Attributes
    ----------
    zeros
        Number of bootstraps that are zero, shape (...).
    positives
        Number of the others, shape (...).
    mean
        Mean of the others (reads), shape (...); 0 where there is none.
    sum_of_squares
        Centred sum of squares of the others (reads squared), shape (...).
    """

    zeros: Tensor
    positives: Tensor
    mean: Tensor
    sum_of_squares: Tensor

    @classmethod
    def of(cls, bootstraps: Tensor) -> BootstrapSummary:
        """Summarise bootstraps (reads), shape (..., bootstraps)."""
        positive = bootstraps != 0
        positives = positive.sum(-1).to(bootstraps.dtype)
        mean = bootstraps.sum(-1) / positives.clamp(min=1)
        deviations = torch.where(positive, bootstraps - mean.unsqueeze(-1), 0.0)
        zeros = bootstraps.shape[-1] - positives
        return cls(zeros, positives, mean, deviations.square().sum(-1))

    @classmethod
    def unstacked(cls, statistics: Tensor) -> BootstrapSummary:
        """Take the statistics from a tensor of shape (..., 4)."""
        return cls(*statistics.unbind(-1))

    def stacked(self) -> Tensor:
        """Stack the statistics, shape (..., 4)."""
        return _stacked(self)

    def check(self) -> None:
        """Raise ValueError if no bootstraps could have these statistics."""
        _check(self.zeros + self.positives >= 1, "an entry has no bootstraps; leave it out")
        for name in ("zeros", "positives", "sum_of_squares"):
            _check(getattr(self, name) >= 0, f"{name} must not be negative or missing")
        _check((self.zeros % 1 == 0) & (self.positives % 1 == 0), "numbers must be whole")
        _check(self.mean == self.mean, "mean bootstraps must not be missing")
        _check((self.positives > 0) | (self.mean == 0), "without positives the mean must be 0")


def _stacked(statistics: Sequence[Tensor]) -> Tensor:
    """Stack statistics in a last dimension, values of each side by side in memory."""
    return torch.stack(torch.broadcast_tensors(*statistics)).movedim(0, -1)


def _check(holds: Tensor | bool, message: str) -> None:
    if not (holds.all() if isinstance(holds, Tensor) else holds):
        raise ValueError(f"statistics of bootstraps: {message}")
