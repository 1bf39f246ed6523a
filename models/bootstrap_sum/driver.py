"""Sums over counts of tensors: values that can be differentiated, and nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from ..distributions.compiled_loops import spread, stamp_of
from . import blocks, entries, float64_math, nodes, panels, placing, rows, summand
from .blocks import Rules
from .panels import gram_rule

# All modules whose code or constants are compiled.
_SOURCES = (blocks, entries, float64_math, nodes, panels, placing, rows, summand)
_PARAMETERS = entries.RESULTS - 1


def log_likelihood(parts: tuple[Tensor, ...], rules: Rules) -> Tensor:
    """Log density of bootstraps with the count summed out, nats.

    Differentiable once, in the parameters.

    Parameters
    ----------
    parts
        Mean (reads), inverse dispersion, dropout logits, noise scale (reads) and bootstrap dropout
        logits, then the statistics of a :class:`~exvae.data.bootstraps.BootstrapSummary`, all of
        one shape and of float32 or float64. The sums are computed on the CPU.
    rules
        Which likelihood.
    """
    return _LogLikelihood.apply(rules, *parts)


class _LogLikelihood(torch.autograd.Function):
    """Value and slopes from the same terms: a derivative is a posterior expectation."""

    @staticmethod
    def forward(ctx, rules: Rules, *parts: Tensor) -> Tensor:
        inputs = _arrays(parts)
        results = np.empty((entries.RESULTS, len(inputs[0])), inputs[0].dtype)
        loop, rule = _compiled(), gram_rule()
        spread(
            lambda own: loop(tuple(part[own] for part in inputs), rule, rules, results[:, own]),
            len(inputs[0]),
        )
        device, shape = parts[0].device, parts[0].shape
        value, *slopes = (part.to(device).view(shape) for part in torch.from_numpy(results))
        ctx.save_for_backward(*parts[:_PARAMETERS], *slopes)
        return value

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        parameters, slopes = ctx.saved_tensors[:_PARAMETERS], ctx.saved_tensors[_PARAMETERS:]
        gradients = [
            _Gradient.apply(cotangent, slope, *parameters) if needed else None
            for slope, needed in zip(slopes, ctx.needs_input_grad[1:], strict=False)
        ]
        return (None, *gradients, *[None] * (len(ctx.needs_input_grad) - 1 - _PARAMETERS))


class _Gradient(torch.autograd.Function):
    """Gradient that depends on the parameters, and says so: a Hessian is not silently zero."""

    @staticmethod
    def forward(ctx, cotangent: Tensor, slope: Tensor, *parameters: Tensor) -> Tensor:
        return cotangent * slope

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(
            "the likelihood of bootstraps has no second derivatives; quadrature='grid' does"
        )


class Nodes(NamedTuple):
    """Nodes of entries, counts u >= 1, each of shape (nodes,); float64 but for the first.

    Attributes
    ----------
    entry
        Which entry a node belongs to, int64.
    u, width
        Its count (reads), and how many counts it stands for; where that is 1, u is an integer.
    term
        Log mass of the count, and log density of the bootstraps given it where that was asked for,
        nats: without zero inflation and the constants of the density.
    """

    entry: Tensor
    u: Tensor
    width: Tensor
    term: Tensor


def place_nodes(
    parts: tuple[Tensor, ...], rules: Rules, *, share: float, with_density: bool
) -> Nodes:
    """Place the nodes of sums over u >= 1.

    Parameters
    ----------
    parts, rules
        As for :func:`log_likelihood`, of shape (entries,).
    share
        Length of the panels, of the longest that sums allow: less for more nodes.
    with_density
        Whether terms have the density of the bootstraps.

    Raises
    ------
    ValueError
        If one of the parts is not finite.
    """
    if not all(part.isfinite().all() for part in parts):
        raise ValueError("a parameter or a statistic of bootstraps is not finite")
    inputs = _arrays([part.double() for part in parts])
    loop, rule = _compiled_places(), gram_rule()

    def place(own: slice) -> np.ndarray:
        chosen = tuple(part[own] for part in inputs)
        placed = loop(chosen, share, with_density, rule, rules)
        placed[0] += own.start
        return placed

    placed = np.concatenate(spread(place, len(inputs[0])), axis=1)
    entry, u, width, term = torch.from_numpy(placed).to(parts[0].device)
    return Nodes(entry.long(), torch.where(width == 1, u.round(), u), width, term)


def _arrays(parts: tuple[Tensor, ...] | list[Tensor]) -> tuple[np.ndarray, ...]:
    return tuple(part.detach().cpu().reshape(-1).contiguous().numpy() for part in parts)


@cache
def _compiled() -> Callable:
    """Compile :func:`~.entries.sum_entries`, or load what was compiled from the same sources."""
    stamp = stamp_of(_SOURCES)

    @numba.njit(nogil=True, cache=True)
    def sum_entries(inputs, rule, rules, results):
        assert stamp
        entries.sum_entries(inputs, rule, rules, results)

    return sum_entries


@cache
def _compiled_places() -> Callable:
    """Do the same with :func:`~.placing.place_entries`."""
    stamp = stamp_of(_SOURCES)

    @numba.njit(nogil=True, cache=True)
    def place_entries(inputs, share, with_density, rule, rules):
        assert stamp
        return placing.place_entries(inputs, share, with_density, rule, rules)

    return place_entries
