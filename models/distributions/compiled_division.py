"""How the reads of genes divide among isoforms, as a compiled loop on the CPU.

Of a gene with shapes a, sum A, and counts n, sum N, the Dirichlet-multinomial is::

    sum of part(n, a) - part(N, A)
    part(n, a) = log Gamma(n + a) - log Gamma(a) - log Gamma(n + 1)

Counts of zero have no part, and a gene of one isoform has none either, so that the loop looks at
few of the entries of sparse cells.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ...data import compiled_functions, special_functions
from ...data.compiled_functions import (
    HALF_LOG_2_PI,
    OPTIONS,
    inlined,
    log,
    log1p,
    njit,
    stirling_of_any,
    stirling_remainder,
)
from ...data.compiled_loops import spread, stamp_of
from ...data.genes import Genes
from .gene_reads import ADDED_SHAPE, product_of_parts
from .slopes import differentiable_slopes

# Entries that a thread works on at a time.
_TOGETHER = 1 << 16


class LogDirichletMultinomial(torch.autograd.Function):
    """:func:`~.gene_reads.log_dirichlet_multinomial`, with slopes in usage and concentration.

    Second derivatives are plain torch.
    """

    @staticmethod
    def forward(ctx, count: Tensor, usage: Tensor, concentration: Tensor, genes: Genes) -> Tensor:
        """Compute values, and keep the slopes."""
        leading = torch.broadcast_shapes(*(own.shape[:-1] for own in (count, usage, concentration)))
        isoforms, number = len(genes.codes), genes.number
        sizes = isoforms, isoforms, number
        inputs = [
            part.detach().expand(*leading, size).reshape(-1, size).contiguous()
            for part, size in zip((count, usage, concentration), sizes, strict=True)
        ]
        rows = len(inputs[0])
        outputs = [usage.new_empty(rows, size) for size in (number, isoforms, number)]
        arrays = [part.numpy() for part in (*inputs, *outputs)]
        codes, loop = genes.codes.numpy(), _compiled()
        members = np.bincount(codes, minlength=number)
        chunk = max(1, _TOGETHER // isoforms)
        spread(lambda own: loop(codes, members, *(part[own] for part in arrays)), rows, chunk)
        value, by_usage, by_concentration = outputs
        ctx.genes = genes
        ctx.save_for_backward(count, usage, concentration, by_usage, by_concentration)
        return value.view(*leading, number)

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """Multiply by the slopes, or differentiate the value anew."""
        count, usage, concentration, by_usage, by_concentration = ctx.saved_tensors
        if torch.is_grad_enabled():
            # The gradient is to be differentiated: the compiled slopes do not say how they depend.
            def value(usage: Tensor, concentration: Tensor) -> Tensor:
                return product_of_parts(count, usage, concentration, ctx.genes)

            return None, *differentiable_slopes(value, (usage, concentration), cotangent), None
        cotangent = cotangent.reshape(by_concentration.shape)
        leading = torch.broadcast_shapes(*(p.shape[:-1] for p in (count, usage, concentration)))
        of_usage = (ctx.genes.spread(cotangent) * by_usage).view(*leading, -1)
        of_concentration = (cotangent * by_concentration).view(*leading, -1)
        return (
            None,
            of_usage.sum_to_size(usage.shape),
            of_concentration.sum_to_size(concentration.shape),
            None,
        )


@inlined
def _part(count, shape):
    """Value and slope in the shape of a part, for a count > 0."""
    remainder, deficit = stirling_of_any(shape)
    above_remainder, above_deficit = stirling_of_any(count + shape)
    growth, log_above = log1p(count / shape), log1p(count)
    value = count * (log(count + shape) - log_above) + (shape - 0.5) * growth - 0.5 * log_above
    value += above_remainder - remainder - stirling_remainder(1 / (count + 1))
    return value + (1 - HALF_LOG_2_PI), growth + deficit - above_deficit


@njit(**OPTIONS)
def _parts_of(counts, shapes, number, values, slopes):
    for i in range(number):
        values[i], slopes[i] = _part(counts[i], shapes[i])


@njit(**OPTIONS)
def _chosen(counts, shapes, divided, place, some, of_some):
    """Put what has a part side by side, and count it."""
    number = 0
    for i in range(len(counts)):
        place[number], some[number], of_some[number] = i, counts[i], shapes[i]
        number += (counts[i] > 0) & divided[i]
    return number


@cache
def _compiled() -> Callable[..., None]:
    """Compile the loop, or load what was compiled from the same sources."""
    stamp = stamp_of([compiled_functions, special_functions])

    @njit(cache=True, **OPTIONS)
    def loop(codes, members, counts, usages, concentrations, found, by_usage, by_concentration):
        assert stamp
        isoforms, genes = len(codes), len(members)
        place, some, of_some = np.empty(isoforms, np.int64), np.empty(isoforms), np.empty(isoforms)
        values, slopes, shapes = np.empty(isoforms), np.empty(isoforms), np.empty(isoforms)
        totals, shape_sums, usage_sums = np.empty(genes), np.empty(genes), np.empty(genes)
        of_gene, slope_of_gene, by_kappa = np.empty(genes), np.empty(genes), np.empty(genes)
        gene_divided = members > 1
        divided = gene_divided[codes]
        for row in range(len(counts)):
            count, usage, concentration = counts[row], usages[row], concentrations[row]
            totals[:], shape_sums[:], usage_sums[:] = 0.0, 0.0, 0.0
            of_gene[:], slope_of_gene[:], by_kappa[:] = 0.0, 0.0, 0.0
            slope_of_usage = by_usage[row]
            slope_of_usage[:] = 0.0
            for g in range(isoforms):
                j = codes[g]
                shapes[g] = np.float64(concentration[j]) * np.float64(usage[g]) + ADDED_SHAPE
                totals[j] += count[g]
                shape_sums[j] += shapes[g]
                usage_sums[j] += usage[g]
            number = _chosen(count, shapes, divided, place, some, of_some)
            _parts_of(some, of_some, number, values, slopes)
            for i in range(number):
                g = place[i]
                j = codes[g]
                of_gene[j] += values[i]
                by_kappa[j] += usage[g] * slopes[i]
                slope_of_usage[g] = slopes[i]
            number = _chosen(totals, shape_sums, gene_divided, place, some, of_some)
            _parts_of(some, of_some, number, values, slopes)
            for i in range(number):
                j = place[i]
                of_gene[j] -= values[i]
                slope_of_gene[j] = slopes[i]
            for j in range(genes):
                found[row, j] = of_gene[j]
                by_concentration[row, j] = by_kappa[j] - slope_of_gene[j] * usage_sums[j]
            for g in range(isoforms):
                j = codes[g]
                slope_of_usage[g] = concentration[j] * (slope_of_usage[g] - slope_of_gene[j])

    return loop
