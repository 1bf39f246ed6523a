"""The negative binomial by mean and inverse dispersion, and with dropout to zero.

A gamma mixture of Poissons (Chan, Spence & Song, appendix B): mean mu, variance
mu + mu^2 / theta. Written so that float32 keeps its digits where theta or the counts are large,
where differences of ``lgamma`` lose them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor
from torch.distributions.utils import broadcast_all, lazy_property
from torch.nn import functional

from ...data.random_draws import sample_negative_binomial
from ...data.special_functions import log_ratio, stirling_remainder, stirling_remainder_of_small


def log_negative_binomial(
    u: Tensor,
    mean: Tensor,
    inverse_dispersion: Tensor,
    remainder: Callable[[Tensor], Tensor] = stirling_remainder,
) -> Tensor:
    """Log probability in nats of counts u >= 0; real ones interpolate smoothly from 1 on.

    Parameters
    ----------
    u
        Counts (reads), broadcasting with the others.
    mean
        mu > 0 (reads).
    inverse_dispersion
        theta > 0; the variance is mu + mu^2 / theta.
    remainder
        Of u + theta; with :func:`stirling_remainder_of_small` real counts may be below one.
    """
    at_zero = -inverse_dispersion * (mean / inverse_dispersion).log1p()
    # Where u is zero the formula of the others is not defined, and its gradient must be finite.
    positive = torch.where(u > 0, u, 1.0)
    excess = positive - mean
    successes, total = positive + inverse_dispersion, mean + inverse_dispersion
    gamma_ratio = log_ratio(successes / total, excess / total)
    step = log_ratio(
        (successes / total) * (mean / (positive + 1)),
        -(inverse_dispersion * (excess + 1) + mean) / (total * (positive + 1)),
    )
    value = (positive + 0.5) * step + (inverse_dispersion - 1) * gamma_ratio
    value = value + remainder(successes) - stirling_remainder(positive + 1)
    value = value - stirling_remainder_of_small(inverse_dispersion)
    value = value - 0.5 * (2 * math.pi * mean * (total / inverse_dispersion)).log() + 1
    return torch.where(u > 0, value, at_zero)


def zero_inflated(log_prob: Tensor, u: Tensor, dropout_logits: Tensor) -> Tensor:
    """Log probability (nats) of counts u that are set to zero with some probability."""
    kept = functional.logsigmoid(-dropout_logits) + log_prob
    at_zero = torch.logaddexp(kept, functional.logsigmoid(dropout_logits))
    return torch.where(u > 0, kept, at_zero)


class OfEntries(TorchDistribution):
    """Distribution of independent entries, each with parameters of its own.

    Attributes
    ----------
    parameters
        Those of the constructor in order, each of shape batch_shape.
    options
        Its other arguments.
    """

    parameters: tuple[Tensor, ...]
    options: dict[str, Any]

    def expand(self, batch_shape: torch.Size, _instance: OfEntries | None = None) -> OfEntries:
        """Repeat the distribution over a larger batch."""
        new = self._get_checked_instance(type(self), _instance)
        parameters = (part.expand(batch_shape) for part in self.parameters)
        type(self).__init__(new, *parameters, **self.options, validate_args=False)
        new._validate_args = self._validate_args
        return new


class ZINB(OfEntries):
    r"""Counts of a negative binomial, set to zero with some probability.

    .. math:: P(u) = P(h) [u = 0] + (1 - P(h)) NB(u; \mu, \theta), Var[NB] = \mu + \mu^2 / \theta

    Parameters
    ----------
    mean
        mu (reads), broadcasting with the others.
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
        self.parameters = broadcast_all(mean, inverse_dispersion, dropout_logits)
        self.count_mean, self.inverse_dispersion, self.dropout_logits = self.parameters
        self.options = {}
        super().__init__(self.count_mean.shape, validate_args=validate_args)
        if self._validate_args:
            check_positive("mean", self.count_mean)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of counts in nats."""
        if self._validate_args:
            self._validate_sample(value)
        kept = log_negative_binomial(value, self.count_mean, self.inverse_dispersion)
        return zero_inflated(kept, value, self.dropout_logits)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw counts, shape sample_shape + batch_shape."""
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            counts = sample_negative_binomial(
                self.count_mean.expand(shape), self.inverse_dispersion.expand(shape)
            )
            return counts * torch.bernoulli(torch.sigmoid(-self.dropout_logits).expand(shape))

    @lazy_property
    def mean(self) -> Tensor:
        """(1 - P(h)) mu, shape batch_shape."""
        return torch.sigmoid(-self.dropout_logits) * self.count_mean

    @property
    def variance(self) -> Tensor:
        """Shape batch_shape."""
        kept = torch.sigmoid(-self.dropout_logits)
        dropped = torch.sigmoid(self.dropout_logits)
        extra = 1 / self.inverse_dispersion + dropped
        return kept * self.count_mean * (1 + self.count_mean * extra)


def check_positive(name: str, value: Tensor) -> None:
    """Raise ValueError unless all of a parameter is positive.

    For a parameter called ``mean``, which torch does not check: it takes the name for the
    distribution's own mean.
    """
    if not (value > 0).all():
        raise ValueError(f"{name} must be positive; least value {value.detach().min():g}")
