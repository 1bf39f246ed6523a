"""Compiled loop of the negative binomial continued to real counts, on the CPU in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numba
import torch
from torch import Tensor

from . import float32_math
from .compiled_loops import spread, stamp_of
from .float32_math import (
    digamma_excess,
    f,
    log1p,
    log_ratio,
    negative_binomial_constant,
    reciprocal_and_remainder,
    stirling_remainder_of_small,
)
from .gamma_poisson import torch_log_gamma_poisson


def native_log_gamma_poisson(count: Tensor, mean: Tensor, inverse_dispersion: Tensor) -> Tensor:
    """Compute :func:`~.gamma_poisson.log_gamma_poisson` of tensors of one shape (...).

    Second derivatives, in the mean and the inverse dispersion, are plain torch.
    """
    return _LogGammaPoisson.apply(count, mean, inverse_dispersion)


class _LogGammaPoisson(torch.autograd.Function):
    """Value and slopes from the same loop."""

    @staticmethod
    def forward(ctx, count: Tensor, mean: Tensor, inverse_dispersion: Tensor) -> Tensor:
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
        count, mean, inverse_dispersion, by_mean, by_dispersion = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return None, cotangent * by_mean, cotangent * by_dispersion
        # The gradient is to be differentiated: the compiled slopes do not say how they depend.
        value = torch_log_gamma_poisson(count, mean, inverse_dispersion)
        wanted = [part for part in (mean, inverse_dispersion) if part.requires_grad]
        slopes = iter(torch.autograd.grad(value, wanted, cotangent, create_graph=True))
        parts = (mean, inverse_dispersion)
        return None, *(next(slopes) if part.requires_grad else None for part in parts)


@cache
def _compiled() -> Callable:
    """Compile the loop, or load it from disk if its sources are the same."""
    stamp = stamp_of([float32_math])

    @numba.njit(cache=True, **float32_math.OPTIONS)
    def loop(counts, means, dispersions, values, by_mean, by_dispersion):
        assert stamp
        for i in range(len(counts)):
            count, mean, dispersion = counts[i], means[i], dispersions[i]
            # The formula of positive counts holds from any on; at zero it is not used.
            u = count if count > f(0) else f(1)
            excess, total, successes = u - mean, mean + dispersion, u + dispersion
            per_total, per_above = f(1) / total, f(1) / (u + f(1))
            ratio, relative = successes * per_total, excess * per_total
            gamma_ratio = log_ratio(ratio, relative)
            step = log_ratio(
                ratio * (mean * per_above),
                -(dispersion * (excess + f(1)) + mean) * (per_total * per_above),
            )
            value = (u + f(0.5)) * step + (dispersion - f(1)) * gamma_ratio
            value += stirling_remainder_of_small(successes)
            value -= reciprocal_and_remainder(u + f(1))[1]
            value += negative_binomial_constant(mean, dispersion)
            spread_ = log1p(mean / dispersion)
            slope = gamma_ratio - relative
            slope += digamma_excess(successes) - digamma_excess(dispersion)
            some = count > f(0)
            values[i] = value if some else -dispersion * spread_
            by_mean[i] = (excess / mean if some else f(-1)) * dispersion * per_total
            by_dispersion[i] = slope if some else mean * per_total - spread_

    return loop
