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
    log_prior,
    slope_of_positives,
    split_density_of_positives,
    split_prior,
    zero_ratio,
)
from .distributions.negative_binomial import Split, slope_of_negative_binomial
from .quadrature import gram_nodes
from .zero_factor import NormalRatio, ScaleMixtureRatio, Zeros
from .zero_table import BumpSlopes, TabulatedBump, bump_at_scales, noise_range

_NEWTON_STEPS = 6
# How many nats below its peak a summand may be cut off, and how wide a panel may be in standard
# deviations of the peak and in log(1 + u).
_CUT = 9.0
_PANEL_DEVIATIONS = 1.5
_PANEL_LOG_WIDTH = 0.8
# How much further a window reaches where it was not enough.
_WIDER = 1.6
_LOG_TWO = math.log(2.0)

# At how many scales the zero factor is computed, to be interpolated between, and the mode of r
# from which on its bump falls as a power of the scale.
_NUM_SCALES = 10
_LARGEST_MODE = 100.0
# Of log(1 + the mode of r): over less, slopes are differences of what float32 has rounded.
_SMALLEST_RANGE = 1.0

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
    log_odds_of_zero
        Logarithm of the summand at u = 0 over the sum of the others (nats), both without the zero
        factor, about.
    """

    first: Tensor
    last: Tensor
    panels: Tensor
    log_odds_of_zero: Tensor

    def with_prior(
        self,
        parameters: BootstrapParameters,
        summary: BootstrapSummary,
        setting: BootstrapSetting,
    ) -> Window:
        """Reach over the counts that the negative binomial alone makes likely, too.

        Where u = 0 is out of the question, so is a count that was dropped, and nothing changes.
        """
        mean, excess = parameters.mean, 1 + parameters.mean / parameters.inverse_dispersion
        end = (mean + 5 * (mean * excess).sqrt() + 8 * excess).ceil()
        favour = _favour_of_zeros(torch.zeros_like(mean), parameters, summary, setting)
        reaching = (self.first <= 1) | (self.log_odds_of_zero + favour > -_CUT)
        first = torch.where(reaching, 1.0, self.first)
        last = torch.where(reaching, torch.maximum(self.last, end), self.last)
        extent = (self.last + 0.5).log() - (self.first + 0.5).log()
        whole = (last + 0.5).log() - (first + 0.5).log()
        size = (extent / self.panels).clamp(min=0.05, max=_PANEL_LOG_WIDTH)
        panels = torch.minimum(whole / size, (last - first + 1) / 3)
        changed = reaching & self.panels.isfinite()
        return Window(first, last, torch.where(changed, panels, self.panels), self.log_odds_of_zero)

    def level(self) -> Tensor:
        """Index of the first of :data:`PANELS` that is enough, ``len(PANELS)`` where none is."""
        level = torch.zeros_like(self.first, dtype=torch.int64)
        for panels in PANELS:
            level = level + (self.panels > panels)
        return level


def find_window(
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
    transformed: Callable[[Callable], Callable],
) -> Window:
    """Find where the sums must be taken, entries of shape (entries,).

    ``transformed`` is what to do to the functions that are called many times: nothing, or to
    compile them one by one, for all of this at once takes a compiler minutes.
    """
    entries = parameters, summary, setting
    height_of, favour_of = transformed(_height), transformed(_favour_of_zeros)

    def height(y: Tensor) -> Tensor:
        return height_of(y, *entries)

    some = summary.positives > 0
    data, _ = data_peak(parameters, summary, setting)
    start = torch.where(some, data, parameters.mean).clamp(min=1.0).log1p()
    y = start
    for _ in range(_NEWTON_STEPS):
        y, width, step = transformed(_newton_step)(y, *entries)
    converged = (step.abs() < 0.1 * width) | (y <= _LOG_TWO)
    peak = height(y)
    # What is next to nothing beside u = 0 need not be summed either.
    mass = peak + (2.5 * width).log()
    at_zero = transformed(_height_at_zero)(*entries)
    cut = (_CUT - (at_zero - mass).clamp(min=0.0)).clamp(min=1.0)
    high = _end(height, y, peak, width, cut)
    low = _end(height, y, peak, -width, cut)
    favour = favour_of(low, *entries)
    low = _end(height, y, peak, -width, cut + 1.5 * favour)
    favour = favour_of(low, *entries)
    all_mass = torch.logaddexp(mass, at_zero)
    places = (data, parameters.mean, torch.ones_like(data))

    def holds(low: Tensor, high: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """Tell whether nearly all of the mass is within."""
        reached = peak - height(high) > cut - 1
        reached = reached & ((peak - height(low) > cut - 1 + favour) | (low <= _LOG_TWO))
        return reached & ~_holds_mass_elsewhere(height, places, all_mass, first, last)

    first = torch.where(some, low, _LOG_TWO).clamp(min=_LOG_TWO).expm1().floor().clamp(min=1.0)
    last = torch.maximum(high.expm1().ceil(), first)
    good = holds(low, high, first, last)
    # Where tails are heavy all counts from 1 on are summed, and more beyond.
    low = torch.where(good, low, _LOG_TWO)
    high = torch.where(good, high, y + _WIDER * (high - y))
    first = torch.where(good, first, 1.0)
    last = torch.where(good, last, high.expm1().ceil())
    good = holds(low, high, first, last) & converged & peak.isfinite()
    extent = (last + 1.5).log() - (first + 0.5).log()
    panels = extent / (_PANEL_DEVIATIONS * width).clamp(max=_PANEL_LOG_WIDTH)
    panels = torch.minimum(panels, (last - first + 1) / 3)
    panels = torch.where(good, panels, torch.inf)
    return Window(first, last, panels, at_zero - mass)


def _height(
    y: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> Tensor:
    """Summand without the zero factor, up to a constant, per unit of y = log(1 + u)."""
    u = y.expm1()
    prior = split_prior(u, parameters).varying
    return prior + split_density_of_positives(u, parameters, summary, setting).varying + y


def _height_at_zero(
    parameters: BootstrapParameters, summary: BootstrapSummary, setting: BootstrapSetting
) -> Tensor:
    """Summand at u = 0 without the zero factor, up to the same constant."""
    zero = torch.zeros_like(parameters.mean)
    prior = log_prior(zero, parameters) - split_prior(zero + 1, parameters).constant
    return prior + split_density_of_positives(zero, parameters, summary, setting).varying


def _newton_step(
    y: Tensor,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> tuple[Tensor, Tensor, Tensor]:
    """Step towards the peak in y = log(1 + u); the new y, the peak's width, and the step."""
    v = y.exp()
    prior = slope_of_negative_binomial(v - 1, parameters.mean, parameters.inverse_dispersion)
    data = slope_of_positives(v - 1, parameters, summary, setting)
    slope = (prior[0] + data[0]) * v + 1
    curvature = (prior[1] + data[1]) * v.square() + slope - 1
    step = torch.where(curvature < 0, -slope / curvature, slope.sign()).clamp(-1.0, 1.0)
    return (y + step).clamp(min=_LOG_TWO), (-curvature).clamp(min=0.25).rsqrt(), step


def _end(
    height: Callable[[Tensor], Tensor], y: Tensor, peak: Tensor, width: Tensor, cut: Tensor
) -> Tensor:
    """Go from the peak in steps of its width until the summand is cut off."""
    end = y + width * (2 * cut).sqrt()
    # A first guess can be far too large where the peak is at u = 1; the last steps only go on.
    for smallest in (0.2, 0.4, 1.0):
        drop = (peak - height(end.clamp(min=_LOG_TWO))).clamp(min=0.3)
        end = y + (end - y) * (1.3 * cut / drop).sqrt().clamp(smallest, 3.0)
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
    """Cut windows into panels of whole counts, equal in log(u + 1/2).

    Returns
    -------
    tuple of Tensor
        Nodes and weights, shape (3 * panels, entries).
    """
    start, end = (window.first - 0.5).log(), (window.last + 0.5).log()
    steps = torch.arange(panels + 1, dtype=start.dtype, device=start.device).unsqueeze(-1)
    edges = (start + steps / panels * (end - start)).exp()
    # Narrow windows are enumerated: panels of three counts, then empty ones.
    enumerated = torch.minimum(window.first + 3 * steps - 0.5, window.last + 0.5)
    narrow = window.last - window.first + 1 <= 3 * panels
    edges = (torch.where(narrow, enumerated, edges) - 0.5).round()
    nodes, weights = gram_nodes(edges[:-1] + 1, edges[1:] - edges[:-1])
    return nodes.movedim(-1, 0).flatten(0, 1), weights.movedim(-1, 0).flatten(0, 1)


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
        Between which x is interpolated there, shape (entries,).
    """

    at_zero: BumpSlopes
    coefficients: BumpSlopes
    lowest: Tensor
    highest: Tensor

    def log_bump(self, ratio: ScaleMixtureRatio, zeros: Zeros) -> Tensor:
        """At counts u >= 1 of the window, shape (nodes, entries), with its slopes."""
        # Its slope in the concentration is that at a given scale.
        mode = ratio.scale * ratio.concentration.detach().sqrt()
        x = mode.log1p().minimum(self.highest)
        beyond = (mode / self.highest.expm1()).clamp(min=1.0).log()
        unit = 2 * (x - self.lowest) / (self.highest - self.lowest) - 1
        fixed = unit.detach()
        return (
            chebyshev(self.coefficients.value, unit)
            + chebyshev(self.coefficients.in_logits, fixed) * _unit(zeros.logits)
            + chebyshev(self.coefficients.in_concentration, fixed) * _unit(ratio.concentration)
            - 2 * ratio.concentration * beyond
        )

    def log_bump_at_zero(self, ratio: ScaleMixtureRatio, zeros: Zeros) -> Tensor:
        """At u = 0, shape (entries,), with its slopes."""
        return (
            self.at_zero.value
            + self.at_zero.in_scale * _unit(ratio.scale)
            + self.at_zero.in_logits * _unit(zeros.logits)
            + self.at_zero.in_concentration * _unit(ratio.concentration)
        )


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
    highest = x.amax(0).clamp(max=math.log1p(_LARGEST_MODE))
    highest = torch.maximum(highest, lowest + _SMALLEST_RANGE)
    orders = torch.arange(_NUM_SCALES, dtype=x.dtype, device=x.device)
    angles = math.pi / _NUM_SCALES * (orders + 0.5)
    unit = angles.cos().unsqueeze(-1)
    modes = (lowest + 0.5 * (unit + 1) * (highest - lowest)).expm1().clamp(min=0.0)
    scales = torch.cat([ratio.scale[:1], modes * ratio.concentration.rsqrt()])
    slopes = bump_at_scales(bump, scales, ratio.concentration)
    share = torch.where(orders > 0, 2.0, 1.0) / _NUM_SCALES
    transform = share.unsqueeze(-1) * torch.outer(orders, angles).cos()
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

    ``bump`` is as for :func:`split_likelihood`.
    """
    u, weight = window_nodes(window, panels)
    prior = split_prior(u, parameters)
    likelihood = split_likelihood(u, bump, parameters, summary, setting)
    terms = prior.varying + likelihood.varying + weight.log()
    positive = prior.constant + likelihood.constant + terms.logsumexp(0)
    zero = torch.zeros_like(positive)
    at_zero = split_likelihood(zero, bump, parameters, summary, setting)
    of_zero = log_prior(zero, parameters) + at_zero.varying + at_zero.constant
    return torch.logaddexp(positive, of_zero)


def split_likelihood(
    u: Tensor,
    bump: InterpolatedBump | int | None,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
) -> Split:
    """Log density of the bootstraps given counts.

    Parameters
    ----------
    u
        Counts within the window, shape (nodes, entries), or zero, shape (entries,).
    bump
        What the zero factor needs: None where no entry has a bootstrap that is zero, or zeros are
        an atom; a number of nodes in r where the noise scale is known.
    parameters, summary, setting
        As for :func:`~.bootstrap_likelihood.log_likelihood`.
    """
    density = split_density_of_positives(u, parameters, summary, setting)
    zeros = Zeros(summary.zeros, parameters.bootstrap_dropout_logits)
    constant = density.constant + zeros.log_dropped()
    if bump is None:
        return Split(density.varying, constant)
    ratio = zero_ratio(u, parameters, summary, setting)
    if isinstance(bump, InterpolatedBump):
        at_zero = u.dim() == 1
        log_bump = (bump.log_bump_at_zero if at_zero else bump.log_bump)(ratio, zeros)
    elif setting.error == "shared":
        log_bump = _bump_of_normal(ratio, zeros, bump)
    else:
        log_bump = zeros.log_excess(ratio.location)
    return Split(density.varying + functional.softplus(log_bump), constant)


def _bump_of_normal(ratio: NormalRatio, zeros: Zeros, nodes: int) -> Tensor:
    """Sum over r at every node in u; slopes are expectations."""
    steps = torch.linspace(0, 1, nodes, dtype=zeros.count.dtype, device=zeros.count.device)
    lowest, highest = noise_range(ratio.variance)
    ratios = lowest + steps.unsqueeze(-1) * (highest - lowest)
    with torch.no_grad():
        # Nodes in r first, entries last, and between them those in u if there are any.
        between = [1] * (ratio.location.dim() - 1)
        spread = ratios.view(nodes, *between, -1)
        excess, slope = zeros.log_excess(spread), zeros.slope_in_logits(spread)
        terms = ratio.log_density(spread) + excess
        total = terms.logsumexp(0)
        weights = (terms - total).exp()
        value = total + (ratios[1] - ratios[0]).log()
        in_location = ((weights * spread).sum(0) - ratio.location) / ratio.variance
        in_logits = (weights * slope).sum(0)
    return value + in_location * _unit(ratio.location) + in_logits * _unit(zeros.logits)


def _unit(value: Tensor) -> Tensor:
    """Zero, with the derivative of the value: it carries a slope that is known to autograd."""
    return value - value.detach()
