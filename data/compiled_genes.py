"""Sums over the isoforms of genes as compiled loops on the CPU, see :mod:`exvae.data.genes`.

Each function is linear, or has its slope at hand, and can be differentiated as often as one likes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from .compiled_functions import OPTIONS, njit
from .compiled_loops import spread as in_threads

# Values that a thread works on at a time.
_TOGETHER = 1 << 16


class Sums(torch.autograd.Function):
    """Sums of values of isoforms, shape (..., isoforms), to shape (..., genes)."""

    @staticmethod
    def forward(ctx, values: Tensor, codes: Tensor, number: int) -> Tensor:
        """Add up."""
        ctx.save_for_backward(codes)
        found = values.new_empty(*values.shape[:-1], number)
        _by_rows(_loops()[0], codes, values, found)
        return found

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """Repeat."""
        return Spread.apply(cotangent, *ctx.saved_tensors), None, None


class Spread(torch.autograd.Function):
    """Values of genes, shape (..., genes), for each of their isoforms, shape (..., isoforms)."""

    @staticmethod
    def forward(ctx, values: Tensor, codes: Tensor) -> Tensor:
        """Repeat."""
        ctx.save_for_backward(codes)
        ctx.number = values.shape[-1]
        found = values.new_empty(*values.shape[:-1], len(codes))
        _by_rows(_loops()[1], codes, values, found)
        return found

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """Add up."""
        return Sums.apply(cotangent, *ctx.saved_tensors, ctx.number), None


class Shares(torch.autograd.Function):
    """Values of isoforms divided by the sum over their gene, both of shape (..., isoforms)."""

    @staticmethod
    def forward(ctx, values: Tensor, codes: Tensor, number: int) -> Tensor:
        """Add up, and divide."""
        found, sums = torch.empty_like(values, memory_format=torch.contiguous_format), None
        sums = values.new_empty(*values.shape[:-1], number)
        _by_rows(_loops()[2], codes, values, sums, found)
        ctx.save_for_backward(values, sums, found, codes)
        return found

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """Take the mean slope of a gene off, and divide."""
        values, sums, found, codes = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated
            sums = Sums.apply(values, codes, sums.shape[-1])
            found = values / Spread.apply(sums, codes)
            means = Sums.apply(cotangent * found, codes, sums.shape[-1])
            return (cotangent - Spread.apply(means, codes)) / Spread.apply(sums, codes), None, None
        slope = torch.empty_like(found)
        _by_rows(_loops()[3], codes, cotangent, sums, found, torch.empty_like(sums), slope)
        return slope, None, None


def _by_rows(loop: Callable[..., None], codes: Tensor, *tensors: Tensor) -> None:
    """Run a loop on some rows of tensors at a time, each of shape (..., isoforms or genes)."""
    rows = max(1, tensors[0].shape[:-1].numel())
    arrays = [own.detach().reshape(rows, own.shape[-1]).contiguous().numpy() for own in tensors]
    codes = codes.numpy()
    chunk = max(1, _TOGETHER // max(1, len(codes)))
    in_threads(lambda own: loop(codes, *(array[own] for array in arrays)), rows, chunk)


@cache
def _loops() -> tuple[Callable[..., None], ...]:
    """Compile the loops, or load what was compiled before."""

    @njit(cache=True, **OPTIONS)
    def sums(codes, values, found):
        found[:] = 0
        for row in range(len(values)):
            own, target = values[row], found[row]
            for g in range(len(codes)):
                target[codes[g]] += own[g]

    @njit(cache=True, **OPTIONS)
    def spread(codes, values, found):
        for row in range(len(values)):
            own, target = values[row], found[row]
            for g in range(len(codes)):
                target[g] = own[codes[g]]

    @njit(cache=True, **OPTIONS)
    def shares(codes, values, totals, found):
        sums(codes, values, totals)
        for row in range(len(values)):
            own, total, target = values[row], totals[row], found[row]
            for g in range(len(codes)):
                target[g] = own[g] / total[codes[g]]

    @njit(cache=True, **OPTIONS)
    def slopes(codes, cotangent, totals, shares, means, found):
        means[:] = 0
        for row in range(len(found)):
            own, share, mean = cotangent[row], shares[row], means[row]
            for g in range(len(codes)):
                mean[codes[g]] += own[g] * share[g]
            total, target = totals[row], found[row]
            for g in range(len(codes)):
                target[g] = (own[g] - mean[codes[g]]) / total[codes[g]]

    return sums, spread, shares, slopes
