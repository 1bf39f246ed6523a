"""Bootstraps of one isoform in one cell, and their sufficient statistics."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class BootstrapSummary(NamedTuple):
    """Sufficient statistics of bootstraps, one entry for each isoform in each cell.

    A likelihood that is exchangeable over bootstraps needs nothing else, at a cost that does not
    grow with the number of bootstraps. That number may differ between entries.

    Attributes
    ----------
    zeros
        Number of bootstraps that are zero, shape (...).
    positives
        Number of bootstraps above zero, shape (...).
    mean
        Mean of the bootstraps above zero (reads), shape (...); 0 where there is none.
    sum_of_squares
        Centred sum of squares of the bootstraps above zero (reads squared), shape (...).
    """

    zeros: Tensor
    positives: Tensor
    mean: Tensor
    sum_of_squares: Tensor

    @property
    def number(self) -> Tensor:
        """Number of bootstraps, shape (...)."""
        return self.zeros + self.positives

    @property
    def mean_of_all(self) -> Tensor:
        """Mean of all bootstraps (reads), zeros included, shape (...)."""
        return self.positives * self.mean / self.number

    @classmethod
    def of(cls, bootstraps: Tensor) -> BootstrapSummary:
        """Summarise bootstraps (reads), shape (..., bootstraps), in the last dimension."""
        positive = bootstraps != 0
        positives = positive.sum(-1).to(bootstraps.dtype)
        mean = bootstraps.sum(-1) / positives.clamp(min=1)
        deviations = torch.where(positive, bootstraps - mean.unsqueeze(-1), 0.0)
        zeros = bootstraps.shape[-1] - positives
        return cls(zeros, positives, mean, deviations.square().sum(-1))
