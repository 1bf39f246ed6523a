"""Summaries of a posterior from its draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

_HALF_A_READ = 0.5


class SampledPosterior:
    """Posterior of expression (reads), represented by draws.

    Parameters
    ----------
    draws
        Expression (reads), shape (draws, ...).
    """

    def __init__(self, draws: Tensor) -> None:
        self.draws = draws

    @classmethod
    def mixture(cls, posteriors: Sequence[SampledPosterior]) -> SampledPosterior:
        """Join draws of the same entries, each given other samples of the latents."""
        return cls(torch.cat([part.draws for part in posteriors]))

    @property
    def mean(self) -> Tensor:
        """Posterior mean (reads), shape (...)."""
        return self.draws.mean(0)

    @property
    def variance(self) -> Tensor:
        """Posterior variance (reads squared), shape (...)."""
        return self.draws.var(0)

    @property
    def log1p_mean(self) -> Tensor:
        """Mean of log(1 + value), shape (...)."""
        return self.draws.log1p().mean(0)

    def rank(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """P(X < value) and P(X <= value), the bounds of the rank of a true value.

        Values and draws below half a read count as zero.

        Parameters
        ----------
        value
            True expression (reads), shape (...).

        Returns
        -------
        tuple of Tensor
            Each of shape (...).
        """
        zero = value < _HALF_A_READ
        below = torch.where(zero, 0.0, (self.draws < value).to(value.dtype).mean(0))
        up_to = (self.draws <= value.clamp(min=_HALF_A_READ)).to(value.dtype).mean(0)
        return below, up_to

    @cached_property
    def _ordered(self) -> Tensor:
        if self.draws.is_cpu:  # numpy sorts values alone, in a fifth of the time
            return torch.from_numpy(np.sort(self.draws.numpy(), axis=0))
        return self.draws.sort(0).values

    def quantile(self, q: float | Sequence[float] | Tensor) -> Tensor:
        """Quantiles (reads), interpolated between the nearest draws.

        Parameters
        ----------
        q
            One probability, or several.

        Returns
        -------
        Tensor
            Shape (...) for one probability, (probabilities, ...) for several.
        """
        levels = probabilities(q)
        if levels.ndim:
            return torch.stack([self.quantile(level) for level in levels])
        place = float(levels) * (len(self.draws) - 1)
        below = int(place)
        above = min(below + 1, len(self.draws) - 1)
        return self._ordered[below].lerp(self._ordered[above], place - below)


def probabilities(q: float | Sequence[float] | Tensor) -> Tensor:
    """Turn probabilities into float64; ValueError unless all are between 0 and 1."""
    levels = torch.as_tensor(q, dtype=torch.float64)
    if not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"q is {q}; give probabilities between 0 and 1")
    return levels
