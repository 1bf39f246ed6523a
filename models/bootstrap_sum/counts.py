"""What is asked of counts on the nodes of their sums; nothing here can be differentiated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ...data.count_posterior import CountPosterior
from .driver import Nodes, place_nodes
from .summand import Rules

# Length of panels, of the longest that sums allow: quantiles need more nodes than sums, and so do
# masses of intervals, which are less smooth than densities.
_SHARE_OF_POSTERIORS, _SHARE_OF_BOOTSTRAPS = 0.25, 0.5
# Entries at once; bounds the memory that nodes take.
_CHUNK = 1 << 16
_SMALLEST = 1e-300


@torch.no_grad()
def count_posterior(
    parts: tuple[Tensor, ...], rules: Rules, *, before_dropout: bool
) -> CountPosterior:
    """Posterior of the count u, or of y, before dropout, given the parts of the likelihood.

    Of y there are two kinds of evidence: it was kept, with the bootstraps', or dropped, with none.
    """
    shape, dtype = parts[0].shape, parts[0].dtype
    parts = tuple(part.reshape(-1).double() for part in parts)
    dropout = parts[2]
    nodes = place_nodes(parts, rules, share=_SHARE_OF_POSTERIORS)
    terms = _log_prior(nodes, dropout) + nodes.log_density
    if before_dropout:
        terms = nodes.log_mass + nodes.width.log() + nodes.log_density
        terms = terms + functional.logsigmoid(-dropout)[nodes.entry]
        nothing = (torch.zeros_like(dropout) for _ in parts[5:])
        of_dropped = place_nodes((*parts[:5], *nothing), rules, share=_SHARE_OF_POSTERIORS)
        constant = functional.logsigmoid(dropout) + nodes.log_density[: len(dropout)]
        others = of_dropped.log_mass + of_dropped.width.log() + constant[of_dropped.entry]
        terms = torch.cat([terms, others])
        nodes = Nodes(*(torch.cat(both) for both in zip(nodes, of_dropped, strict=True)))
    probability = (terms - _log_totals(terms, nodes.entry, len(dropout))[nodes.entry]).exp()
    own = (part.to(dtype) for part in (nodes.u, nodes.width, probability))
    return CountPosterior(shape, nodes.entry, *own)


@torch.no_grad()
def log_bin_mass(k: Tensor, parameters: tuple[Tensor, ...], rules: Rules) -> Tensor:
    """Log mass in nats of k - 1/2 < x < k + 1/2 for one bootstrap x; k = 0 takes all below 1/2."""
    columns = [part.reshape(-1).double().split(_CHUNK) for part in (k, *parameters)]
    masses = [_log_bin_mass(own, parts, rules) for own, *parts in zip(*columns, strict=True)]
    return torch.cat(masses).view(k.shape).to(parameters[0].dtype)


def _log_bin_mass(k: Tensor, parameters: list[Tensor], rules: Rules) -> Tensor:
    nodes, log_prior, scale = _nodes_of_bootstraps(parameters, rules, k)
    bins = k[nodes.entry]
    low, high = bins - 0.5 - nodes.u, bins + 0.5 - nodes.u
    # From the smaller tails, which keep their digits.
    near, far = torch.where(low > 0, low, -high), torch.where(low > 0, high, -low)
    larger, smaller = (torch.special.log_ndtr(-end / scale) for end in (near, far))
    inside = larger + (-(smaller - larger).expm1()).clamp(min=_SMALLEST).log()
    terms = log_prior + torch.where(bins == 0, torch.special.log_ndtr(high / scale), inside)
    dropped, kept = functional.logsigmoid(parameters[4]), functional.logsigmoid(-parameters[4])
    mass = _log_totals(terms, nodes.entry, len(k)) + kept
    return torch.where(k == 0, torch.logaddexp(mass, dropped), mass)


@torch.no_grad()
def moments(parameters: tuple[Tensor, ...], rules: Rules) -> tuple[Tensor, Tensor]:
    """Mean (reads) and variance (reads squared) of one bootstrap as it is sampled."""
    shape, dtype = parameters[0].shape, parameters[0].dtype
    parameters = tuple(part.reshape(-1).double() for part in parameters)
    mean, _, _, _, logits = parameters
    nodes, log_prior, scale = _nodes_of_bootstraps(parameters, rules)
    # Of a normal variable that counts as 0 where it is negative.
    ratio, probability = nodes.u / scale, log_prior.exp()
    density = (-0.5 * ratio.square()).exp() / math.sqrt(2 * math.pi)
    above = torch.special.ndtr(ratio)
    first = nodes.u * above + scale * density
    second = (nodes.u.square() + scale.square()) * above + nodes.u * scale * density
    first, second = (
        torch.sigmoid(-logits) * torch.zeros_like(mean).index_add(0, nodes.entry, probability * own)
        for own in (first, second)
    )
    return first.view(shape).to(dtype), (second - first.square()).view(shape).to(dtype)


def _nodes_of_bootstraps(
    parameters: Sequence[Tensor], rules: Rules, k: Tensor | None = None
) -> tuple[Nodes, Tensor, Tensor]:
    """Find counts of one bootstrap, any or of about k.

    Also gives the log probabilities that they stand for, and the standard deviation (reads) of a
    bootstrap around them: the estimate's error and the bootstrap's are taken together.
    """
    zero = torch.zeros_like(parameters[0])
    statistics = (zero,) * 4 if k is None else (zero, zero + 1, k, zero)
    nodes = place_nodes((*parameters, *statistics), rules, share=_SHARE_OF_BOOTSTRAPS)
    variance = parameters[3].square()[nodes.entry] * (2 if rules.shared else 1)
    scale = (variance * (1 + nodes.u if rules.relative else 1)).sqrt()
    return nodes, _log_prior(nodes, parameters[2]), scale


def _log_prior(nodes: Nodes, dropout: Tensor) -> Tensor:
    """Log probabilities of the counts that nodes stand for, with zero inflation."""
    dropped, kept = (functional.logsigmoid(sign * dropout)[nodes.entry] for sign in (1, -1))
    kept = kept + nodes.log_mass + nodes.width.log()
    return torch.where(nodes.u == 0, torch.logaddexp(kept, dropped), kept)


def _log_totals(terms: Tensor, entry: Tensor, number: int) -> Tensor:
    """Log of the sums over the nodes of each of a number of entries."""
    largest = terms.new_full((number,), -torch.inf).scatter_reduce(0, entry, terms, "amax")
    shares = (terms - largest[entry]).exp()
    return largest + torch.zeros_like(largest).index_add(0, entry, shares).log()
