"""The negative binomial continued to real counts, as a compiled loop on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ...data import compiled_functions, special_functions
from ...data.compiled_functions import (
    HALF_LOG_2_PI,
    log,
    log1p,
    njit,
    stirling_of_any,
    stirling_remainder,
)
from ...data.compiled_loops import spread, stamp_of
from ...data.special_functions import stirling_remainder_of_small
from .negative_binomial import log_negative_binomial
from .slopes import differentiable_slopes


class LogGammaPoisson(torch.autograd.Function):
    """:func:`~.gamma_poisson.log_gamma_poisson` of tensors of one shape, with slopes.

    Second derivatives, in the mean and the inverse dispersion, are plain torch.
    """

    @staticmethod
    def forward(ctx, count: Tensor, mean: Tensor, inverse_dispersion: Tensor) -> Tensor:
        """Compute values, and keep the slopes."""
        inputs = [part.detach().reshape(-1).numpy() for part in (count, mean, inverse_dispersion)]
        outputs = [torch.empty_like(mean, memory_format=torch.contiguous_format) for _ in range(3)]
        flat = [part.view(-1).numpy() for part in outputs]
        loop = _compiled()
        spread(lambda own: loop(*(part[own] for part in (*inputs, *flat))), mean.numel())
        value, *slopes = outputs
        ctx.save_for_backward(count, mean, inverse_dispersion, *slopes)
        return value

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """Multiply by the slopes, or differentiate the value anew."""
        count, mean, inverse_dispersion, by_mean, by_dispersion = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return None, cotangent * by_mean, cotangent * by_dispersion

        # The gradient is to be differentiated: the compiled slopes do not say how they depend.
        def value(mean: Tensor, inverse_dispersion: Tensor) -> Tensor:
            remainder = stirling_remainder_of_small
            return log_negative_binomial(count, mean, inverse_dispersion, remainder)

        return None, *differentiable_slopes(value, (mean, inverse_dispersion), cotangent)


@cache
def _compiled() -> Callable:
    """Compile the loop, or load what was compiled from the same sources."""
    stamp = stamp_of([compiled_functions, special_functions])

    @njit(cache=True, **compiled_functions.OPTIONS)
    def loop(counts, means, dispersions, values, by_mean, by_dispersion):
        assert stamp
        for i in range(len(counts)):
            u, mean, theta = np.float64(counts[i]), np.float64(means[i]), np.float64(dispersions[i])
            log_above, per_total = log1p(u), 1 / (mean + theta)
            relative, log_spread = (u - mean) * per_total, log1p(mean / theta)
            log_ratio = log1p(relative)
            remainder, deficit = stirling_of_any(theta)
            above_remainder, above_deficit = stirling_of_any(u + theta)
            value = (u + theta - 0.5) * log_ratio - u * (log_above - log(mean)) - 0.5 * log_above
            value += above_remainder - stirling_remainder(1 / (u + 1)) - remainder
            value += (1 - HALF_LOG_2_PI) - 0.5 * log_spread
            some = u > 0
            values[i] = value if some else -theta * log_spread
            by_mean[i] = (u - mean) / mean * theta * per_total
            slope = log_ratio - relative + deficit - above_deficit
            by_dispersion[i] = slope if some else mean * per_total - log_spread

    return loop
