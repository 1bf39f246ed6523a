"""Bootstraps of one isoform in one cell, given the distribution of its count."""

from __future__ import annotations

import torch
from pyro.distributions import constraints
from torch import Tensor
from torch.distributions.utils import broadcast_all, lazy_property

from ...data.arguments import require
from ...data.bootstraps import BootstrapSummary
from ...data.count_posterior import CountPosterior
from ..bootstrap_sum.counts import count_posterior, log_bin_mass, moments
from ..bootstrap_sum.driver import grid_log_likelihood, log_likelihood
from ..bootstrap_sum.summand import Rules
from .negative_binomial import ZINB, OfEntries, check_positive

ERRORS = ("independent", "shared")
NOISES = ("absolute", "relative")
QUADRATURES = ("sum", "grid")


class BootstrapZINB(OfEntries):
    r"""B bootstraps of one count, which are exchangeable but not independent.

    The count u is zero-inflated negative binomial and shared by the bootstraps,

    .. math::
        p(x_1, ..., x_B) = \sum_u P(u) \prod_b p(x_b \mid u),

    with x_b = u + noise, or 0 (Chan, Spence & Song, section 4). The sum is one over u for all
    bootstraps together; its cost does not depend on their number. A bootstrap is 0 only by dropout
    of its own: the density of negative bootstraps is counted, and samples are set to 0 where they
    are negative, as in the paper.

    Parameters
    ----------
    mean
        mu > 0, mean of the negative binomial (reads). All parameters broadcast to the batch shape.
    inverse_dispersion
        theta > 0; the negative binomial's variance is mu + mu^2 / theta.
    dropout_logits
        Logit of P(h = 1), the probability that u is 0 whatever the negative binomial says.
    noise_scale
        f > 0; the standard deviation of a bootstrap (reads) is f (``absolute``) or f sqrt(1 + u)
        (``relative``).
    bootstrap_dropout_logits
        Logit of pi = P(h' = 1), the probability that a bootstrap is 0 whatever u is.
    num_bootstraps
        B, the event's size.
    error
        ``independent``: the bootstraps scatter around the truth itself, the paper; ``shared``:
        around the estimate as the estimate scatters around the truth.
    noise
        ``absolute``, the paper, or ``relative``.
    quadrature
        ``sum``: over all counts; ``grid``: over u = 0, ..., grid_size - 1, the paper.
    grid_size
        Counts on the grid.

    Raises
    ------
    ValueError
        If an option has no such choice, or validation is on and a parameter is out of range.
    """

    arg_constraints = {
        "mean": constraints.positive,
        "inverse_dispersion": constraints.positive,
        "dropout_logits": constraints.real,
        "noise_scale": constraints.positive,
        "bootstrap_dropout_logits": constraints.real,
    }
    statistics = BootstrapSummary
    # Zero is an atom, and no bound of the density.
    support = constraints.independent(constraints.real, 1)

    def __init__(
        self,
        mean: Tensor,
        inverse_dispersion: Tensor,
        dropout_logits: Tensor,
        noise_scale: Tensor,
        bootstrap_dropout_logits: Tensor,
        *,
        num_bootstraps: int,
        error: str = "independent",
        noise: str = "absolute",
        quadrature: str = "sum",
        grid_size: int = 10001,
        validate_args: bool | None = None,
    ) -> None:
        require("error", error, ERRORS)
        require("noise", noise, NOISES)
        require("quadrature", quadrature, QUADRATURES)
        self.options = {
            "num_bootstraps": num_bootstraps,
            "error": error,
            "noise": noise,
            "quadrature": quadrature,
            "grid_size": grid_size,
        }
        self.num_bootstraps, self.error, self.noise = num_bootstraps, error, noise
        self.quadrature, self.grid_size = quadrature, grid_size
        self.parameters = broadcast_all(
            mean, inverse_dispersion, dropout_logits, noise_scale, bootstrap_dropout_logits
        )
        # The distribution's own mean has the name of the first.
        self.count_mean, self.inverse_dispersion, self.dropout_logits = self.parameters[:3]
        self.noise_scale, self.bootstrap_dropout_logits = self.parameters[3:]
        super().__init__(
            self.count_mean.shape, torch.Size([num_bootstraps]), validate_args=validate_args
        )
        if self._validate_args:
            check_positive("mean", self.count_mean)

    def log_prob(self, value: Tensor | BootstrapSummary) -> Tensor:
        """Log density in nats, shape batch_shape; differentiable once, in the parameters.

        Parameters
        ----------
        value
            Bootstraps (reads), shape (..., B), or their sufficient statistics, each of shape (...),
            whose numbers of bootstraps may differ between entries.
        """
        parts = self._parts(value)
        if self.quadrature == "grid":
            return grid_log_likelihood(parts, self._rules, self.grid_size)
        return log_likelihood(parts, self._rules)

    log_prob_summary = log_prob

    def posterior(self, value: Tensor | BootstrapSummary, *, of: str = "u") -> CountPosterior:
        """Distribution of the count given its bootstraps, exact given the parameters.

        Parameters
        ----------
        value
            As in :meth:`log_prob`.
        of
            ``u``, the count that was sequenced, or ``y``, the count before dropout (h).

        Raises
        ------
        ValueError
            If ``of`` is neither.
        """
        require("of", of, ("u", "y"))
        parts = self._parts(value)
        return count_posterior(parts, self._rules, before_dropout=of == "y")

    def log_prob_of_bin(self, k: Tensor) -> Tensor:
        """Log probability that one bootstrap, rounded, is k, in nats. Not differentiable.

        The mass of k - 1/2 to k + 1/2; k = 0 takes everything below 1/2.

        Parameters
        ----------
        k
            Counts (reads), broadcasting with the batch shape.
        """
        k, *parts = torch.broadcast_tensors(k, *self.parameters)
        return log_bin_mass(k, tuple(parts), self._rules)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw bootstraps (reads), shape sample_shape + batch_shape + (B,)."""
        shape = torch.Size(sample_shape) + self.batch_shape
        with torch.no_grad():
            *prior, scale, logits = (part.expand(shape) for part in self.parameters)
            u = ZINB(*prior, validate_args=False).sample()
            scale = scale * (1 + u).sqrt() if self.noise == "relative" else scale
            estimate = u
            if self.error == "shared":
                estimate = u + scale * torch.randn_like(u)
            event = shape + self.event_shape
            noise = torch.randn(event, dtype=u.dtype, device=u.device)
            kept = torch.sigmoid(-logits).unsqueeze(-1)
            draws = (estimate.unsqueeze(-1) + scale.unsqueeze(-1) * noise).clamp(min=0.0)
            return draws * torch.bernoulli(kept.expand(event))

    @lazy_property
    def mean(self) -> Tensor:
        """Mean of each bootstrap (reads) as sampled, shape batch_shape + (B,)."""
        return self._moments[0].unsqueeze(-1).expand(self.batch_shape + self.event_shape)

    @lazy_property
    def variance(self) -> Tensor:
        """Variance of each bootstrap (reads squared), shape batch_shape + (B,)."""
        return self._moments[1].unsqueeze(-1).expand(self.batch_shape + self.event_shape)

    @lazy_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        return moments(self.parameters, self._rules)

    @property
    def _rules(self) -> Rules:
        return Rules(shared=self.error == "shared", relative=self.noise == "relative")

    def _parts(self, value: Tensor | BootstrapSummary) -> tuple[Tensor, ...]:
        """Parameters, then statistics, of one shape and of the parameters' precision."""
        if not isinstance(value, BootstrapSummary):
            if self._validate_args:
                self._validate_sample(value)
            value = BootstrapSummary.of(value)
        statistics = (statistic.to(self.count_mean.dtype) for statistic in value)
        return torch.broadcast_tensors(*self.parameters, *statistics)
