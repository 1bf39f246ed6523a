"""Bootstraps of a rate: a gamma prior, and estimates that scatter as counts of effective reads do.

An estimate whose variance is phi times its mean knows as much as a count phi times smaller would:
its effective reads. With a gamma prior of the rate everything is in closed form.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from pyro.distributions import constraints
from torch import Tensor
from torch.distributions.utils import broadcast_all, lazy_property
from torch.nn import functional

from ...data.bootstraps import BootstrapMean
from ...data.compiled_loops import suits_loops
from ...data.random_draws import poisson, standard_gamma
from ...data.special_functions import stirling_remainder_of_small
from .negative_binomial import (
    OfEntries,
    check_positive,
    log_negative_binomial,
    zero_inflated,
)

# Least reads whose error is independent that one effective read can stand for: two steps of the
# scale on which estimates are spread over whole counts.
LEAST_DISPERSION = 0.5
# Steps of that scale, those of LEAST_DISPERSION, that a whole count can meet.
_STEPS = 4


class EffectiveReads(NamedTuple):
    """What bootstraps tell of a rate: as much as this count of a Poisson of exposure times rate.

    Attributes
    ----------
    count
        Effective reads, real numbers, shape (...).
    exposure
        Effective reads expected for each read of the rate, shape (...).
    """

    count: Tensor
    exposure: Tensor


class BootstrapGammaPoisson(OfEntries):
    r"""B bootstraps of an estimate of a rate, which share the estimate's error.

    .. math::
        r \sim Gamma(mean \mu, shape \theta), \quad
        e \mid r \sim \phi' Poisson(r / \phi'), \quad
        x_b \mid e \sim \phi Poisson(e / \phi)

    The drawing of reads is part of both errors, so that r is a rate and no count; with
    phi = phi' = 1 the estimates are counts of reads and the bootstraps draw them anew. Given r the
    mean of the bootstraps has mean r and variance r (phi' + phi / B), as phi'' = phi' + phi / B
    times a Poisson has.

    ``log_prob`` is the quasi-likelihood of that mean (Wedderburn, 1974): the Poisson's probability
    continued to real counts of effective reads, so that the marginal is the negative binomial, so
    continued. Its total mass is 1.00 at a mean of 100 reads, but up to 1.28 below one read, and
    rises without bound in phi: compare losses only between fits of this model, and measure the
    overdispersions, as they cannot be learned. That all bootstraps are zero has its exact
    probability. How the bootstraps scatter around their mean adds nothing, phi being given.

    Parameters
    ----------
    mean
        mu > 0 (reads). All parameters broadcast to the batch shape.
    inverse_dispersion
        theta > 0; the rate's variance is mu^2 / theta.
    dropout_logits
        Logit of P(h = 1), the probability that the rate behind the estimate is 0.
    error_dispersion
        phi' > 0, variance over mean of an estimate (reads).
    bootstrap_dispersion
        phi > 0, variance over mean of a bootstrap around the estimate (reads).
    num_bootstraps
        B, the event's size.

    Raises
    ------
    ValueError
        If an overdispersion requires a gradient, or validation is on and a parameter is out of
        range.
    """

    arg_constraints = {
        "inverse_dispersion": constraints.positive,
        "dropout_logits": constraints.real,
        "error_dispersion": constraints.positive,
        "bootstrap_dispersion": constraints.positive,
    }
    support = constraints.independent(constraints.nonnegative, 1)
    statistics = BootstrapMean

    def __init__(
        self,
        mean: Tensor,
        inverse_dispersion: Tensor,
        dropout_logits: Tensor,
        error_dispersion: Tensor,
        bootstrap_dispersion: Tensor,
        *,
        num_bootstraps: int,
        validate_args: bool | None = None,
    ) -> None:
        refuse_learning(error_dispersion, bootstrap_dispersion)
        self.parameters = broadcast_all(
            mean, inverse_dispersion, dropout_logits, error_dispersion, bootstrap_dispersion
        )
        self.rate_mean, self.inverse_dispersion, self.dropout_logits = self.parameters[:3]
        self.error_dispersion, self.bootstrap_dispersion = self.parameters[3:]
        self.num_bootstraps = num_bootstraps
        self.options = {"num_bootstraps": num_bootstraps}
        super().__init__(
            self.rate_mean.shape, torch.Size([num_bootstraps]), validate_args=validate_args
        )
        if self._validate_args:
            check_positive("mean", self.rate_mean)

    def effective_reads(self, value: Tensor | BootstrapMean) -> EffectiveReads:
        """Turn bootstraps into counts of effective reads.

        Parameters
        ----------
        value
            Bootstraps (reads), shape (..., B), or their statistics, each of shape (...), whose
            numbers of bootstraps may differ between entries.
        """
        if not isinstance(value, BootstrapMean):
            if self._validate_args:
                self._validate_sample(value)
            value = BootstrapMean.of(value)
        number = value.number
        error, bootstrap = self.error_dispersion, self.bootstrap_dispersion
        # All bootstraps are zero with the probability that a Poisson of this exposure is.
        of_zero = -torch.expm1(-number * error / bootstrap) / error
        of_positive = 1 / (error + bootstrap / number)
        exposure = torch.where(value.mean > 0, of_positive, of_zero)
        return EffectiveReads(exposure * value.mean, exposure)

    def log_prob(self, value: Tensor | BootstrapMean) -> Tensor:
        """Log quasi-likelihood in nats of the mean of bootstraps, shape batch_shape.

        A density where the mean is positive, a probability where it is zero; ``value`` as for
        :meth:`effective_reads`.
        """
        count, exposure = self.effective_reads(value)
        kept = log_gamma_poisson(count, self.rate_mean * exposure, self.inverse_dispersion)
        kept = kept + torch.where(count > 0, exposure.log(), 0.0)
        return zero_inflated(kept, count, self.dropout_logits)

    def draw_rates(self, value: Tensor | BootstrapMean, number: int) -> Tensor:
        """Draw rates (reads) given bootstraps, zero where dropped, shape (number, ...).

        ``value`` as for :meth:`effective_reads`.
        """
        reads = self.effective_reads(value)
        rates, dropped = draw_rates(
            self.rate_mean, self.inverse_dispersion, self.dropout_logits, reads, number
        )
        return rates * (1 - dropped)

    def rate_posterior(self, value: Tensor | BootstrapMean) -> tuple[Tensor, Tensor, Tensor]:
        """Shape and scale (reads) of the rate's gamma posterior, and the probability of no dropout.

        Each of shape batch_shape; ``value`` as for :meth:`effective_reads`.
        """
        reads = self.effective_reads(value)
        dropped = dropped_probability(*self.parameters[:3], reads)
        scale = 1 / (self.inverse_dispersion / self.rate_mean + reads.exposure)
        return self.inverse_dispersion + reads.count, scale, 1 - dropped

    def log_prob_of_bin(self, k: Tensor) -> Tensor:
        """Log probability in nats that the estimate, rounded, is k.

        The mass of k - 1/2 to k + 1/2; k = 0 takes everything below 1/2. A positive multiple of
        phi' is spread evenly from halfway to the one before to halfway to the next, and the first
        from half a read on, so that there are no gaps and the masses sum to one.

        Parameters
        ----------
        k
            Counts (reads), broadcasting with the batch shape.
        """
        k, mean, theta, logits, step, _ = torch.broadcast_tensors(k, *self.parameters)
        step = step.clamp(min=LEAST_DISPERSION)
        low = torch.where(k > 0, k - 0.5, -torch.inf)
        kept = functional.logsigmoid(-logits)
        at_zero = torch.logaddexp(
            kept + log_negative_binomial(torch.zeros_like(k), mean / step, theta),
            functional.logsigmoid(logits),
        )
        terms = [torch.where(k > 0, -torch.inf, at_zero)]
        first = ((k - 0.5) / step + 0.5).floor().clamp(min=1.0)
        for index in range(_STEPS):
            multiple = first + index
            start, end = (multiple - 0.5) * step, (multiple + 0.5) * step
            start = torch.where(multiple > 1, start, start.clamp(max=0.5))
            overlap = torch.minimum(k + 0.5, end) - torch.maximum(low, start)
            mass = kept + log_negative_binomial(multiple, mean / step, theta)
            terms.append(mass + (overlap.clamp(min=0.0) / (end - start)).log())
        return torch.stack(terms).logsumexp(0)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw bootstraps (reads), shape sample_shape + batch_shape + (B,)."""
        estimates = self.sample_estimates(sample_shape)
        return draw_around(estimates, self.bootstrap_dispersion, self.num_bootstraps)

    @torch.no_grad()
    def sample_estimates(self, sample_shape: torch.Size) -> Tensor:
        """Draw the quantifier's estimates (reads), shape sample_shape + batch_shape."""
        shape = torch.Size(sample_shape) + self.batch_shape
        mean, theta, logits, error, _ = (part.expand(shape) for part in self.parameters)
        rate = standard_gamma(theta) * (mean / theta)
        rate = rate * torch.bernoulli(torch.sigmoid(-logits))
        return error * poisson(rate / error)

    @lazy_property
    def mean(self) -> Tensor:
        """Mean of each bootstrap (reads), shape batch_shape + (B,)."""
        mean = torch.sigmoid(-self.dropout_logits) * self.rate_mean
        return mean.unsqueeze(-1).expand(self.batch_shape + self.event_shape)

    @property
    def variance(self) -> Tensor:
        """Variance of each bootstrap (reads squared), shape batch_shape + (B,)."""
        kept, dropped = torch.sigmoid(-self.dropout_logits), torch.sigmoid(self.dropout_logits)
        of_rate = self.rate_mean * (1 / self.inverse_dispersion + dropped)
        scatter = of_rate + self.error_dispersion + self.bootstrap_dispersion
        variance = kept * self.rate_mean * scatter
        return variance.unsqueeze(-1).expand(self.batch_shape + self.event_shape)


@torch.no_grad()
def draw_around(estimates: Tensor, dispersion: Tensor, number: int) -> Tensor:
    """Draw bootstraps of estimates (reads), given their overdispersion.

    Estimates of shape (...), with which the overdispersion broadcasts, have draws of shape
    (..., number).
    """
    effective = (estimates / dispersion).unsqueeze(-1).expand(*estimates.shape, number)
    return dispersion.unsqueeze(-1) * poisson(effective)


def refuse_learning(*dispersions: Tensor) -> None:
    """Raise ValueError if an overdispersion requires a gradient."""
    if torch.is_grad_enabled() and any(part.requires_grad for part in dispersions):
        raise ValueError(
            "an overdispersion requires a gradient, but the quasi-likelihood rises without bound "
            "in it; measure it from the bootstraps"
        )


def log_gamma_poisson(count: Tensor, mean: Tensor, inverse_dispersion: Tensor) -> Tensor:
    """Log probability in nats of a negative binomial's counts, continued to all real ones >= 0.

    Parameters
    ----------
    count
        Broadcasts with the others.
    mean
        mu > 0.
    inverse_dispersion
        theta > 0; the variance is mu + mu^2 / theta.
    """
    if mean.dtype == torch.float32 and suits_loops(mean):
        from .compiled_gamma_poisson import LogGammaPoisson  # loads numba

        return LogGammaPoisson.apply(*broadcast_all(count, mean, inverse_dispersion))
    return log_negative_binomial(count, mean, inverse_dispersion, stirling_remainder_of_small)


def draw_rates(
    mean: Tensor,
    inverse_dispersion: Tensor,
    dropout_logits: Tensor,
    reads: EffectiveReads,
    number: int,
) -> tuple[Tensor, Tensor]:
    """Draw rates before dropout (reads) from their posterior, and whether they were dropped.

    Parameters
    ----------
    mean, inverse_dispersion
        Of the prior, mu and theta.
    dropout_logits
        Logit of the probability that the count says nothing of the rate, but is zero.
    reads
        Counts and exposures, shape (...).

    Returns
    -------
    tuple of Tensor
        Rates, and 1 where dropped and 0 elsewhere, each of shape (number, ...).
    """
    shape = torch.broadcast_shapes(mean.shape, reads.count.shape)
    dropped = dropped_probability(mean, inverse_dispersion, dropout_logits, reads)
    dropped = torch.bernoulli(dropped.expand(number, *shape))
    concentration = (inverse_dispersion + reads.count).expand(number, *shape)
    gamma = standard_gamma(concentration)
    return gamma / (inverse_dispersion / mean + (1 - dropped) * reads.exposure), dropped


def dropped_probability(
    mean: Tensor, inverse_dispersion: Tensor, dropout_logits: Tensor, reads: EffectiveReads
) -> Tensor:
    """Probability that a rate was dropped, given counts; arguments as for :func:`draw_rates`."""
    kept = -inverse_dispersion * (mean * reads.exposure / inverse_dispersion).log1p()
    return torch.sigmoid(dropout_logits - kept) * (reads.count == 0)
