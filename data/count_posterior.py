"""What is known of a count once its bootstraps are seen: moments and quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .posteriors import probabilities

# Share of a probability, or of a count, that is not told from nothing.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class CountPosterior:
    """Distribution of the count of each entry, on the nodes of a quadrature rule.

    Attributes
    ----------
    batch_shape
        Shape of the entries and of all that is computed from them.
    entry
        Which entry, counted along the flattened batch shape, a node belongs to, shape (nodes,).
    u
        Count of the node (reads), shape (nodes,).
    width
        How many counts around it the node stands for, shape (nodes,); where it is 1, u is an
        integer.
    probability
        Shape (nodes,); of each entry they sum to one.
    """

    batch_shape: torch.Size
    entry: Tensor
    u: Tensor
    width: Tensor
    probability: Tensor

    @classmethod
    def mixture(cls, posteriors: Sequence[CountPosterior]) -> CountPosterior:
        """Average distributions of the same entries, each given other samples of the latents."""
        own = ((part.entry, part.u, part.width, part.probability) for part in posteriors)
        entry, u, width, probability = (torch.cat(columns) for columns in zip(*own, strict=True))
        return cls(posteriors[0].batch_shape, entry, u, width, probability / len(posteriors))

    def expectation(self, values: Tensor) -> Tensor:
        """Average a function of the count that has these values at the nodes."""
        total = self.u.new_zeros(self.batch_shape.numel())
        return total.index_add(0, self.entry, self.probability * values).view(self.batch_shape)

    @property
    def mean(self) -> Tensor:
        """E[u] in reads, shape batch_shape."""
        return self.expectation(self.u)

    @property
    def variance(self) -> Tensor:
        """Var[u] in reads squared, shape batch_shape."""
        centred = self.u - self.mean.flatten()[self.entry]
        return self.expectation(centred.square())

    @property
    def log1p_mean(self) -> Tensor:
        """E[log(1 + u)], the estimator for errors on that scale, shape batch_shape."""
        return self.expectation(self.u.log1p())

    def cumulative(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """P(U < u) and P(U <= u), between which the probability integral transform of u lies.

        Where counts are so large that a node stands for many, it is interpolated.

        Parameters
        ----------
        u
            Whole counts (reads), broadcasting with batch_shape.

        Returns
        -------
        tuple of Tensor
            Each of shape batch_shape.
        """
        u = u.expand(self.batch_shape).flatten()[self.entry]
        # The mass of a node is spread over the counts that it stands for.
        fractions = (((u + end - self.u) / self.width + 0.5) for end in (-0.5, 0.5))
        below, up_to = (self.expectation(fraction.clamp(0.0, 1.0)) for fraction in fractions)
        # Rounded sums can pass one.
        return below.clamp(max=1.0), up_to.clamp(max=1.0)

    def sample(self, number: int) -> Tensor:
        """Draw counts (reads), shape (number,) + batch_shape."""
        shape = (number, self.batch_shape.numel())
        return self._at(torch.rand(shape, dtype=torch.float64, device=self.u.device))

    def rank(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """P(U < k) and P(U <= k) for the count k next to a value (reads), of shape batch_shape.

        Between them lies the rank of a true value that is no whole count.
        """
        return self.cumulative(value.round())

    def quantile(self, q: float | Sequence[float] | Tensor) -> Tensor:
        """Smallest count whose cumulative probability, as :meth:`cumulative` has it, reaches q.

        Parameters
        ----------
        q
            Probability, or several, shape (quantiles,).

        Returns
        -------
        Tensor
            Shape batch_shape, or (quantiles,) + batch_shape for several.
        """
        levels = probabilities(q).to(self.u.device)
        found = self._at(levels.reshape(-1, 1).expand(-1, self.batch_shape.numel()))
        return found.view(levels.shape + self.batch_shape)

    def _at(self, levels: Tensor) -> Tensor:
        """Find counts at probabilities of shape (n, entries), shape (n,) + batch_shape."""
        ends, reached, last = self._cumulative_at_ends()
        first = torch.cat([last.new_zeros(1), last[:-1] + 1])
        # Of all entries one after another: entry e runs from e to e + 1.
        entries = torch.arange(len(last), device=last.device)
        goal = entries + (levels * (1 - _ROUNDING)).clamp(min=_ROUNDING)
        after = torch.searchsorted(reached, goal).maximum(first + 1).minimum(last)
        before = after - 1
        rise = (reached[after] - reached[before]).clamp(min=_ROUNDING**2)
        fraction = ((goal - reached[before]) / rise).clamp(0.0, 1.0)
        place = ends[before] + fraction * (ends[after] - ends[before])
        counts = (place - 0.5 - _ROUNDING).ceil().clamp(min=0.0)
        return counts.to(self.u.dtype).view(-1, *self.batch_shape)

    def _cumulative_at_ends(self) -> tuple[Tensor, Tensor, Tensor]:
        """Give ends of the counts that nodes stand for in order, an entry's after the one's before.

        Then cumulative probabilities, linear between ends also where nodes overlap, plus the number
        of entries before, and the position of the last end of each entry; all but that float64.
        """
        u, width = self.u.double(), self.width.double()
        density = self.probability.double() / width
        ends = torch.cat([u - 0.5 * width, u + 0.5 * width])
        steps, entry = torch.cat([density, -density]), self.entry.repeat(2)
        order = ends.argsort()
        order = order[entry[order].argsort(stable=True)]
        ends, steps, entry = ends[order], steps[order], entry[order]
        last = torch.bincount(entry, minlength=self.batch_shape.numel()).cumsum(0) - 1
        # The density between an end and the next one; beyond the last one of an entry it is 0.
        risen = steps.cumsum(0)[:-1] * ends.diff() * (entry.diff() == 0)
        risen = torch.cat([risen.new_zeros(1), risen.clamp(min=0.0)]).cumsum(0)
        before = torch.cat([risen.new_zeros(1), risen[last[:-1]]])
        total = (risen[last] - before)[entry]
        return ends, (risen - before[entry]) / total + entry, last
