"""Sums over all counts u = 0, 1, 2, ... of a function of u, by adaptive quadrature on integers.

The counts from 1 on are cut into panels of whole integers. A panel is summed by the Gauss rule of
equally spaced points (Gram's polynomials): three nodes that are exact for polynomials of degree
five, and for panels of up to three integers are those integers. So narrow functions are summed
exactly, and wide ones at the cost of an integral.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Precision(NamedTuple):
    """When a panel is fine enough.

    Attributes
    ----------
    tolerance
        A panel is split until its own sum and that of its halves agree to this share...
    negligible
        ...or it holds less than this share of the total (in nats).
    strong
        Neighbours of a panel that holds this share (in nats) must be about as narrow as it is.
    """

    tolerance: float
    negligible: float
    strong: float


# float32 cannot tell smaller differences from its own rounding.
_PRECISION = {
    torch.float64: Precision(2e-6, -18.0, -12.0),
    torch.float32: Precision(2e-4, -12.0, -8.0),
}
_MOST_ROUNDS = 60


class Nodes(NamedTuple):
    """Nodes of many entries, one after another.

    Attributes
    ----------
    entry
        Which entry a node belongs to, shape (nodes,), int64.
    u
        Its count, real-valued, shape (nodes,).
    weight
        Its weight in the sum, shape (nodes,).
    """

    entry: Tensor
    u: Tensor
    weight: Tensor


def gram_nodes(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights of panels of integers first, ..., first + count - 1.

    Returns
    -------
    tuple of Tensor
        Nodes and weights, shape (..., 3); exact for polynomials of degree 5 (2 where the panel has
        two integers, which are then the outer nodes).
    """
    square = count.square()
    distance = ((3 * square - 7) / 20).clamp(min=0.25).sqrt()
    outer = count * (square - 1) / (24 * distance.square())
    centre = first + 0.5 * (count - 1)
    nodes = torch.stack([centre - distance, centre, centre + distance], -1)
    weights = torch.stack([outer, count - 2 * outer, outer], -1)
    # The outer nodes of a single integer have no weight; they must not leave the counts.
    return torch.where(count.unsqueeze(-1) > 1, nodes, centre.unsqueeze(-1)), weights


def adaptive_nodes(
    log_function: Callable[[Tensor, Tensor], Tensor],
    breakpoints: Tensor,
    *,
    largest_share: float = 1.0,
) -> Nodes:
    """Place nodes for the sum over u = 0, 1, 2, ... of exp(log_function).

    Parameters
    ----------
    log_function
        Takes counts, shape (n,) or (n, 3), and their entries, shape (n,), int64, and gives the
        logarithm of the summand.
    breakpoints
        First integers of the first panels, increasing along the last axis, the first one 1, the
        last one where nothing is left, shape (entries, panels + 1). A peak of the summand must
        lie near one of them or where the summand rises towards it from them.
    largest_share
        Of the total that a panel of more than three counts may hold.

    Returns
    -------
    Nodes
        Of all entries, u = 0 among them.
    """
    entries = torch.arange(len(breakpoints), device=breakpoints.device)
    first, last = breakpoints[:, :-1].flatten(), breakpoints[:, 1:].flatten()
    entry = entries.repeat_interleave(breakpoints.shape[1] - 1)
    real = last > first
    panels = _Panels.summed(log_function, entry[real], first[real], (last - first)[real])
    at_zero = log_function(torch.zeros_like(breakpoints[:, 0]), entries)
    for _ in range(_MOST_ROUNDS):
        split = panels.to_split(at_zero, math.log(largest_share))
        if not bool(split.any()):
            break
        panels = panels.with_halves(log_function, split)
    u, weight = gram_nodes(panels.first, panels.count)
    entry = panels.entry.unsqueeze(-1).expand_as(u)
    used = weight > 0
    zero = torch.zeros_like(at_zero)
    return Nodes(
        torch.cat([entries, entry[used]]),
        torch.cat([zero, u[used]]),
        torch.cat([zero + 1, weight[used]]),
    )


def segment_logsumexp(values: Tensor, segment: Tensor, segments: int) -> Tensor:
    """Log of the sum of exponentials of each segment, shape (segments,)."""
    largest = values.new_full((segments,), -torch.inf)
    largest = largest.scatter_reduce(0, segment, values.detach(), "amax")
    largest = torch.where(largest.isfinite(), largest, 0.0)
    total = torch.zeros_like(largest).index_add(0, segment, (values - largest[segment]).exp())
    return largest + total.log()


class _Panels(NamedTuple):
    """Panels of integers: entry, first integer, how many, log of the sum, whether it is exact."""

    entry: Tensor
    first: Tensor
    count: Tensor
    log_sum: Tensor
    settled: Tensor

    @classmethod
    def summed(
        cls,
        log_function: Callable[[Tensor, Tensor], Tensor],
        entry: Tensor,
        first: Tensor,
        count: Tensor,
    ) -> _Panels:
        """Sum the function over panels."""
        u, weights = gram_nodes(first, count)
        log_sum = (log_function(u, entry) + weights.log()).logsumexp(-1)
        return cls(entry, first, count, log_sum, count <= 3)

    def in_order(self) -> _Panels:
        """Sort by entry and first integer."""
        order = self.first.argsort()
        order = order[self.entry[order].argsort(stable=True)]
        return _Panels(*(field[order] for field in self))

    def to_split(self, at_zero: Tensor, log_largest_share: float) -> Tensor:
        """Tell which panels, in order, matter and are not settled yet, shape (panels,)."""
        total = torch.logaddexp(segment_logsumexp(self.log_sum, self.entry, len(at_zero)), at_zero)
        share = self.log_sum - total[self.entry]
        precision = _PRECISION[share.dtype]
        # A peak may hide in a panel that is much wider than a neighbour that matters.
        hiding = torch.zeros_like(self.settled)
        strong = share > precision.strong
        beside = self.entry[1:] == self.entry[:-1]
        wider = self.count[1:] / self.count[:-1]
        hiding[1:] |= beside & strong[:-1] & (wider > 2)
        hiding[:-1] |= beside & strong[1:] & (wider < 0.5)
        unsettled = ~self.settled & ((share > precision.negligible) | hiding)
        return unsettled | ((self.count > 3) & (share > log_largest_share))

    def with_halves(
        self, log_function: Callable[[Tensor, Tensor], Tensor], split: Tensor
    ) -> _Panels:
        """Replace panels by their halves, settled where these change nothing."""
        whole = _Panels(*(field[split] for field in self))
        kept = _Panels(*(field[~split] for field in self))
        left = (whole.count / 2).floor()
        first = torch.stack([whole.first, whole.first + left], -1)
        count = torch.stack([left, whole.count - left], -1)
        entry = whole.entry.repeat_interleave(2)
        halves = _Panels.summed(log_function, entry, first.flatten(), count.flatten())
        change = halves.log_sum.view(-1, 2).logsumexp(-1) - whole.log_sum
        agree = (change.abs() < _PRECISION[change.dtype].tolerance).repeat_interleave(2)
        halves = halves._replace(settled=halves.settled | agree)
        both = zip(kept, halves, strict=True)
        return _Panels(*(torch.cat([old, new]) for old, new in both)).in_order()
