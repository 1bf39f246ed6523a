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
_TOGETHER = 1 << 17


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


class SumsAndShares(torch.autograd.Function):
    """Sums of values, and values divided by the sum over their gene, (..., isoforms)."""

    @staticmethod
    def forward(ctx, values: Tensor, codes: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Add up, and divide."""
        shares = torch.empty_like(values, memory_format=torch.contiguous_format)
        sums = values.new_empty(*values.shape[:-1], number)
        _by_rows(_loops()[2], codes, values, sums, shares)
        ctx.save_for_backward(values, sums, shares, codes)
        return sums, shares

    @staticmethod
    def backward(ctx, of_sums: Tensor, of_shares: Tensor) -> tuple[Tensor | None, ...]:
        """Take the mean slope of a gene's shares off, divide, and add that of the sum."""
        values, sums, shares, codes = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated
            number = sums.shape[-1]
            sums = Sums.apply(values, codes, number)
            shares = values / Spread.apply(sums, codes)
            added = of_sums - Sums.apply(of_shares * shares, codes, number) / sums
            return of_shares / Spread.apply(sums, codes) + Spread.apply(added, codes), None, None
        slope = torch.empty_like(shares)
        tensors = of_sums, of_shares, sums, shares, torch.empty_like(sums), slope
        _by_rows(_loops()[3], codes, *tensors)
        return slope, None, None


def _by_rows(loop: Callable[..., None], codes: Tensor, *tensors: Tensor) -> None:
    """Run a loop on some rows of tensors at a time, each of shape (..., isoforms or genes)."""
    rows = max(1, tensors[0].shape[:-1].numel())
    arrays = [own.detach().reshape(rows, own.shape[-1]).contiguous().numpy() for own in tensors]
    codes = codes.numpy()
    chunk = max(1, _TOGETHER // max(1, len(codes)))
    in_threads(lambda own: loop(codes, *(array[own] for array in arrays)), rows, chunk)


@njit(cache=True, **OPTIONS)
def _add_up(codes, values, found):
    found[:] = 0
    for row in range(len(values)):
        own, target = values[row], found[row]
        for g in range(len(codes)):
            target[codes[g]] += own[g]


@cache
def _loops() -> tuple[Callable[..., None], ...]:
    """Compile the loops, or load what was compiled before."""

    @njit(cache=True, **OPTIONS)
    def spread(codes, values, found):
        for row in range(len(values)):
            own, target = values[row], found[row]
            for g in range(len(codes)):
                target[g] = own[codes[g]]

    @njit(cache=True, **OPTIONS)
    def shares(codes, values, totals, found):
        _add_up(codes, values, totals)
        for row in range(len(values)):
            own, total, target = values[row], totals[row], found[row]
            for g in range(len(codes)):
                target[g] = own[g] / total[codes[g]]

    @njit(cache=True, **OPTIONS)
    def slopes(codes, of_sums, of_shares, totals, shares, means, found):
        means[:] = 0
        for row in range(len(found)):
            own, share, mean = of_shares[row], shares[row], means[row]
            for g in range(len(codes)):
                mean[codes[g]] += own[g] * share[g]
            added, total, target = of_sums[row], totals[row], found[row]
            for g in range(len(codes)):
                j = codes[g]
                target[g] = (own[g] - mean[j]) / total[j] + added[j]

    return _add_up, spread, shares, slopes
