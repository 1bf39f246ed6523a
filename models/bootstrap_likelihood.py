"""Probability of a count u and of all bootstraps of it, the summand of the likelihood.

Given the true count u of one isoform in one cell, its B bootstraps are (Chan, Spence & Song,
section 4, and what goes beyond it)

    x_b = u + delta + epsilon_b     delta = 0 where the error is independent, as in the paper
    delta, epsilon_b ~ Normal(0, sigma)
    x_b = 0 with probability pi, and, where zeros are rectified, where it would be negative

with a noise scale sigma that is f (absolute, as in the paper), f sqrt(1 + u) (relative), or has an
inverse gamma prior around that (adaptive), integrated out. Of the bootstraps only their number of
zeros m0, their number m of others and the mean and sum of squares of those matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..data.bootstraps import BootstrapSummary
from .distributions.negative_binomial import (
    Split,
    log_gamma,
    log_negative_binomial,
    split_negative_binomial,
)
from .zero_factor import (
    NormalRatio,
    ScaleMixtureRatio,
    Zeros,
    log_bump_independent,
    log_bump_shared,
    log_zero_factor,
)

ERRORS = ("shared", "independent")
ZEROS = ("rectified", "atom")
NOISES = ("adaptive", "relative", "absolute")


@dataclass(frozen=True)
class BootstrapSetting:
    """Which of the likelihoods: error model, reading of zero, noise scale."""

    error: str = "shared"
    zeros: str = "rectified"
    noise: str = "adaptive"

    def __post_init__(self) -> None:
        """Check the names."""
        for field, choices in (("error", ERRORS), ("zeros", ZEROS), ("noise", NOISES)):
            value = getattr(self, field)
            if value not in choices:
                raise ValueError(f"{field} is {value!r}; choose one of {', '.join(choices)}")


class BootstrapParameters(NamedTuple):
    """Parameters of every entry, of one shape; see :class:`~.distributions.BootstrapZINB`."""

    mean: Tensor
    inverse_dispersion: Tensor
    dropout_logits: Tensor
    noise_scale: Tensor
    bootstrap_dropout_logits: Tensor
    noise_concentration: Tensor


def squared_noise(u: Tensor, noise_scale: Tensor, noise: str) -> Tensor:
    """Noise variance of one bootstrap given u; for adaptive noise its prior scale tau^2."""
    square = noise_scale.square()
    return square if noise == "absolute" else square * (1 + u)


def log_prior(u: Tensor, parameters: BootstrapParameters) -> Tensor:
    """Log probability of counts u in nats, zero-inflated negative binomial."""
    kept = functional.logsigmoid(-parameters.dropout_logits)
    kept = kept + log_negative_binomial(u, parameters.mean, parameters.inverse_dispersion)
    dropped = functional.logsigmoid(parameters.dropout_logits)
    return torch.where(u > 0, kept, torch.logaddexp(kept, dropped))


def split_prior(u: Tensor, parameters: BootstrapParameters) -> Split:
    """Log probability of counts u > 0 in nats."""
    own = split_negative_binomial(u, parameters.mean, parameters.inverse_dispersion)
    kept = functional.logsigmoid(-parameters.dropout_logits)
    return Split(own.varying, own.constant + kept)


def log_density_of_positives(
    u: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> Tensor:
    """Log density given u of the bootstraps that are not zero, in nats; see the likelihood."""
    parts = split_density_of_positives(u, parameters, summary, setting)
    return parts.varying + parts.constant


def split_density_of_positives(
    u: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> Split:
    """As :func:`log_density_of_positives`."""
    m = summary.positives
    squares = _squares(u, summary, setting)
    variance = squared_noise(u, parameters.noise_scale, setting.noise)
    constant = m * functional.logsigmoid(-parameters.bootstrap_dropout_logits)
    constant = constant + 0.5 * (_precision(m, setting).log() - m * math.log(2 * math.pi))
    if setting.noise != "adaptive":
        return Split(-0.5 * (m * variance.log() + squares / variance), constant)
    shape = 0.5 * parameters.noise_concentration
    rate = shape * variance
    varying = -0.5 * m * rate.log() - (shape + 0.5 * m) * (0.5 * squares / rate).log1p()
    return Split(varying, constant + log_gamma(shape + 0.5 * m) - log_gamma(shape))


def slope_of_positives(
    u: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> tuple[Tensor, Tensor]:
    """First and second derivative of :func:`log_density_of_positives` in u."""
    m = summary.positives
    weight = _precision(m, setting) * m
    pull = weight * (u - summary.mean)
    square = parameters.noise_scale.square()
    if setting.noise == "absolute":
        return -pull / square, -weight / square
    half_squares = 0.5 * _squares(u, summary, setting)
    v = 1 + u
    if setting.noise == "relative":
        variance = square * v
        slope = -0.5 * m / v - (pull - half_squares / v) / variance
        curvature = 0.5 * m / v.square() - weight / variance
        return slope, curvature + 2 * (pull - half_squares / v) / (variance * v)
    shape = 0.5 * parameters.noise_concentration
    total = shape * square * v + half_squares
    score = (shape * square + pull) / total
    slope = shape / v - (shape + 0.5 * m) * score
    return slope, -shape / v.square() - (shape + 0.5 * m) * (weight / total - score.square())


def zero_ratio(
    u: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> NormalRatio | ScaleMixtureRatio:
    """Distribution of r = e / sigma given u and the bootstraps that are not zero.

    With an independent error e is u, and the variance is zero.
    """
    m = summary.positives
    shared = setting.error == "shared"
    expectation = (u + m * summary.mean) / (1 + m) if shared else u
    remaining = 1 / (1 + m) if shared else torch.zeros_like(m)
    variance = squared_noise(u, parameters.noise_scale, setting.noise)
    if setting.noise != "adaptive":
        return NormalRatio(expectation * variance.rsqrt(), remaining)
    shape = 0.5 * parameters.noise_concentration
    rate = shape * variance + 0.5 * _squares(u, summary, setting)
    return ScaleMixtureRatio(expectation * rate.rsqrt(), remaining, shape + 0.5 * m)


def largest_scale(
    parameters: BootstrapParameters, summary: BootstrapSummary, setting: BootstrapSetting
) -> Tensor:
    """Count u where the scale of :func:`zero_ratio` turns, adaptive noise; not always positive.

    There its square, a square of u over a quadratic function of it, is largest or smallest.
    """
    m = summary.positives
    shared = setting.error == "shared"
    zero = torch.zeros_like(m)
    offset = m * summary.mean if shared else zero
    # The denominator's coefficients of u^2, u and 1.
    quadratic = 0.5 * _precision(m, setting) * m
    prior = 0.5 * parameters.noise_concentration * parameters.noise_scale.square()
    linear = prior - 2 * quadratic * summary.mean
    constant = prior + 0.5 * _squares(zero, summary, setting)
    return (offset * linear - 2 * constant) / (linear - 2 * quadratic * offset)


def log_likelihood(
    u: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> Tensor:
    """Log density of all bootstraps of an entry given its count u, in nats.

    Parameters
    ----------
    u
        Counts, real ones too; broadcasts with the others.
    parameters, summary
        Of the entries.
    setting
        Which likelihood.
    """
    density = log_density_of_positives(u, parameters, summary, setting)
    zeros = Zeros(summary.zeros, parameters.bootstrap_dropout_logits)
    if setting.zeros == "atom" or not bool((summary.zeros > 0).any()):
        return density + zeros.log_dropped()
    ratio = zero_ratio(u, parameters, summary, setting)
    # Without a zero the factor is one; its bump must be finite all the same.
    some = Zeros(zeros.count.clamp(min=1), zeros.logits)
    if setting.error == "shared":
        bump = log_bump_shared(some, ratio)
    elif setting.noise == "adaptive":
        bump = log_bump_independent(some, ratio.scale, ratio.concentration)
    else:
        bump = some.log_excess(ratio.location)
    return density + log_zero_factor(zeros, bump)


def _precision(positives: Tensor, setting: BootstrapSetting) -> Tensor:
    """kappa, how much of the precision of the mean the estimate's own error leaves."""
    return 1 / (1 + positives) if setting.error == "shared" else torch.ones_like(positives)


def _squares(u: Tensor, summary: BootstrapSummary, setting: BootstrapSetting) -> Tensor:
    """Q(u), squared deviations of the bootstraps that are not zero from u."""
    weight = _precision(summary.positives, setting) * summary.positives
    return summary.sum_of_squares + weight * (summary.mean - u).square()


def log_joint(
    u: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> Tensor:
    """Log of P(u) p(bootstraps | u) in nats, the logarithm of the summand."""
    return log_prior(u, parameters) + log_likelihood(u, parameters, summary, setting)


def data_peak(
    parameters: BootstrapParameters, summary: BootstrapSummary, setting: BootstrapSetting
) -> tuple[Tensor, Tensor]:
    """Where the density of the positive bootstraps is largest in u, and how wide it is there.

    Returns
    -------
    tuple of Tensor
        Position and width (reads); without positive bootstraps 0 and 1.
    """
    m = summary.positives.clamp(min=1)
    weight = m / (1 + m) if setting.error == "shared" else m
    square = parameters.noise_scale.square()
    if setting.noise == "absolute":
        position, width = summary.mean, (square / weight).sqrt()
    else:
        # In v = 1 + u the log density is that of a generalised inverse Gaussian (relative), or
        # its integral over the noise scale (adaptive); the mode solves a quadratic equation.
        centre = 1 + summary.mean
        spread = summary.sum_of_squares + weight * centre.square()
        if setting.noise == "relative":
            linear = m * square
            v = 2 * spread / (linear + (linear.square() + 4 * spread * weight).sqrt())
            curvature = (spread / (square * v) - 0.5 * m) / v.square()
        else:
            concentration = parameters.noise_concentration
            slope = concentration * square - 2 * weight * centre
            quadratic = weight * (concentration + 2 * m)
            linear = m * slope
            root = (linear.square() + 4 * quadratic * concentration * spread).sqrt()
            v = 0.5 * (root - linear) / quadratic
            total = concentration * square * v + summary.sum_of_squares
            total = total + weight * (v - centre).square()
            score = (concentration * square + 2 * weight * (v - centre)) / total
            curvature = 0.5 * (concentration + m) * (2 * weight / total - score.square())
            curvature = curvature + 0.5 * concentration / v.square()
        position = v - 1
        width = curvature.clamp(min=1e-12).rsqrt()
    some = summary.positives > 0
    return torch.where(some, position, 0.0), torch.where(some, width, 1.0)


def breakpoints(
    parameters: BootstrapParameters, summary: BootstrapSummary, setting: BootstrapSetting
) -> Tensor:
    """First panels of :func:`~.quadrature.adaptive_nodes`, shape (entries, panels + 1)."""
    mean, dispersion = parameters.mean, 1 / parameters.inverse_dispersion
    deviation = (mean * (1 + mean * dispersion)).sqrt()
    position, width = data_peak(parameters, summary, setting)
    # Narrower than the counts themselves a peak could hide at the edge of a panel.
    width = width.clamp(min=0.75)
    # The negative binomial's tail falls by a factor e every 1 + mu / theta counts.
    prior_end = mean + 8 * deviation + 20 * (1 + mean * dispersion)
    end = torch.maximum(prior_end, position + 10 * width).ceil()
    # Zeros beside other bootstraps may draw the count further, for noise grows with it.
    mixed = (summary.zeros > 0) & (summary.positives > 0)
    drawn = mixed & (setting.zeros == "rectified") & (setting.noise != "absolute")
    furthest = torch.where(drawn, 12 * end, end)
    points = [position + step * width for step in (-6, -2, 2, 6)]
    points += [mean - deviation, mean + deviation, mean + 4 * deviation]
    points += [torch.full_like(mean, float(point)) for point in (1, 2, 5, 14, 40)]
    points += [end, 2 * end, 5 * end]
    inner = torch.stack(points, -1).round().clamp(min=1)
    ordered = torch.minimum(inner, furthest.unsqueeze(-1)).sort(-1).values
    return torch.cat([ordered, 1 + furthest.unsqueeze(-1)], -1)
