"""Negative binomial by mean and inverse dispersion, and zero-inflated negative binomial.

A gamma mixture of Poissons (Chan, Spence & Song, appendix B): mean mu, variance
mu + mu^2 / theta. Differences of ``lgamma`` lose digits in float32 where theta or the counts are
large; these formulas keep them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor
from torch.distributions.utils import broadcast_all, lazy_property
from torch.nn import functional

# Coefficients of Stieltjes' continued fraction for the remainder of Stirling's formula.
_STIELTJES = (1 / 12, 1 / 30, 53 / 210, 195 / 371, 22999 / 22737)


def stirling_remainder(x: Tensor) -> Tensor:
    """Remainder log Gamma(x) - [(x - 1/2) log x - x + log(2 pi) / 2], within 2e-5 nats for x >= 1.

    Stieltjes' continued fraction; within 1e-7 from x = 2 on.
    """
    remainder = torch.zeros_like(x)
    for coefficient in reversed(_STIELTJES):
        remainder = coefficient / (x + remainder)
    return remainder


def stirling_remainder_of_small(x: Tensor) -> Tensor:
    """Extend :func:`stirling_remainder` to any x > 0, within 1e-8; elementwise, any shape.

    Uses the recurrence of Gamma.
    """
    shifted = (
        (x + 0.5) * (1 / x).log1p()
        + (x + 1.5) * (1 / (x + 1)).log1p()
        + (x + 2.5) * (1 / (x + 2)).log1p()
    )
    return stirling_remainder(x + 3) + shifted - 3


def log_gamma(x: Tensor) -> Tensor:
    """Log Gamma(x) for x > 0, within 1e-7 nats; unlike ``lgamma`` compilers can vectorise it."""
    remainder = stirling_remainder_of_small(x)
    return (x - 0.5) * x.log() - x + 0.5 * math.log(2 * math.pi) + remainder


def digamma(x: Tensor) -> Tensor:
    """Slope of log Gamma at x > 0, within 1e-7; elementwise, any shape."""
    far = x + 4
    square = 1 / far.square()
    series = square * (1 / 12 - square * (1 / 120 - square / 252))
    shifted = 1 / x + 1 / (x + 1) + 1 / (x + 2) + 1 / (x + 3)
    return far.log() - 0.5 / far - series - shifted


def log_ratio(ratio: Tensor, difference: Tensor) -> Tensor:
    """Logarithm of a ratio, exact to rounding even near one; elementwise, any shape.

    ``difference`` is ratio - 1, computed from unrounded terms.
    """
    # The rounding error of the ratio matters only near one.
    lost = difference - (ratio - 1)
    return ratio.log() + torch.where((ratio - 1).abs() < 0.5, lost / ratio, 0.0)


def log_negative_binomial(u: Tensor, mean: Tensor, inverse_dispersion: Tensor) -> Tensor:
    """Log probability (nats) of counts u >= 0, continued smoothly to real u >= 1.

    Parameters
    ----------
    u
        Counts (reads); all arguments broadcast to the shape of the result.
    mean
        mu > 0 (reads).
    inverse_dispersion
        theta > 0; the variance is mu + mu^2 / theta.
    """
    at_zero = -inverse_dispersion * (mean / inverse_dispersion).log1p()
    # At zero the formula for positive counts is undefined, but its gradient must be finite.
    positive = torch.where(u > 0, u, 1.0)
    parts = split_negative_binomial(positive, mean, inverse_dispersion)
    return torch.where(u > 0, parts.varying + parts.constant, at_zero)


class Split(NamedTuple):
    """A function of the count as a sum of two parts, each broadcasting with the count.

    The constant part does not depend on the count and is worth computing once.
    """

    varying: Tensor
    constant: Tensor


def split_negative_binomial(
    u: Tensor,
    mean: Tensor,
    inverse_dispersion: Tensor,
    remainder: Callable[[Tensor], Tensor] = stirling_remainder,
) -> Split:
    """Log probability (nats) of counts u > 0; arguments as for :func:`log_negative_binomial`.

    ``remainder`` computes Stirling's remainder of u + theta; give
    :func:`stirling_remainder_of_small` if u may be below one.
    """
    excess = u - mean
    successes, total = u + inverse_dispersion, mean + inverse_dispersion
    gamma_ratio = log_ratio(successes / total, excess / total)
    step = log_ratio(
        (successes / total) * (mean / (u + 1)),
        -(inverse_dispersion * (excess + 1) + mean) / (total * (u + 1)),
    )
    varying = (
        (u + 0.5) * step
        + (inverse_dispersion - 1) * gamma_ratio
        + remainder(successes)
        - stirling_remainder(u + 1)
    )
    constant = (
        -stirling_remainder_of_small(inverse_dispersion)
        - 0.5 * (total / inverse_dispersion).log()
        - 0.5 * mean.log()
        + (1 - 0.5 * math.log(2 * math.pi))
    )
    return Split(varying, constant)


def slope_of_negative_binomial(
    u: Tensor, mean: Tensor, inverse_dispersion: Tensor
) -> tuple[Tensor, Tensor]:
    """First and second derivative of the log probability in u >= 1, within a few percent.

    Arguments as for :func:`log_negative_binomial`; each result has their broadcast shape.
    """
    above, below = u + (inverse_dispersion - 0.5), u + 0.5
    slope = (above / below).log() - (inverse_dispersion / mean).log1p()
    return slope, 1 / above - 1 / below


class ZINB(TorchDistribution):
    r"""Zero-inflated negative binomial: counts that are set to zero with some probability.

    .. math:: P(u) = P(h) [u = 0] + (1 - P(h)) NB(u; \mu, \theta), Var[NB] = \mu + \mu^2 / \theta

    Parameters
    ----------
    mean
        mu (reads); all parameters broadcast to the batch shape.
    inverse_dispersion
        theta.
    dropout_logits
        log P(h = 1) / P(h = 0), the probability that the count is set to zero.
    """

    arg_constraints = {
        "mean": constraints.positive,
        "inverse_dispersion": constraints.positive,
        "dropout_logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        mean: Tensor,
        inverse_dispersion: Tensor,
        dropout_logits: Tensor,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.count_mean, self.inverse_dispersion, self.dropout_logits = broadcast_all(
            mean, inverse_dispersion, dropout_logits
        )
        super().__init__(self.count_mean.shape, validate_args=validate_args)
        if self._validate_args:
            check_positive("mean", self.count_mean)

    def expand(self, batch_shape: torch.Size, _instance: ZINB | None = None) -> ZINB:
        """Repeat the distribution over a larger batch."""
        new = self._get_checked_instance(ZINB, _instance)
        ZINB.__init__(
            new,
            self.count_mean.expand(batch_shape),
            self.inverse_dispersion.expand(batch_shape),
            self.dropout_logits.expand(batch_shape),
            validate_args=False,
        )
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability (nats) of counts (reads), both broadcasting with batch_shape."""
        if self._validate_args:
            self._validate_sample(value)
        kept = functional.logsigmoid(-self.dropout_logits)
        kept = kept + log_negative_binomial(value, self.count_mean, self.inverse_dispersion)
        dropped = functional.logsigmoid(self.dropout_logits)
        return torch.where(value > 0, kept, torch.logaddexp(kept, dropped))

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw counts (reads), shape sample_shape + batch_shape."""
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            counts = sample_negative_binomial(
                self.count_mean.expand(shape), self.inverse_dispersion.expand(shape)
            )
            return counts * torch.bernoulli(torch.sigmoid(-self.dropout_logits).expand(shape))

    @lazy_property
    def mean(self) -> Tensor:
        """Mean count (1 - P(h)) mu (reads), shape batch_shape."""
        return torch.sigmoid(-self.dropout_logits) * self.count_mean

    @property
    def variance(self) -> Tensor:
        """Variance of a count (reads squared), shape batch_shape."""
        kept = torch.sigmoid(-self.dropout_logits)
        dropped = torch.sigmoid(self.dropout_logits)
        extra = 1 / self.inverse_dispersion + dropped
        return kept * self.count_mean * (1 + self.count_mean * extra)


def sample_negative_binomial(mean: Tensor, inverse_dispersion: Tensor) -> Tensor:
    """Draw counts (reads) of a negative binomial, of the common shape of the two arguments."""
    # If theta is tiny the rate can be zero; its Poisson draw is then zero, as it should be.
    rate = torch._standard_gamma(inverse_dispersion) * (mean / inverse_dispersion)
    return torch.poisson(rate)


def check_positive(name: str, value: Tensor) -> None:
    """Raise ValueError unless all values of a parameter, of any shape, are positive.

    torch does not check a parameter called ``mean``: it takes the name for the distribution's mean.
    """
    if not (value > 0).all():
        raise ValueError(f"{name} must be positive; least value {float(value.min())}")
