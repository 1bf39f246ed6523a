"""The posterior of the count on the nodes of its sum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..distributions.count_posterior import CountPosterior
from .blocks import Rules
from .driver import Nodes, place_nodes

# Length of panels, of the longest that sums allow: quantiles need more nodes.
_SHARE = 0.25
# Places among the parts of a likelihood.
_STATISTICS = slice(5, 9)


def count_posterior(
    parts: tuple[Tensor, ...], rules: Rules, *, before_dropout: bool
) -> CountPosterior:
    """Posterior of the count u, or of y, before dropout.

    Of y there are two kinds of evidence: it was kept, with the bootstraps', or dropped, with none.

    Parameters
    ----------
    parts, rules
        As for :func:`~.driver.log_likelihood`.
    before_dropout
        Whether it is y.
    """
    shape, dtype = parts[0].shape, parts[0].dtype
    parts = tuple(part.detach().reshape(-1).double() for part in parts)
    mean, inverse_dispersion, dropout = parts[:3]
    kept, dropped = functional.logsigmoid(-dropout), functional.logsigmoid(dropout)
    mass_at_zero = -inverse_dispersion * (mean / inverse_dispersion).log1p()
    at_zero = _density_at_zero(parts, rules)
    nodes = place_nodes(parts, rules, share=_SHARE, with_density=True)
    if before_dropout:
        evidence = [_Evidence(nodes, mass_at_zero + at_zero, kept)]
        nothing = tuple(torch.zeros_like(part) for part in parts[_STATISTICS])
        prior = (*parts[: _STATISTICS.start], *nothing)
        nodes = place_nodes(prior, rules, share=_SHARE, with_density=False)
        evidence.append(_Evidence(nodes, mass_at_zero, dropped + at_zero))
    else:
        zero = torch.logaddexp(mass_at_zero, dropout) + at_zero
        evidence = [_Evidence(nodes, zero, kept)]
    entry, u, width, term = (
        torch.cat(parts) for parts in zip(*(own.nodes() for own in evidence), strict=True)
    )
    probability = _normalised(term + width.log(), entry, len(mean))
    return CountPosterior(shape, entry, *(part.to(dtype) for part in (u, width, probability)))


class _Evidence:
    """Nodes of counts u >= 1, the term of u = 0, and what is added to all, nats."""

    def __init__(self, positive: Nodes, zero: Tensor, constant: Tensor) -> None:
        self.positive, self.zero, self.constant = positive, zero, constant

    def nodes(self) -> Nodes:
        """Put the nodes of all counts together."""
        entries = torch.arange(len(self.zero), device=self.zero.device)
        zero, one = torch.zeros_like(self.zero), torch.ones_like(self.zero)
        entry, u, width, term = (
            torch.cat(both)
            for both in zip(Nodes(entries, zero, one, self.zero), self.positive, strict=True)
        )
        return Nodes(entry, u, width, term + self.constant[entry])


def _density_at_zero(parts: tuple[Tensor, ...], rules: Rules) -> Tensor:
    """Log density of the bootstraps given u = 0, without its constants."""
    scale, m, centre, squares = parts[3], parts[6], parts[7], parts[8]
    distances = m / (1 + m if rules.shared else 1) * centre.square()
    distances = distances + (squares if rules.relative else 0)
    return -0.5 * distances / scale.square()


def _normalised(terms: Tensor, entry: Tensor, entries: int) -> Tensor:
    """Probabilities of nodes from their logarithms."""
    largest = terms.new_full((entries,), -torch.inf).scatter_reduce(0, entry, terms, "amax")
    shares = (terms - largest[entry]).exp()
    return shares / torch.zeros_like(largest).index_add(0, entry, shares)[entry]
