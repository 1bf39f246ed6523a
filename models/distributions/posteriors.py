"""Summaries of a posterior from its draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

_HALF_A_READ = 0.5
# Draws per generator; the result does not depend on the number of threads.
_CHUNK = 1 << 16


class SampledPosterior:
    """Posterior of expression (reads), represented by draws.

    Parameters
    ----------
    draws
        Expression (reads), shape (draws, ...).
    """

    def __init__(self, draws: Tensor) -> None:
        self.draws = draws

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


def standard_gamma(concentration: Tensor) -> Tensor:
    """Draw from Gamma(concentration, 1), without gradients, of the shape of ``concentration``.

    On the CPU numpy draws, on as many threads as torch has, seeded by torch's generator.
    """
    if not concentration.is_cpu:
        return torch._standard_gamma(concentration)
    return _drawn_by_numpy(
        concentration, lambda generator, shape: generator.standard_gamma(shape, dtype=shape.dtype)
    )


def poisson(rate: Tensor) -> Tensor:
    """Draw Poisson counts, of the shape of ``rate``; drawn as by :func:`standard_gamma`."""
    if not rate.is_cpu:
        return torch.poisson(rate)
    return _drawn_by_numpy(rate, lambda generator, rates: generator.poisson(rates))


def _drawn_by_numpy(
    parameter: Tensor, draw: Callable[[np.random.Generator, np.ndarray], np.ndarray]
) -> Tensor:
    """Draw a value for each value of a parameter, chunk by chunk, in its shape and type."""
    parameters = parameter.detach().contiguous().flatten().numpy()
    drawn = np.empty_like(parameters)
    seed = int(torch.randint(1 << 62, ()))

    def fill(start: int) -> None:
        own = slice(start, start + _CHUNK)
        generator = np.random.Generator(np.random.SFC64([seed, start]))
        drawn[own] = draw(generator, parameters[own])

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for _ in pool.map(fill, range(0, len(parameters), _CHUNK)):
            pass  # raises the error of a thread
    return torch.from_numpy(drawn).view_as(parameter)
