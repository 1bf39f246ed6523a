"""One bootstrap by itself: its mass on unit bins and its moments."""

from __future__ import annotations

import math

import torch
from scipy import special
from torch import Tensor
from torch.nn import functional

from ..data.bootstraps import BootstrapSummary
from .bootstrap_likelihood import (
    BootstrapParameters,
    BootstrapSetting,
    breakpoints,
    log_prior,
    squared_noise,
)
from .quadrature import adaptive_nodes, segment_logsumexp


def log_bin_mass(k: Tensor, parameters: BootstrapParameters, setting: BootstrapSetting) -> Tensor:
    """Log mass in nats of k - 1/2 < x < k + 1/2; k = 0 takes all below 1/2. Not differentiable.

    Parameters
    ----------
    k
        Counts (reads), of the shape of the parameters.
    parameters
        Of the entries.
    setting
        Which likelihood.
    """
    shape, dtype = k.shape, parameters.mean.dtype
    # Differences of tails need the digits.
    k = k.flatten().double()
    parameters = BootstrapParameters(*(part.flatten().double() for part in parameters))

    def log_joint(u: Tensor, entry: Tensor) -> Tensor:
        chosen = _of_entries(parameters, entry, u)
        bins = _aligned(k[entry], u)
        standard = _Standardised.of(u, chosen, setting)
        kept = functional.logsigmoid(-chosen.bootstrap_dropout_logits)
        dropped = functional.logsigmoid(chosen.bootstrap_dropout_logits)
        inside = kept + standard.log_mass(bins - 0.5, bins + 0.5)
        at_zero = torch.logaddexp(dropped, kept + standard.log_tail(u - 0.5))
        return log_prior(u, chosen) + torch.where(bins == 0, at_zero, inside)

    with torch.no_grad():
        nearby = BootstrapSummary(torch.zeros_like(k), torch.ones_like(k), k, torch.zeros_like(k))
        nodes = adaptive_nodes(log_joint, breakpoints(parameters, nearby, setting))
        terms = log_joint(nodes.u, nodes.entry) + nodes.weight.log()
        return segment_logsumexp(terms, nodes.entry, len(k)).view(shape).to(dtype)


def moments(parameters: BootstrapParameters, setting: BootstrapSetting) -> tuple[Tensor, Tensor]:
    """Mean (reads) and variance (reads squared) of one bootstrap as it is sampled.

    Negative values count as 0, as in samples. The variance is infinite where an adaptive noise
    has a concentration of at most 2, the mean where it has one of at most 1.
    """
    shape = parameters.mean.shape
    parameters = BootstrapParameters(*(part.flatten() for part in parameters))

    def log_second_moment(u: Tensor, entry: Tensor) -> Tensor:
        return log_prior(u, _of_entries(parameters, entry, u)) + 2 * u.log1p()

    with torch.no_grad():
        nothing = torch.zeros_like(parameters.mean)
        summary = BootstrapSummary(nothing, nothing, nothing, nothing)
        nodes = adaptive_nodes(log_second_moment, breakpoints(parameters, summary, setting))
        chosen = _of_entries(parameters, nodes.entry, nodes.u)
        probability = nodes.weight * log_prior(nodes.u, chosen).exp()
        probability = probability * torch.sigmoid(-chosen.bootstrap_dropout_logits)
        standard = _Standardised.of(nodes.u, chosen, setting)
        first, second = (
            torch.zeros_like(nothing).index_add(0, nodes.entry, probability * moment)
            for moment in standard.positive_moments()
        )
        return first.view(shape), (second - first.square()).view(shape)


def _of_entries(parameters: BootstrapParameters, entry: Tensor, u: Tensor) -> BootstrapParameters:
    return BootstrapParameters(*(_aligned(part[entry], u) for part in parameters))


def _aligned(values: Tensor, u: Tensor) -> Tensor:
    """Values of entries, shape (n,), beside counts of shape (n,) or (n, nodes)."""
    return values.unsqueeze(-1) if u.dim() > values.dim() else values


class _Standardised:
    """x = u + scale t given u, t standard normal or Student's t; computed by scipy."""

    def __init__(self, u: Tensor, scale: Tensor, degrees: Tensor | None) -> None:
        self.u, self.scale, self.degrees = u, scale, degrees

    @classmethod
    def of(
        cls, u: Tensor, parameters: BootstrapParameters, setting: BootstrapSetting
    ) -> _Standardised:
        """Take the estimate's error and the bootstrap's together where the error is shared."""
        errors = 2.0 if setting.error == "shared" else 1.0
        scale = (errors * squared_noise(u, parameters.noise_scale, setting.noise)).sqrt()
        adaptive = setting.noise == "adaptive"
        return cls(u, scale, parameters.noise_concentration if adaptive else None)

    def log_mass(self, low: Tensor, high: Tensor) -> Tensor:
        """Log of P(low < X < high), from the smaller tails, which keep their digits."""
        above = low > self.u
        near = torch.where(above, low, 2 * self.u - high) - self.u
        far = torch.where(above, high, 2 * self.u - low) - self.u
        larger, smaller = self.log_tail(near), self.log_tail(far)
        return larger + (-(smaller - larger).expm1()).clamp(min=1e-300).log()

    def log_tail(self, distance: Tensor) -> Tensor:
        """Log of P(X > u + distance)."""
        t = -distance / self.scale
        if self.degrees is None:
            return torch.special.log_ndtr(t)
        return self._cdf(t).clamp(min=torch.finfo(t.dtype).tiny).log()

    def _cdf(self, t: Tensor, lost_degrees: float = 0.0) -> Tensor:
        if self.degrees is None:
            return torch.special.ndtr(t)
        degrees = (self.degrees - lost_degrees).expand_as(t).cpu().double().numpy()
        result = special.stdtr(degrees, t.cpu().double().numpy())
        return torch.as_tensor(result, dtype=t.dtype, device=t.device)

    def positive_moments(self) -> tuple[Tensor, Tensor]:
        """E[max(X, 0)] and E[max(X, 0)^2]."""
        c = self.u / self.scale
        below = self._cdf(c)
        if self.degrees is None:
            density = (-0.5 * c.square()).exp() / math.sqrt(2 * math.pi)
            first, second = density, below - c * density
        else:
            v = self.degrees
            log_density = (0.5 * (v + 1)).lgamma() - (0.5 * v).lgamma() - 0.5 * (math.pi * v).log()
            density = (log_density - 0.5 * (v + 1) * (c.square() / v).log1p()).exp()
            first = torch.where(v > 1, (v + c.square()) / (v - 1) * density, torch.inf)
            # t^2 times a density of v degrees is one of v - 2 degrees, rescaled.
            ratio = functional.relu(v - 2) / v
            heavy = self._cdf(c * ratio.sqrt(), lost_degrees=2.0) * (v - 1) / (v - 2)
            second = torch.where(v > 2, v * (heavy - below), torch.inf)
        mean = self.scale * (c * below + first)
        square = self.scale.square() * (c.square() * below + 2 * c * first + second)
        return mean, square
