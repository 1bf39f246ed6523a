"""Sums over counts of tensors: values that can be differentiated, and nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...data import compiled_functions, special_functions
from ...data.compiled_functions import njit
from ...data.compiled_loops import spread, stamp_of
from ...data.quadrature import gram_rule
from ..distributions.negative_binomial import ZINB
from . import blocks, panels, summand
from .blocks import RESULTS
from .panels import FIELDS, LONGEST, NODES
from .summand import Rules

# All modules whose code or constants are compiled.
_SOURCES = (compiled_functions, special_functions, summand, panels, blocks)


def log_likelihood(parts: tuple[Tensor, ...], rules: Rules) -> Tensor:
    """Log density of bootstraps with the count summed out, nats; differentiable once.

    ``parts`` are mean (reads), inverse dispersion, dropout logits, noise scale (reads) and
    bootstrap dropout logits, then the statistics of a
    :class:`~exvae.data.bootstraps.BootstrapSummary`, all of one shape and of float32 or float64.
    The sums are computed on the CPU.
    """
    *parameters, logits, zeros, positives, mean, squares = parts
    value = _LogSum.apply(rules, *parameters, positives, mean, squares)
    dropped, kept = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    return value + zeros * dropped + positives * kept


def grid_log_likelihood(parts: tuple[Tensor, ...], rules: Rules, grid_size: int) -> Tensor:
    """Log density of bootstraps, summed over u = 0, ..., grid_size - 1 (section 4 of the paper)."""
    mean, inverse_dispersion, dropout, scale, logits, zeros, m, centre, squares = (
        part.unsqueeze(-1) for part in parts
    )
    u = torch.arange(grid_size, dtype=mean.dtype, device=mean.device)
    variance = scale.square() * (1 + u if rules.relative else 1)
    precision_left = 1 / (1 + m) if rules.shared else torch.ones_like(m)
    distances = squares + m * precision_left * (centre - u).square()
    log_density = 0.5 * (precision_left.log() - distances / variance)
    log_density = log_density - 0.5 * m * (2 * math.pi * variance).log()
    # Without a bootstrap that is not zero there is nothing to sum.
    prior = ZINB(mean, inverse_dispersion, dropout, validate_args=False)
    terms = prior.log_prob(u) + log_density
    total = torch.where(m > 0, terms.logsumexp(-1, keepdim=True), 0.0)
    total = total + zeros * functional.logsigmoid(logits) + m * functional.logsigmoid(-logits)
    return total.squeeze(-1)


class _LogSum(torch.autograd.Function):
    """Value and slopes from the same terms: a derivative is a posterior expectation."""

    @staticmethod
    def forward(ctx, rules: Rules, *parts: Tensor) -> Tensor:
        device, shape, inputs = parts[0].device, parts[0].shape, _arrays(parts)
        results = np.empty((RESULTS, len(inputs[0])), inputs[0].dtype)
        loop, rule, nothing = _compiled(), gram_rule(NODES, LONGEST), np.empty((FIELDS, 0))

        def work(own: slice) -> None:
            chosen = tuple(part[own] for part in inputs)
            loop(chosen, False, 1.0, rule, rules, results[:, own], nothing)

        spread(work, len(inputs[0]))
        value, *slopes = (part.to(device).view(shape) for part in torch.from_numpy(results))
        ctx.save_for_backward(*slopes)
        return value

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # a Hessian must not be silently zero
            raise NotImplementedError(
                "the likelihood of bootstraps has no second derivatives; quadrature='grid' does"
            )
        return None, *(cotangent * slope for slope in ctx.saved_tensors), None, None, None


class Nodes(NamedTuple):
    """Nodes of entries, each of shape (nodes,); the first are u = 0 of all entries in order.

    Logarithms are of the mass of the count, without zero inflation, and of the density of the
    bootstraps given it, without what is the same for all counts, nats. A node stands for as many
    counts as its width; where that is 1, u is an integer.
    """

    entry: Tensor
    u: Tensor
    width: Tensor
    log_mass: Tensor
    log_density: Tensor


def place_nodes(parts: tuple[Tensor, ...], rules: Rules, *, share: float) -> Nodes:
    """Place the nodes of sums over counts, of parts of shape (entries,).

    ``share`` is the length of panels, of the longest that sums allow: less for more nodes. Raises
    ValueError if a part is not finite.
    """
    if not all(part.isfinite().all() for part in parts):
        raise ValueError("a parameter or a statistic of bootstraps is not finite")
    mean, dispersion, dropout, scale, _, _, m, centre, squares = (part.double() for part in parts)
    inputs = _arrays((mean, dispersion, dropout, scale, m, centre, squares))
    loop, rule = _compiled(), gram_rule(NODES, LONGEST)

    def place(own: slice) -> np.ndarray:
        chosen = tuple(part[own] for part in inputs)
        results, noted = np.empty((RESULTS, len(chosen[0]))), np.empty((FIELDS, 0))
        for _ in range(2):  # to know their number, and to note them
            number = loop(chosen, True, share, rule, rules, results, noted)
            noted = noted if noted.size else np.empty((FIELDS, number))
        noted[0] += own.start
        return noted[:, noted[2] > 0]

    noted = np.concatenate(spread(place, len(inputs[0])), axis=1)
    entry, u, width, *logarithms = torch.from_numpy(noted).to(mean.device)
    every, zero = torch.arange(len(mean), device=mean.device), torch.zeros_like(mean)
    mass_at_zero = -dispersion * (mean / dispersion).log1p()
    distance = m / (1 + m if rules.shared else 1) * centre.square()
    density_at_zero = -0.5 * (distance + (squares if rules.relative else 0)) / scale.square()
    at_zero = Nodes(every, zero, zero + 1, mass_at_zero, density_at_zero)
    positive = Nodes(entry.long(), torch.where(width == 1, u.round(), u), width, *logarithms)
    return Nodes(*(torch.cat(both) for both in zip(at_zero, positive, strict=True)))


def _arrays(parts: Iterable[Tensor]) -> tuple[np.ndarray, ...]:
    return tuple(part.detach().cpu().reshape(-1).contiguous().numpy() for part in parts)


@cache
def _compiled() -> Callable:
    """Compile :func:`~.blocks.sum_entries`, or load what was compiled from the same sources."""
    stamp = stamp_of(_SOURCES)

    @njit(nogil=True, cache=True)
    def sum_entries(inputs, every, share, rule, rules, results, noted):
        assert stamp
        return blocks.sum_entries(inputs, every, share, rule, rules, results, noted)

    return sum_entries
