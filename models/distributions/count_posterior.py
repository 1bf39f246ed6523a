"""What is known of a count once its bootstraps are seen: moments and quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


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
        How many counts the node stands for, shape (nodes,); where it is 1, u is an integer.
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

        def joined(name: str) -> Tensor:
            return torch.cat([getattr(posterior, name) for posterior in posteriors])

        return cls(
            posteriors[0].batch_shape,
            joined("entry"),
            joined("u"),
            joined("width"),
            joined("probability") / len(posteriors),
        )

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
        """Draw counts (reads), shape (number, *batch_shape)."""
        levels = torch.rand(number, *self.batch_shape, dtype=self.u.dtype, device=self.u.device)
        raise NotImplementedError(levels.shape)

    def rank(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """P(U < k) and P(U <= k) for the count k next to a value (reads), of shape batch_shape.

        Between them lies the rank of a true value that is no whole count.
        """
        return self.cumulative(value.round())

    def quantile(self, q: float | Sequence[float] | Tensor) -> Tensor:
        """Smallest count whose cumulative probability reaches q.

        Where counts are so large that a node stands for many, it is interpolated.

        Parameters
        ----------
        q
            Probability, or several, shape (quantiles,).

        Returns
        -------
        Tensor
            Shape batch_shape, or (quantiles, *batch_shape) for several.
        """
        levels = torch.as_tensor(q, dtype=self.u.dtype, device=self.u.device)
        order = self.u.argsort()
        order = order[self.entry[order].argsort(stable=True)]
        entry, u, width, mass = (
            field[order] for field in (self.entry, self.u, self.width, self.probability)
        )
        sizes = torch.bincount(entry, minlength=self.batch_shape.numel())
        last = sizes.cumsum(0) - 1
        first = last - sizes + 1
        # Of all entries one after another, so that entry e runs from e to e + 1.
        cumulative = mass.to(torch.float64).cumsum(0)
        before_entry = cumulative[first] - mass[first]
        total = cumulative[last] - before_entry
        reached = (cumulative - before_entry[entry]) / total[entry] + entry
        share = mass / total[entry]
        entries = torch.arange(len(first), device=u.device)
        results = []
        for level in levels.reshape(-1):
            goal = entries + level.to(torch.float64)
            node = torch.searchsorted(reached, goal - 1e-9).clamp(min=first, max=last)
            # A node's mass is spread over the counts that it stands for.
            fraction = 1 - (reached[node] - goal) / share[node].clamp(min=1e-30)
            offset = width[node] * (fraction.clamp(0, 1).to(u.dtype) - 0.5)
            results.append(u[node] + torch.where(width[node] > 1, offset, 0.0))
        stacked = torch.stack(results).view(levels.shape + self.batch_shape)
        return stacked.clamp(min=0.0)
