"""The probability that bootstraps are zero where negative ones are set to zero.

Given the estimate's expectation e and its noise sigma, a bootstrap is zero with probability
q(r) = pi + (1 - pi) Phi(-r), r = e / sigma: it was dropped, or its noise took it below zero. What
is needed is the expectation of q(r)^m0 over what is not known of r. Split as

    E[q^m0] = pi^m0 (1 + E[(q / pi)^m0 - 1])

the second part has a single bump in r, so a trapezoidal rule centred on it converges fast, also
where nearly all of it lies in a tail of r's distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .distributions.negative_binomial import stirling_remainder_of_small

# Nodes of the trapezoidal rule over a bump in r, and how many standard deviations it reaches.
_NODES = 21
_REACH = 6.0
# Nodes of that over a bump in log w, in standard deviations.
_SPACING = 0.6
_HALF_COUNT = 14
_NEWTON_STEPS = 16
# Beyond this the normal tail holds nothing.
_LARGEST_RATIO = 38.0
# Below this (q / pi)^m0 - 1 is m0 times the odds, to rounding.
_SMALLEST_LOG_ODDS = -30.0


class Zeros(NamedTuple):
    """The zeros of one entry: their number m0 and the logit of pi; both broadcast."""

    count: Tensor
    logits: Tensor

    def log_dropped(self) -> Tensor:
        """Log of pi^m0."""
        return self.count * functional.logsigmoid(self.logits)

    def log_odds(self, ratio: Tensor) -> Tensor:
        """Log of (1 - pi) Phi(-r) / pi."""
        # Further out the normal tail is nothing, and its slope would not be finite.
        return torch.special.log_ndtr(-ratio.clamp(max=_LARGEST_RATIO)) - self.logits

    def log_excess(self, ratio: Tensor) -> Tensor:
        """Log of (q(r) / pi)^m0 - 1."""
        log_odds = self.log_odds(ratio)
        exponent = self.count * functional.softplus(log_odds.clamp(min=_SMALLEST_LOG_ODDS))
        large = exponent + (-torch.expm1(-exponent)).log()
        return torch.where(log_odds < _SMALLEST_LOG_ODDS, self.count.log() + log_odds, large)

    def divide(self) -> Tensor:
        """Where r divides bumps: where the slope of many zeros changes fastest, about."""
        return -torch.special.ndtri(0.2 * (self.logits + 1.6).sigmoid())

    def slope_and_curvature(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """First and second derivative of :meth:`log_excess`."""
        ratio = ratio.clamp(max=_LARGEST_RATIO)
        log_tail = torch.special.log_ndtr(-ratio)
        hazard = (-0.5 * ratio.square() - 0.5 * math.log(2 * math.pi) - log_tail).exp()
        weight, share, exponent = self._weight(log_tail - self.logits)
        slope = -weight * hazard
        curvature = hazard.square() * (weight * (1 - share) - weight.square() * (-exponent).exp())
        return slope, curvature - weight * hazard * (hazard - ratio)

    def slope_in_logits(self, ratio: Tensor) -> Tensor:
        """Differentiate :meth:`log_excess` in the logits."""
        return -self._weight(self.log_odds(ratio))[0]

    def _weight(self, log_odds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Differentiate the log excess in the log odds; with it their share and the exponent."""
        possible = log_odds.clamp(min=_SMALLEST_LOG_ODDS)
        share = possible.sigmoid()
        exponent = self.count * functional.softplus(possible)
        return self.count * share / -torch.expm1(-exponent), share, exponent


class NormalRatio(NamedTuple):
    """r ~ Normal(location, variance): the error is shared and the noise scale known."""

    location: Tensor
    variance: Tensor

    def mode(self) -> Tensor:
        """Where the density is largest."""
        return self.location

    def spread(self) -> Tensor:
        """Variance of r."""
        return self.variance

    def log_density(self, ratio: Tensor) -> Tensor:
        """Log density in nats."""
        squared = (ratio - self.location).square() / self.variance
        return -0.5 * (squared + (2 * math.pi * self.variance).log())

    def slope_and_curvature(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """First and second derivative of the log density."""
        return (self.location - ratio) / self.variance, -1 / self.variance


class ScaleMixtureRatio(NamedTuple):
    """r = scale w + sqrt(variance) n: the error is shared and the noise scale integrated out.

    w^2 ~ Gamma(concentration, 1) comes from sigma^-2, n ~ Normal(0, 1). The integral over w is
    Laplace's with its first correction, in log w; with
    what that lacks at beta = 0 taken off.
    """

    scale: Tensor
    variance: Tensor
    concentration: Tensor

    def mode(self) -> Tensor:
        """Where the density is largest."""
        return self.scale * self.concentration.sqrt()

    def spread(self) -> Tensor:
        """Variance of r, about."""
        return self.variance + 0.25 * self.scale.square()

    def _inner_mode(self, ratio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return c, beta and the mode y of y^(2a) exp(-y^2 + 2 beta y), y = c w."""
        stretch = (1 + self.scale.square() / (2 * self.variance)).sqrt()
        beta = ratio * self.scale / (2 * self.variance * stretch)
        root = (beta.square() + 4 * self.concentration).sqrt()
        # The larger root of y^2 - beta y - a = 0, without cancellation where beta < 0.
        inner = torch.where(
            beta > 0, 0.5 * (beta + root), 2 * self.concentration / (root - beta.clamp(max=0))
        )
        return stretch, beta, inner

    def log_density(self, ratio: Tensor) -> Tensor:
        """Log density in nats."""
        a = self.concentration
        stretch, beta, inner = self._inner_mode(ratio)
        square = inner.square()
        width = square + a
        correction = (
            1
            - (14 * square + 2 * a) / (32 * width.square())
            + 5 * (6 * square + 2 * a).square() / (192 * width**3)
        )
        # log of 2 / Gamma(a), by Stirling's formula
        remainder = stirling_remainder_of_small(a)
        normaliser = math.log(2.0) - (a - 0.5) * a.log() + a - remainder
        # What the correction still lacks is known at beta = 0 and far below; between, interpolated.
        lacking = (1 / (12 * a)).log1p() - remainder
        lacking = lacking * a * (3.75 * square + 0.25 * a) / width.square()
        return (
            normaliser
            - 0.5 * math.log(2 * math.pi)
            - lacking
            - 0.5 * (2 * math.pi * self.variance).log()
            - 0.5 * ratio.square() / self.variance
            + 2 * a * (inner / stretch).log()
            + inner * (2 * beta - inner)
            + 0.5 * (math.pi / width).log()
            + correction.log()
        )

    def slope_and_curvature(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """First and second derivative of the log density, Laplace's correction left out."""
        stretch, beta, inner = self._inner_mode(ratio)
        root = (beta.square() + 4 * self.concentration).sqrt()
        slope = (self.scale * inner / stretch - ratio) / self.variance
        gain = (1 - 1 / stretch.square()) * inner / root
        return slope, (gain - 1) / self.variance


def log_zero_factor(zeros: Zeros, log_bump: Tensor) -> Tensor:
    """Log of E[q(r)^m0] from that of its bump; 0 where there is no zero."""
    log_factor = zeros.log_dropped() + functional.softplus(log_bump)
    return torch.where(zeros.count > 0, log_factor, 0.0)


def log_bump_shared(zeros: Zeros, ratio: NormalRatio | ScaleMixtureRatio) -> Tensor:
    """Log of E[(q(r) / pi)^m0 - 1] over the distribution of r.

    There are at most two bumps: one where nearly all zeros come from noise, one where nearly all
    were dropped. Each has nodes of its own.
    """
    with torch.no_grad():
        high = ratio.mode().clamp(max=_LARGEST_RATIO)
        low = high.clamp(max=0.0) - 6.0

        def slope_and_curvature(position: Tensor) -> tuple[Tensor, Tensor]:
            one, other = ratio.slope_and_curvature(position), zeros.slope_and_curvature(position)
            return one[0] + other[0], one[1] + other[1]

        ends = _halves(low, zeros.divide(), high)
        mode, slope, curvature = find_mode(slope_and_curvature, *ends)
        width = (-curvature).clamp(min=0.5 / ratio.variance).rsqrt()
        height = ratio.log_density(mode) + zeros.log_excess(mode)
        steps = torch.linspace(-_REACH, _REACH, _NODES, dtype=mode.dtype, device=mode.device)
        nodes = mode + width * steps.view(-1, *[1] * mode.dim())
        away = (nodes - mode.flip(0)) / width.flip(0)
        log_weight = (
            _log_share(height, slope * width, steps, away) + (width * (steps[1] - steps[0])).log()
        )
    terms = ratio.log_density(nodes) + zeros.log_excess(nodes) + log_weight
    return terms.logsumexp((0, 1))


def log_bump_independent(zeros: Zeros, scale: Tensor, concentration: Tensor) -> Tensor:
    """Log of E[(q(scale w) / pi)^m0 - 1], w^2 ~ Gamma(concentration, 1).

    There may be two bumps, as in :func:`log_bump_shared`. The rules run in log w, stretched so that
    the slow tail of a small concentration fits.
    """
    a = concentration
    with torch.no_grad():

        def slope_and_curvature(log_w: Tensor) -> tuple[Tensor, Tensor]:
            square = (2 * log_w).exp()
            ratio = (scale * log_w.exp()).clamp(max=_LARGEST_RATIO)
            slope, curvature = zeros.slope_and_curvature(ratio)
            slope, curvature = slope * ratio, curvature * ratio.square() + slope * ratio
            return 2 * a - 2 * square + slope, (curvature - 4 * square).clamp(max=-1e-3)

        # Modes lie where w^2 < a and r^2 < 2 a, as the slope of the zeros in r is at most -r.
        log_scale = scale.clamp(min=1e-30).log()
        largest = 0.5 * a.log()
        high = torch.minimum(largest, largest + 0.5 * math.log(2.0) - log_scale)
        low = torch.minimum(high - 1.0, -log_scale - 4.0)
        ends = _halves(low, zeros.divide().clamp(min=1e-3).log() - log_scale, high)
        centre, slope, curvature = find_mode(slope_and_curvature, *ends)
        width = (-curvature).clamp(min=1e-6).rsqrt()
        stretch = 0.45 / a.sqrt().clamp(min=1.0)
        steps = torch.arange(-_HALF_COUNT, _HALF_COUNT + 1, dtype=centre.dtype, device=a.device)
        position = (_SPACING * steps).view(-1, *[1] * centre.dim())
        log_w = centre + width * (stretch * position).sinh() / stretch
        away = (stretch * (log_w - centre.flip(0)) / width.flip(0)).asinh() / stretch
        height = 2 * a * centre - (2 * centre).exp() + zeros.log_excess(scale * centre.exp())
        log_w = log_w.minimum(largest + 3.5)  # beyond is nothing, and slopes are not finite
        log_slope = (width * (stretch * position).cosh()).log()
        log_weight = (
            _log_share(height, slope * width, _SPACING * steps, away)
            + log_slope
            + math.log(_SPACING)
        )
    log_density = math.log(2.0) + 2 * a * log_w - (2 * log_w).exp() - a.lgamma()
    terms = log_density + zeros.log_excess(scale * log_w.exp()) + log_weight
    return terms.logsumexp((0, 1))


def _halves(low: Tensor, between: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Give the lower and the upper ends of an interval's two parts, each of shape (2, ...)."""
    low, between, high = torch.broadcast_tensors(low, between.clamp(low, high), high)
    return torch.stack([low, between]), torch.stack([between, high])


def _log_share(height: Tensor, slope: Tensor, steps: Tensor, away: Tensor) -> Tensor:
    """Log of the part of the integrand that each of two bumps' own rule sums, at its nodes.

    Both parts are smooth and make the whole; they are in proportion to Gaussians in place of the
    bumps.

    Parameters
    ----------
    height
        Of the bumps, in nats, shape (2, ...).
    slope
        There, in nats a standard deviation: where there is one that is no peak of its own, and
        little is left to its rule.
    steps
        Of the nodes from their own bump in its standard deviations, shape (nodes,).
    away
        From the other bump, in its standard deviations, shape (nodes, 2, ...).
    """
    height = height - 2 * slope.square()
    own = height - 0.5 * steps.square().view(-1, *[1] * height.dim())
    return functional.logsigmoid(own - (height.flip(0) - 0.5 * away.square()))


def find_mode(
    slope_and_curvature: Callable[[Tensor], tuple[Tensor, Tensor]],
    low: Tensor,
    high: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Find where a slope falls through zero between low and high, by Newton's method in a bracket.

    Steps that are no shorter than half of the last one, which may go to and fro, are bisections.

    Returns
    -------
    tuple of Tensor
        The position, which is an end of the bracket where there is none within, and the slope and
        curvature there.
    """
    low, high = torch.broadcast_tensors(low, high)
    position, before = high, high - low
    for _ in range(_NEWTON_STEPS):
        slope, curvature = slope_and_curvature(position)
        low = torch.where(slope > 0, position, low)
        high = torch.where(slope > 0, high, position)
        newton = position - slope / curvature
        inside = (newton >= low) & (newton <= high) & (curvature < 0)
        inside = inside & ((newton - position).abs() <= 0.5 * before)
        moved = torch.where(inside, newton, 0.5 * (low + high))
        position, before = moved, (moved - position).abs()
    return position, *slope_and_curvature(position)
