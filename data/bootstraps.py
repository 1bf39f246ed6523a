"""Bootstraps of one isoform in one cell, and all that their likelihood needs to know of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class BootstrapSummary(NamedTuple):
    """Sufficient statistics of bootstraps, one entry for each isoform in each cell.

    They tell a likelihood that is exchangeable over bootstraps as much as the bootstraps do, at a
    cost that does not grow with their number, which may differ between entries.

    Attributes
    ----------
    zeros
        How many bootstraps are zero, shape (...).
    positives
        How many are not, shape (...).
    mean
        Mean of those that are not zero (reads), shape (...); 0 where there is none.
    sum_of_squares
        Centred sum of squares of those that are not zero (reads squared), shape (...).
    """

    zeros: Tensor
    positives: Tensor
    mean: Tensor
    sum_of_squares: Tensor

    @property
    def number(self) -> Tensor:
        """How many bootstraps there are, shape (...)."""
        return self.zeros + self.positives

    @property
    def mean_of_all(self) -> Tensor:
        """Mean of all bootstraps (reads), those that are zero, too, shape (...)."""
        return self.positives * self.mean / self.number

    @classmethod
    def of(cls, bootstraps: Tensor) -> BootstrapSummary:
        """Summarise bootstraps (reads), shape (..., bootstraps)."""
        positive = bootstraps != 0
        positives = positive.sum(-1).to(bootstraps.dtype)
        mean = bootstraps.sum(-1) / positives.clamp(min=1)
        deviations = torch.where(positive, bootstraps - mean.unsqueeze(-1), 0.0)
        zeros = bootstraps.shape[-1] - positives
        return cls(zeros, positives, mean, deviations.square().sum(-1))
