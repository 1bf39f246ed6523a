"""Sums over counts on a fixed number of nodes, for entries where few are enough.

The adaptive quadrature of :mod:`exvae.models.quadrature` sums anything, but at a price. Nearly all
entries have one peak, found by Newton's method, and are summed here on a few panels around it, many
entries at once. What these panels cannot sum well enough is told apart and left to the adaptive
quadrature. Good for float32: within 1e-2 nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..data.bootstraps import BootstrapSummary
from .bootstrap_likelihood import (
    BootstrapParameters,
    BootstrapSetting,
    data_peak,
    log_density_of_positives,
    log_prior,
    slope_of_positives,
    zero_ratio,
)
from .negative_binomial import slope_of_negative_binomial
from .quadrature import gram_nodes
from .zero_factor import (
    NormalRatio,
    ScaleMixtureRatio,
    Zeros,
    log_bump_independent,
    log_zero_factor,
)

_NEWTON_STEPS = 6
# How many nats below its peak a summand may be cut off, and how wide a panel may be in standard
# deviations of the peak and in log(1 + u).
_CUT = 9.0
_PANEL_DEVIATIONS = 1.5
_PANEL_LOG_WIDTH = 0.8
# How wide the spacing of nodes in r may be, in widths of the zero factor's bump.
_RATIO_SPACING = 1.8
# Relative step of the difference quotient in the noise concentration.
_STEP = 0.02
_LOG_TWO = math.log(2.0)


# Scales at which the zero factor is computed, to be interpolated between.
_ANCHORS = 10
# Up to which log(1 + mode of r) so few are enough.
_LARGEST_LOG_RATIO = 4.0


class Level(NamedTuple):
    """How fine the sums are: panels of u, and nodes in r."""

    panels: int
    ratio_nodes: int


LEVELS = (Level(3, 18), Level(5, 20), Level(7, 24), Level(10, 28), Level(30, 96))


class Window(NamedTuple):
    """Where the sums of entries are taken, each of shape (entries,).

    Attributes
    ----------
    first, last
        Counts u >= 1 between which the summand matters.
    panels
        How many panels it needs there; infinite where panels around one peak are not enough.
    lowest_ratio, highest_ratio
        Between which r matters to the zero factor.
    ratio_nodes
        How many nodes it needs there.
    """

    first: Tensor
    last: Tensor
    panels: Tensor
    lowest_ratio: Tensor
    highest_ratio: Tensor
    ratio_nodes: Tensor

    def with_prior(self, parameters: BootstrapParameters) -> Window:
        """Reach over the counts that the negative binomial alone makes likely, too.

        Where the window does not reach down to 1, u = 0 is out of the question, and with it a
        count that was dropped.
        """
        mean, excess = parameters.mean, 1 + parameters.mean / parameters.inverse_dispersion
        end = (mean + 5 * (mean * excess).sqrt() + 8 * excess).ceil()
        last = torch.where(self.first > 1, self.last, torch.maximum(self.last, end))
        extent, whole = ((one + 0.5).log() - math.log(1.5) for one in (self.last, last))
        size = (extent / self.panels).clamp(min=0.05, max=_PANEL_LOG_WIDTH)
        panels = torch.minimum(whole / size, last / 3)
        reaching = (self.first <= 1) & self.panels.isfinite()
        return self._replace(last=last, panels=torch.where(reaching, panels, self.panels))

    def level(self) -> Tensor:
        """Coarsest of the levels that will do, ``len(LEVELS)`` where none will."""
        level = torch.full_like(self.first, len(LEVELS), dtype=torch.int64)
        for index, one in reversed(list(enumerate(LEVELS))):
            enough = (self.panels <= one.panels) & (self.ratio_nodes <= one.ratio_nodes)
            level = torch.where(enough, index, level)
        return level


def find_window(
    parameters: BootstrapParameters, summary: BootstrapSummary, setting: BootstrapSetting
) -> Window:
    """Find where the sums must be taken, entries of shape (entries,)."""

    def height(y: Tensor) -> Tensor:
        """Summand without the zero factor, per unit of y = log(1 + u)."""
        u = y.expm1()
        prior = log_prior(u, parameters)
        return prior + log_density_of_positives(u, parameters, summary, setting) + y

    some = summary.positives > 0
    data, _ = data_peak(parameters, summary, setting)
    start = torch.where(some, data, parameters.mean).clamp(min=1.0).log1p()
    y, width, converged = _climb(start, parameters, summary, setting)
    peak = height(y)
    cut = torch.full_like(y, _CUT)
    high = _end(height, y, peak, width, cut)
    low = _end(height, y, peak, -width, cut)
    favour = _favour_of_zeros(low, parameters, summary, setting)
    low = _end(height, y, peak, -width, cut + 1.5 * favour)
    favour = _favour_of_zeros(low, parameters, summary, setting)
    reached = peak - height(high) > _CUT - 1
    reached = reached & ((peak - height(low) > _CUT - 1 + favour) | (low <= _LOG_TWO))
    first = torch.where(some, low, _LOG_TWO).clamp(min=_LOG_TWO).expm1().floor().clamp(min=1.0)
    last = torch.maximum(high.expm1().ceil(), first)
    extent = (last + 1.5).log() - (first + 0.5).log()
    panels = extent / (_PANEL_DEVIATIONS * width).clamp(max=_PANEL_LOG_WIDTH)
    panels = torch.minimum(panels, (last - first + 1) / 3)
    places = (data, parameters.mean, torch.ones_like(data))
    elsewhere = _holds_mass_elsewhere(height, places, peak + width.log(), first, last)
    good = reached & converged & ~elsewhere & peak.isfinite()
    panels = torch.where(good, panels, torch.inf)
    ratios = _ratio_window(first, last, parameters, summary, setting)
    return Window(first, last, panels, *ratios)


def _climb(
    start: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> tuple[Tensor, Tensor, Tensor]:
    """Find the peak in y = log(1 + u) by Newton's method; its width, and whether it was found."""
    y = start
    for _ in range(_NEWTON_STEPS):
        v = y.exp()
        prior = slope_of_negative_binomial(v - 1, parameters.mean, parameters.inverse_dispersion)
        data = slope_of_positives(v - 1, parameters, summary, setting)
        slope = (prior[0] + data[0]) * v + 1
        curvature = (prior[1] + data[1]) * v.square() + slope - 1
        step = torch.where(curvature < 0, -slope / curvature, slope.sign()).clamp(-1.0, 1.0)
        y = (y + step).clamp(min=_LOG_TWO)
    width = (-curvature).clamp(min=0.25).rsqrt()
    return y, width, (step.abs() < 0.1 * width) | (y <= _LOG_TWO)


def _end(
    height: Callable[[Tensor], Tensor], y: Tensor, peak: Tensor, width: Tensor, cut: Tensor
) -> Tensor:
    """Go from the peak in steps of its width until the summand is cut off."""
    end = y + width * (2 * cut).sqrt()
    for _ in range(2):
        drop = (peak - height(end.clamp(min=_LOG_TWO))).clamp(min=0.3)
        end = y + (end - y) * (1.15 * cut / drop).sqrt().clamp(1.0, 3.0)
    return end.clamp(min=_LOG_TWO)


def _favour_of_zeros(
    y: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> Tensor:
    """Bound how much more likely the zeros are at y = log(1 + u) than at large counts, in nats."""
    if setting.zeros == "atom":
        return torch.zeros_like(y)
    zeros = Zeros(summary.zeros, parameters.bootstrap_dropout_logits)
    ratio = zero_ratio(y.expm1(), parameters, summary, setting)
    lowest = ratio.mode() - 4 * ratio.spread().sqrt()
    return zeros.count * functional.softplus(zeros.log_odds(lowest))


def _holds_mass_elsewhere(
    height: Callable[[Tensor], Tensor],
    places: Sequence[Tensor],
    mass: Tensor,
    first: Tensor,
    last: Tensor,
) -> Tensor:
    """Tell whether the summand is not small somewhere outside the window."""
    elsewhere = torch.zeros_like(first, dtype=torch.bool)
    for place in places:
        u = place.clamp(min=1.0)
        outside = (u < first - 1) | (u > last + 1)
        elsewhere = elsewhere | (outside & (height(u.log1p()) > mass - _CUT + 2))
    return elsewhere


def _ratio_window(
    first: Tensor,
    last: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> tuple[Tensor, Tensor, Tensor]:
    """Range of r that serves all counts of a window, and how many nodes it needs."""
    none = torch.zeros_like(first)
    if setting.zeros == "atom" or setting.error == "independent":
        return none, none, none
    zeros = Zeros(summary.zeros.clamp(min=1), parameters.bootstrap_dropout_logits)
    highest, narrowest = none, torch.full_like(none, torch.inf)
    for u in (none, first, (first * last).sqrt(), last):
        ratio = zero_ratio(u, parameters, summary, setting)
        spread = ratio.spread()
        highest = torch.maximum(highest, ratio.mode() + 4.5 * spread.sqrt())
        narrowest = torch.minimum(narrowest, spread)
    # r is e / sigma, and e is not negative but for the noise of the estimate.
    lowest = -1 - 4 * (1 + summary.positives).rsqrt()
    # Beyond this q is pi, to the precision of the sum.
    surely = 2 * (10 + zeros.count.log() - functional.logsigmoid(zeros.logits))
    highest = torch.minimum(highest, surely.sqrt())
    largest = zero_ratio(last, parameters, summary, setting).mode()
    interpolable = (setting.noise != "adaptive") | (largest.log1p() < _LARGEST_LOG_RATIO)
    curvature = 1 / narrowest + 4 + 0.15 * zeros.count
    needed = 1 + (highest - lowest) * curvature.sqrt() / _RATIO_SPACING
    needed = torch.where(interpolable, needed, torch.inf)
    return lowest, highest, torch.where(summary.zeros > 0, needed, 0.0)


def window_nodes(window: Window, panels: int) -> tuple[Tensor, Tensor]:
    """Cut windows into panels of whole counts, equal in log(u + 1/2), and put u = 0 before them.

    Returns
    -------
    tuple of Tensor
        Nodes and weights, shape (1 + 3 * panels, entries).
    """
    start, end = (window.first - 0.5).log(), (window.last + 0.5).log()
    steps = torch.arange(panels + 1, dtype=start.dtype, device=start.device).unsqueeze(-1)
    edges = (start + steps / panels * (end - start)).exp()
    # Narrow windows are enumerated: panels of three counts, then empty ones.
    enumerated = torch.minimum(window.first + 3 * steps - 0.5, window.last + 0.5)
    narrow = window.last - window.first + 1 <= 3 * panels
    edges = (torch.where(narrow, enumerated, edges) - 0.5).round()
    nodes, weights = gram_nodes(edges[:-1] + 1, edges[1:] - edges[:-1])
    zero = torch.zeros_like(start).unsqueeze(0)
    return (
        torch.cat([zero, nodes.movedim(-1, 0).flatten(0, 1)]),
        torch.cat([zero + 1, weights.movedim(-1, 0).flatten(0, 1)]),
    )


def log_sum(
    window: Window,
    panels: int,
    ratio_nodes: int,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
    *,
    any_zeros: bool,
) -> Tensor:
    """Log of the sum over counts, shape (entries,), differentiable in the parameters.

    Without ``any_zeros`` no entry may have a bootstrap that is zero.
    """
    u, weight = window_nodes(window, panels)
    terms = log_prior(u, parameters) + weight.log()
    likelihood = log_likelihood_at(
        u, window, ratio_nodes, parameters, summary, setting, any_zeros=any_zeros
    )
    return (terms + likelihood).logsumexp(0)


def log_likelihood_at(
    u: Tensor,
    window: Window,
    ratio_nodes: int,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
    *,
    any_zeros: bool,
) -> Tensor:
    """Log density of the bootstraps given counts u within the window, shape (nodes, entries)."""
    density = log_density_of_positives(u, parameters, summary, setting)
    if not any_zeros:
        return density
    zeros = Zeros(summary.zeros, parameters.bootstrap_dropout_logits)
    if setting.zeros == "atom":
        return density + zeros.log_dropped()
    ratio = zero_ratio(u, parameters, summary, setting)
    return density + log_zero_factor(zeros, _bump(ratio, zeros, window, ratio_nodes, setting))


def _bump(
    ratio: NormalRatio | ScaleMixtureRatio,
    zeros: Zeros,
    window: Window,
    ratio_nodes: int,
    setting: BootstrapSetting,
) -> Tensor:
    """Log of the zero factor's bump at all nodes, shape (nodes, entries)."""
    some = Zeros(zeros.count.clamp(min=1), zeros.logits)
    if setting.error == "shared":
        steps = torch.arange(ratio_nodes, dtype=zeros.count.dtype, device=zeros.count.device)
        span = window.highest_ratio - window.lowest_ratio
        ratios = window.lowest_ratio + (steps / (ratio_nodes - 1)).unsqueeze(-1) * span
        if setting.noise == "adaptive":
            return _bump_of_scale_mixture(ratio, some, ratios)
        return _bump_of_normal(ratio, some, ratios)
    if setting.noise == "adaptive":
        return log_bump_independent(some, ratio.scale, ratio.concentration)
    return some.log_excess(ratio.location)


def _bump_of_normal(ratio: NormalRatio, zeros: Zeros, ratios: Tensor) -> Tensor:
    """Sum over r, shape (ratio nodes, entries), at every node; slopes are expectations."""
    with torch.no_grad():
        log_density = ratio.log_density(ratios.unsqueeze(1))
        value, weights = _summed(log_density, zeros, ratios)
        mean_ratio = torch.einsum("mkn,mn->kn", weights, ratios)
        in_location = (mean_ratio - ratio.location) / ratio.variance
        in_logits = torch.einsum("mkn,mn->kn", weights, zeros.slope_in_logits(ratios))
    return value + in_location * _unit(ratio.location) + in_logits * _unit(zeros.logits)


def _bump_of_scale_mixture(ratio: ScaleMixtureRatio, zeros: Zeros, ratios: Tensor) -> Tensor:
    """Sum over r at a few anchors.

    Of one entry the bump is a smooth function of log(1 + scale) alone, so it is interpolated.
    """
    chebyshev = Chebyshev.over(ratio.scale.detach().log1p(), _ANCHORS)
    with torch.no_grad():
        at_anchors = ratio._replace(scale=chebyshev.anchors.expm1().clamp(min=0.0))
        nodes = ratios.unsqueeze(1)
        values, weights = _summed(at_anchors.log_density(nodes), zeros, ratios)
        in_logits = torch.einsum("man,mn->an", weights, zeros.slope_in_logits(ratios))
        change = _STEP * ratio.concentration
        moved = at_anchors._replace(concentration=ratio.concentration + change)
        in_concentration = (_summed(moved.log_density(nodes), zeros, ratios)[0] - values) / change
    x = ratio.scale.log1p()
    return (
        chebyshev.interpolate(values, x)
        + chebyshev.interpolate(in_logits, x.detach()) * _unit(zeros.logits)
        + chebyshev.interpolate(in_concentration, x.detach()) * _unit(ratio.concentration)
    )


def _summed(log_density: Tensor, zeros: Zeros, ratios: Tensor) -> tuple[Tensor, Tensor]:
    """Log of the trapezoidal sum over r, and the weights of its nodes."""
    terms = log_density + zeros.log_excess(ratios).unsqueeze(1)
    total = terms.logsumexp(0)
    return total + (ratios[1] - ratios[0]).log(), (terms - total).exp()


def _unit(value: Tensor) -> Tensor:
    """Zero, with the derivative of the value: it carries a slope that is known to autograd."""
    return value - value.detach()


class Chebyshev(NamedTuple):
    """Interpolation by Chebyshev polynomials, of each entry over its own range."""

    anchors: Tensor
    lowest: Tensor
    highest: Tensor

    @classmethod
    def over(cls, x: Tensor, count: int) -> Chebyshev:
        """Place anchors for the nodes x, shape (nodes, entries)."""
        lowest = x.amin(0)
        highest = torch.maximum(x.amax(0), lowest + 1e-3)
        steps = torch.arange(count, dtype=x.dtype, device=x.device) + 0.5
        unit = (math.pi / count * steps).cos().unsqueeze(-1)
        return cls(lowest + 0.5 * (unit + 1) * (highest - lowest), lowest, highest)

    def interpolate(self, values: Tensor, x: Tensor) -> Tensor:
        """Interpolate values at the anchors, shape (anchors, entries), by Clenshaw's recurrence."""
        count = len(values)
        steps = torch.arange(count, dtype=values.dtype, device=values.device)
        transform = (math.pi / count * torch.outer(steps, steps + 0.5)).cos() * (2 / count)
        transform[0] *= 0.5
        coefficients = transform @ values
        unit = 2 * (x - self.lowest) / (self.highest - self.lowest) - 1
        later = latest = torch.zeros_like(unit)
        for coefficient in coefficients[1:].flip(0):
            later, latest = coefficient + 2 * unit * later - latest, later
        return coefficients[0] + unit * later - latest
