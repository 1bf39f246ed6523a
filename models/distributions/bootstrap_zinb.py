"""Bootstraps of one isoform in one cell, given the distribution of its count."""

from __future__ import annotations

import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor
from torch.distributions.utils import broadcast_all, lazy_property

from ...data.bootstraps import BootstrapSummary
from ..bootstrap_likelihood import BootstrapParameters, BootstrapSetting, squared_noise
from ..marginal import count_posterior, grid_log_prob, marginal_log_prob
from ..single_bootstrap import log_bin_mass, moments
from .count_posterior import CountPosterior
from .negative_binomial import ZINB, check_positive

QUADRATURES = ("adaptive", "grid")
DEFAULT_NOISE_CONCENTRATION = 5.0


class BootstrapZINB(TorchDistribution):
    r"""B bootstraps of one count, which are exchangeable but not independent.

    The count u is zero-inflated negative binomial and shared by the bootstraps,

    .. math::
        p(x_1, ..., x_B) = \sum_u P(u) \prod_b p(x_b \mid u),

    with x_b = u + noise, or 0 (Chan, Spence & Song, section 4; see
    :mod:`exvae.models.bootstrap_likelihood` for what is beyond the paper). The sum is one over u
    for all bootstraps together; its cost does not depend on their number.

    Parameters
    ----------
    mean
        mu > 0, mean of the negative binomial (reads). All parameters broadcast to the batch shape.
    inverse_dispersion
        theta > 0; the negative binomial's variance is mu + mu^2 / theta.
    dropout_logits
        Logit of P(h = 1), the probability that u is 0 whatever the negative binomial says.
    noise_scale
        f > 0; the standard deviation of a bootstrap (reads) is f (``absolute``), f sqrt(1 + u)
        (``relative``), or has a prior around that (``adaptive``).
    bootstrap_dropout_logits
        Logit of pi = P(h' = 1), the probability that a bootstrap is 0 whatever u is.
    num_bootstraps
        B, the event's size.
    error
        ``shared``: the bootstraps scatter around the estimate as the estimate scatters around the
        truth; ``independent``: around the truth itself, the paper.
    zeros
        ``rectified``: negative bootstraps are 0; ``atom``: only h' makes zeros, and the density of
        negative bootstraps is counted, the paper (samples are set to 0 all the same).
    noise
        ``adaptive``, ``relative`` or ``absolute``, the paper.
    noise_concentration
        nu > 0 of the adaptive scale: sigma^2 | u ~ Inverse-Gamma(nu / 2, nu f^2 (1 + u) / 2).
        5 where it is not given.
    quadrature
        ``adaptive``: nodes where the summand is; ``grid``: u = 0, ..., grid_size - 1, the paper.
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
        "noise_concentration": constraints.positive,
    }

    statistics = BootstrapSummary

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        """Bootstraps that have a density; read as an atom, zero is no bound of theirs."""
        rectified = self.setting.zeros == "rectified"
        return constraints.independent(
            constraints.nonnegative if rectified else constraints.real, 1
        )

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
        zeros: str = "atom",
        noise: str = "absolute",
        noise_concentration: Tensor | float | None = None,
        quadrature: str = "adaptive",
        grid_size: int = 10001,
        validate_args: bool | None = None,
    ) -> None:
        if quadrature not in QUADRATURES:
            raise ValueError(
                f"quadrature is {quadrature!r}; choose one of {', '.join(QUADRATURES)}"
            )
        if noise_concentration is None:
            noise_concentration = DEFAULT_NOISE_CONCENTRATION
        self.setting = BootstrapSetting(error, zeros, noise)
        self.num_bootstraps = num_bootstraps
        self.quadrature = quadrature
        self.grid_size = grid_size
        self.parameters = BootstrapParameters(
            *broadcast_all(
                mean,
                inverse_dispersion,
                dropout_logits,
                noise_scale,
                bootstrap_dropout_logits,
                noise_concentration,
            )
        )
        for name, value in self.parameters._asdict().items():
            if name != "mean":  # the distribution's own mean has that name
                setattr(self, name, value)
        super().__init__(
            self.parameters.mean.shape, torch.Size([num_bootstraps]), validate_args=validate_args
        )
        if self._validate_args:
            check_positive("mean", self.parameters.mean)

    def expand(
        self, batch_shape: torch.Size, _instance: BootstrapZINB | None = None
    ) -> BootstrapZINB:
        """Repeat the distribution over a larger batch."""
        new = self._get_checked_instance(BootstrapZINB, _instance)
        *tensors, noise_concentration = (part.expand(batch_shape) for part in self.parameters)
        BootstrapZINB.__init__(
            new,
            *tensors,
            num_bootstraps=self.num_bootstraps,
            error=self.setting.error,
            zeros=self.setting.zeros,
            noise=self.setting.noise,
            noise_concentration=noise_concentration,
            quadrature=self.quadrature,
            grid_size=self.grid_size,
            validate_args=False,
        )
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor | BootstrapSummary) -> Tensor:
        """Log density in nats, shape batch_shape.

        Parameters
        ----------
        value
            Bootstraps (reads), shape (..., B), or their sufficient statistics, each of shape (...),
            whose numbers of bootstraps may differ between entries.
        """
        return self.log_prob_summary(self._summary(value))

    def log_prob_summary(self, summary: BootstrapSummary) -> Tensor:
        """Log density of bootstraps given by their sufficient statistics, in nats."""
        parameters, summary = self._broadcast(summary)
        if self.quadrature == "grid":
            return grid_log_prob(parameters, summary, self.setting, self.grid_size)
        return marginal_log_prob(parameters, summary, self.setting)

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
        if of not in ("u", "y"):
            raise ValueError(f"of is {of!r}; choose u or y")
        parameters, summary = self._broadcast(self._summary(value))
        return count_posterior(parameters, summary, self.setting, before_dropout=of == "y")

    def log_prob_of_bin(self, k: Tensor) -> Tensor:
        """Log probability that one bootstrap, rounded, is k, in nats.

        The mass of k - 1/2 to k + 1/2; k = 0 takes everything below 1/2.

        Parameters
        ----------
        k
            Counts (reads), broadcasting with the batch shape.
        """
        k, *parts = torch.broadcast_tensors(k, *self.parameters)
        return log_bin_mass(k, BootstrapParameters(*parts), self.setting)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw bootstraps (reads), shape sample_shape + batch_shape + (B,)."""
        shape = torch.Size(sample_shape) + self.batch_shape
        with torch.no_grad():
            parameters = BootstrapParameters(*(part.expand(shape) for part in self.parameters))
            u = ZINB(*parameters[:3], validate_args=False).sample()
            variance = squared_noise(u, parameters.noise_scale, self.setting.noise)
            if self.setting.noise == "adaptive":
                shape_of_noise = 0.5 * parameters.noise_concentration
                precision = torch._standard_gamma(shape_of_noise) / shape_of_noise
                variance = variance / precision.clamp(min=torch.finfo(u.dtype).tiny)
            scale = variance.sqrt()
            estimate = u
            if self.setting.error == "shared":
                estimate = u + scale * torch.randn_like(u)
            event = shape + self.event_shape
            noise = torch.randn(event, dtype=u.dtype, device=u.device)
            kept = torch.sigmoid(-parameters.bootstrap_dropout_logits).unsqueeze(-1)
            draws = (estimate.unsqueeze(-1) + scale.unsqueeze(-1) * noise).clamp(min=0.0)
            return draws * torch.bernoulli(kept.expand(event))

    @lazy_property
    def mean(self) -> Tensor:
        """Mean of each bootstrap (reads), shape batch_shape + (B,)."""
        return self._moments[0].unsqueeze(-1).expand(self.batch_shape + self.event_shape)

    @lazy_property
    def variance(self) -> Tensor:
        """Variance of each bootstrap (reads squared), shape batch_shape + (B,)."""
        return self._moments[1].unsqueeze(-1).expand(self.batch_shape + self.event_shape)

    @lazy_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        return moments(self.parameters, self.setting)

    def _summary(self, value: Tensor | BootstrapSummary) -> BootstrapSummary:
        if isinstance(value, BootstrapSummary):
            return value
        if self._validate_args:
            self._validate_sample(value)
        return BootstrapSummary.of(value)

    def _broadcast(self, summary: BootstrapSummary) -> tuple[BootstrapParameters, BootstrapSummary]:
        dtype = self.parameters.mean.dtype
        parts = torch.broadcast_tensors(
            *self.parameters, *(statistic.to(dtype) for statistic in summary)
        )
        return BootstrapParameters(*parts[:6]), BootstrapSummary(*parts[6:])
