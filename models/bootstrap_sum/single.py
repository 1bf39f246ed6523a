"""One bootstrap by itself: its mass on unit bins and its moments. Not differentiable."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..distributions.negative_binomial import ZINB
from .blocks import Rules
from .driver import place_nodes

# Length of panels, of the longest that sums allow: an interval's mass is less smooth than a
# density.
_SHARE = 0.5
# Entries at once; bounds the memory that nodes take.
_CHUNK = 1 << 16
_SMALLEST = 1e-300


class _Given(NamedTuple):
    """Counts u of nodes and u = 0, their entries, and the log of weight times probability."""

    entry: Tensor
    u: Tensor
    log_probability: Tensor


@torch.no_grad()
def log_bin_mass(k: Tensor, parameters: tuple[Tensor, ...], rules: Rules) -> Tensor:
    """Log mass in nats of k - 1/2 < x < k + 1/2; k = 0 takes all below 1/2.

    Parameters
    ----------
    k
        Counts (reads), of the shape of the parameters.
    parameters
        The five of :func:`~.driver.log_likelihood`.
    rules
        Which likelihood.
    """
    columns = [part.reshape(-1).double().split(_CHUNK) for part in (k, *parameters)]
    masses = [_log_bin_mass(own, parts, rules) for own, *parts in zip(*columns, strict=True)]
    return torch.cat(masses).view(k.shape).to(parameters[0].dtype)


def _log_bin_mass(k: Tensor, parameters: list[Tensor], rules: Rules) -> Tensor:
    given = _counts_of(k, parameters, rules)
    scale = _scale(given, parameters[3], rules)
    bins = k[given.entry]
    inside = _log_normal_mass(bins - 0.5 - given.u, bins + 0.5 - given.u, scale)
    below = torch.special.log_ndtr((0.5 - given.u) / scale)
    terms = given.log_probability + torch.where(bins == 0, below, inside)
    largest = torch.full_like(k, -torch.inf).scatter_reduce(0, given.entry, terms, "amax")
    shares = (terms - largest[given.entry]).exp()
    mass = largest + torch.zeros_like(k).index_add(0, given.entry, shares).log()
    mass = mass + functional.logsigmoid(-parameters[4])
    return torch.where(k == 0, torch.logaddexp(mass, functional.logsigmoid(parameters[4])), mass)


@torch.no_grad()
def moments(parameters: tuple[Tensor, ...], rules: Rules) -> tuple[Tensor, Tensor]:
    """Mean (reads) and variance (reads squared) of one bootstrap as it is sampled.

    Those of a bootstrap that may be negative are known; what is added where it counts as 0 matters
    only for counts within a few standard deviations of it.
    """
    shape, dtype = parameters[0].shape, parameters[0].dtype
    columns = [part.reshape(-1).double() for part in parameters]
    mean, inverse_dispersion, dropout, noise_scale, logits = columns
    kept = torch.sigmoid(-dropout)
    first = kept * mean
    second = kept * (mean + mean.square() * (1 + 1 / inverse_dispersion))
    noise = noise_scale.square() * (2 if rules.shared else 1)
    second = second + noise * (1 + first if rules.relative else 1)
    given = _counts_of(torch.zeros_like(mean), columns, rules)
    scale = _scale(given, noise_scale, rules)
    ratio = given.u / scale
    density = (-0.5 * ratio.square()).exp() / math.sqrt(2 * math.pi)
    below = torch.special.ndtr(-ratio)
    probability = given.log_probability.exp()
    lost = probability * scale * (density - ratio * below)
    lost_square = probability * scale.square() * ((1 + ratio.square()) * below - ratio * density)
    first = first.index_add(0, given.entry, lost)
    second = second.index_add(0, given.entry, -lost_square)
    kept = torch.sigmoid(-logits)
    first, second = kept * first, kept * second
    return first.view(shape).to(dtype), (second - first.square()).view(shape).to(dtype)


def _counts_of(k: Tensor, parameters: list[Tensor], rules: Rules) -> _Given:
    """Find counts of which a bootstrap of about k may be one, with their probabilities."""
    one, zero = torch.ones_like(k), torch.zeros_like(k)
    parts = (*parameters, zero, one, k, zero)
    nodes = place_nodes(parts, rules, share=_SHARE, with_density=False)
    dropout = parameters[2]
    term = nodes.term + nodes.width.log() + functional.logsigmoid(-dropout)[nodes.entry]
    entries = torch.arange(len(k), device=k.device)
    return _Given(
        torch.cat([entries, nodes.entry]),
        torch.cat([zero, nodes.u]),
        torch.cat([ZINB(*parameters[:3], validate_args=False).log_prob(zero), term]),
    )


def _scale(given: _Given, noise_scale: Tensor, rules: Rules) -> Tensor:
    """Give the standard deviation (reads) of a bootstrap around its count.

    The estimate's error and the bootstrap's are taken together where the error is shared.
    """
    variance = noise_scale.square()[given.entry] * (2 if rules.shared else 1)
    return (variance * (1 + given.u if rules.relative else 1)).sqrt()


def _log_normal_mass(low: Tensor, high: Tensor, scale: Tensor) -> Tensor:
    """Log of P(low < X < high), from the smaller tails, which keep their digits."""
    above = low > 0
    near, far = torch.where(above, low, -high), torch.where(above, high, -low)
    larger, smaller = (torch.special.log_ndtr(-end / scale) for end in (near, far))
    return larger + (-(smaller - larger).expm1()).clamp(min=_SMALLEST).log()
