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
    largest_scale,
    log_density_of_positives,
    log_prior,
    slope_of_positives,
    zero_ratio,
)
from .negative_binomial import slope_of_negative_binomial
from .quadrature import gram_nodes
from .zero_factor import NormalRatio, ScaleMixtureRatio, Zeros, log_zero_factor
from .zero_table import BumpSlopes, TabulatedBump, bump_at_scales, noise_range

_NEWTON_STEPS = 6
# How many nats below its peak a summand may be cut off, and how wide a panel may be in standard
# deviations of the peak and in log(1 + u).
_CUT = 9.0
_PANEL_DEVIATIONS = 1.5
_PANEL_LOG_WIDTH = 0.8
_LOG_TWO = math.log(2.0)

# Into how many panels windows are cut: the first of these that is enough.
PANELS = (3, 5, 7, 10, 30)


class Window(NamedTuple):
    """Where the sums of entries are taken, each of shape (entries,).

    Attributes
    ----------
    first, last
        Counts u >= 1 between which the summand matters.
    panels
        How many panels it needs there; infinite where panels around one peak are not enough.
    """

    first: Tensor
    last: Tensor
    panels: Tensor

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
        """Index of the first of :data:`PANELS` that is enough, ``len(PANELS)`` where none is."""
        level = torch.zeros_like(self.first, dtype=torch.int64)
        for panels in PANELS:
            level = level + (self.panels > panels)
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
    return Window(first, last, panels)


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


class InterpolatedBump(NamedTuple):
    """Log of the zero factor's bump of entries whose noise scale is integrated out.

    Of one entry it is a smooth function of x = log(1 + the mode of r), so it is interpolated
    between a few.

    Attributes
    ----------
    at_zero
        At u = 0, each part of shape (entries,).
    coefficients
        Of Chebyshev's polynomials for the other counts, each part of shape (anchors, entries).
    lowest, highest
        Between which x lies there, shape (entries,).
    """

    at_zero: BumpSlopes
    coefficients: BumpSlopes
    lowest: Tensor
    highest: Tensor

    def log_bump(self, ratio: ScaleMixtureRatio, zeros: Zeros) -> Tensor:
        """At the nodes of :func:`window_nodes`, shape (nodes, entries), with its slopes."""
        scale = ratio.scale
        # Its slope in the concentration is that at a given scale.
        x = (scale[1:] * ratio.concentration.detach().sqrt()).log1p()
        unit = 2 * (x - self.lowest) / (self.highest - self.lowest) - 1
        fixed = unit.detach()
        others = (
            chebyshev(self.coefficients.value, unit)
            + chebyshev(self.coefficients.in_logits, fixed) * _unit(zeros.logits)
            + chebyshev(self.coefficients.in_concentration, fixed) * _unit(ratio.concentration)
        )
        first = (
            self.at_zero.value
            + self.at_zero.in_scale * _unit(scale[0])
            + self.at_zero.in_logits * _unit(zeros.logits)
            + self.at_zero.in_concentration * _unit(ratio.concentration)
        )
        return torch.cat([first.unsqueeze(0), others])


def interpolate_bump(
    bump: TabulatedBump,
    window: Window,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> InterpolatedBump:
    """Sum over the noise scale at a few counts of each window."""
    turn = largest_scale(parameters, summary, setting)
    turn = torch.where(turn.isfinite(), turn, 0.0).clamp(min=window.first, max=window.last)
    u = torch.stack([torch.zeros_like(turn), window.first, window.last, turn])
    ratio = zero_ratio(u, parameters, summary, setting)
    x = ratio.mode()[1:].log1p()
    lowest = x.amin(0)
    highest = torch.maximum(x.amax(0), lowest + 1e-3)
    unit = bump.angles.cos().unsqueeze(-1)
    modes = (lowest + 0.5 * (unit + 1) * (highest - lowest)).expm1().clamp(min=0.0)
    scales = torch.cat([ratio.scale[:1], modes * ratio.concentration.rsqrt()])
    slopes = bump_at_scales(bump, scales, ratio.concentration)
    orders = torch.arange(len(unit), dtype=x.dtype, device=x.device)
    share = torch.where(orders > 0, 2.0, 1.0) / len(unit)
    transform = share.unsqueeze(-1) * torch.outer(orders, bump.angles).cos()
    return InterpolatedBump(
        BumpSlopes(*(part[0] for part in slopes)),
        BumpSlopes(*(transform @ part[1:] for part in slopes)),
        lowest,
        highest,
    )


def chebyshev(coefficients: Tensor, unit: Tensor) -> Tensor:
    """Sum Chebyshev's polynomials at -1 <= unit <= 1 by Clenshaw's recurrence."""
    later = latest = torch.zeros_like(unit)
    for coefficient in coefficients[1:].flip(0):
        later, latest = coefficient + 2 * unit * later - latest, later
    return coefficients[0] + unit * later - latest


def log_sum(
    window: Window,
    panels: int,
    bump: InterpolatedBump | int | None,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> Tensor:
    """Log of the sum over counts, shape (entries,), differentiable in the parameters.

    ``bump`` is as for :func:`log_likelihood_at`.
    """
    u, weight = window_nodes(window, panels)
    terms = log_prior(u, parameters) + weight.log()
    return (terms + log_likelihood_at(u, bump, parameters, summary, setting)).logsumexp(0)


def log_likelihood_at(
    u: Tensor,
    bump: InterpolatedBump | int | None,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> Tensor:
    """Log density of the bootstraps given counts u within the window, shape (nodes, entries).

    Parameters
    ----------
    u
        Of :func:`window_nodes`.
    bump
        What the zero factor needs; None where no entry has a bootstrap that is zero, a number of
        nodes in r where the noise scale is known.
    parameters, summary, setting
        As for :func:`~.bootstrap_likelihood.log_likelihood`.
    """
    density = log_density_of_positives(u, parameters, summary, setting)
    zeros = Zeros(summary.zeros, parameters.bootstrap_dropout_logits)
    if setting.zeros == "atom":
        return density + zeros.log_dropped()
    if bump is None:
        return density
    ratio = zero_ratio(u, parameters, summary, setting)
    some = Zeros(zeros.count.clamp(min=1), zeros.logits)
    if isinstance(bump, InterpolatedBump):
        log_bump = bump.log_bump(ratio, some)
    elif setting.error == "shared":
        log_bump = _bump_of_normal(ratio, some, bump)
    else:
        log_bump = some.log_excess(ratio.location)
    return density + log_zero_factor(zeros, log_bump)


def _bump_of_normal(ratio: NormalRatio, zeros: Zeros, nodes: int) -> Tensor:
    """Sum over r at every node in u; slopes are expectations."""
    steps = torch.linspace(0, 1, nodes, dtype=zeros.count.dtype, device=zeros.count.device)
    lowest, highest = noise_range(ratio.variance)
    ratios = lowest + steps.unsqueeze(-1) * (highest - lowest)
    with torch.no_grad():
        log_density = ratio.log_density(ratios.unsqueeze(1))
        terms = log_density + zeros.log_excess(ratios).unsqueeze(1)
        total = terms.logsumexp(0)
        weights = (terms - total).exp()
        value = total + (ratios[1] - ratios[0]).log()
        mean_ratio = torch.einsum("mkn,mn->kn", weights, ratios)
        in_location = (mean_ratio - ratio.location) / ratio.variance
        in_logits = torch.einsum("mkn,mn->kn", weights, zeros.slope_in_logits(ratios))
    return value + in_location * _unit(ratio.location) + in_logits * _unit(zeros.logits)


def _unit(value: Tensor) -> Tensor:
    """Zero, with the derivative of the value: it carries a slope that is known to autograd."""
    return value - value.detach()
