"""The zero factor of many entries at once.

Of the zero factor's bump E[(q(r) / pi)^m0 - 1] (:mod:`exvae.models.zero_factor`) the expectation
over the noise of r is tabulated: given what r is expected to be, rho, it depends on the numbers of
bootstraps and on pi alone. What is left where the noise scale is integrated out is a sum over a
grid in rho,

    rho = scale w, w^2 ~ Gamma(concentration, 1).
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .distributions.negative_binomial import digamma, log_gamma
from .zero_factor import Zeros

# Logits of pi that are tabulated, between which the table is cubic.
_LOWEST_LOGIT, _HIGHEST_LOGIT, _LOGIT_SPACING = -18.0, 14.0, 0.2
_LARGEST_RATIO = 8.0
# In how many standard deviations of r it is stepped.
_NOISE_STEP = 0.5


class RatioGrid(NamedTuple):
    """Grid in rho = bend log(1 + e^y), even in y: geometric near zero, then even.

    Attributes
    ----------
    concentration
        Largest concentration of the noise scale that it resolves.
    spacing
        In y.
    bend
        Where it turns even.
    lowest
        First y.
    smallest_scale
        Down to which it resolves the sum over rho; below the bump is interpolated.
    zeros
        How many bootstraps that are zero it resolves where the error is independent; otherwise the
        noise of r blurs what they say.
    noise_nodes
        How many nodes in r do where the noise scale is known and there are no more bootstraps
        than the concentration stands for.
    """

    concentration: float
    spacing: float
    bend: float
    lowest: float
    smallest_scale: float
    zeros: int
    noise_nodes: int

    def ratios(self) -> tuple[Tensor, Tensor]:
        """Nodes in rho and their weights, each of shape (nodes,), float64."""
        highest = math.log(math.expm1(_LARGEST_RATIO / self.bend))
        count = math.ceil((highest - self.lowest) / self.spacing) + 1
        y = self.lowest + self.spacing * torch.arange(count, dtype=torch.float64)
        return self.bend * functional.softplus(y), self.bend * y.sigmoid() * self.spacing


GRIDS = (
    RatioGrid(4.0, 0.4, 1.0, -7.5, 0.0125, 35, 40),
    RatioGrid(18.0, 0.16, 2.0, -4.0, 0.025, 50, 56),
    RatioGrid(60.0, 0.09, 3.0, -4.5, 0.01, 120, 96),
)
_FINEST_GRID = RatioGrid(160.0, 0.055, 4.0, -5.5, 0.006, 200, 160)
# Of any concentration, for many zeros.
_DEEPEST_GRID = RatioGrid(160.0, 0.055, 4.0, -10.5, 0.003, 1000, 160)


def coarsest_grid(concentration: Tensor, logits: Tensor) -> Tensor:
    """Index of the first of :data:`GRIDS` that will do, ``len(GRIDS)`` where none will."""
    index = torch.zeros_like(concentration, dtype=torch.int64)
    for grid in GRIDS:
        index = index + (concentration > grid.concentration)
    tabulated = (logits >= _LOWEST_LOGIT) & (logits <= _HIGHEST_LOGIT)
    return torch.where(tabulated, index, len(GRIDS))


def noise_range(variance: Tensor) -> tuple[Tensor, Tensor]:
    """Range of r that matters to the bump when r is known up to a variance."""
    lowest = -4.5 - 5 * variance.sqrt()
    return lowest, torch.full_like(lowest, _LARGEST_RATIO + 0.5)


class TabulatedBump(NamedTuple):
    """Log of the bump given rho, of each entry at rho = 0 and on a grid.

    Attributes
    ----------
    log_ratios, squares, log_weights
        Of the grid: log(rho), rho^2 and the logarithm of rho's weight over rho, shape (nodes, 1).
    smallest_scale
        The smallest that the grid resolves.
    lower, upper
        Value and slope in the logit at the tabulated logits around an entry's own, shape
        (entries, 2, 1 + nodes).
    fraction
        Where the entry's logit lies between, shape (entries,).
    """

    log_ratios: Tensor
    squares: Tensor
    log_weights: Tensor
    smallest_scale: Tensor
    lower: Tensor
    upper: Tensor
    fraction: Tensor

    @classmethod
    def of(cls, zeros: Zeros, positives: Tensor, grid: RatioGrid, *, shared: bool) -> TabulatedBump:
        """Look up entries, all of shape (entries,)."""
        store = _store(grid, shared, zeros.logits.device, zeros.logits.dtype)
        position = (zeros.logits - _LOWEST_LOGIT) / _LOGIT_SPACING
        below = position.floor().clamp(max=_num_logits() - 2)
        row = store.slots(zeros.count, positives) * _num_logits() + below.long()
        rows = store.rows
        return cls(*store.grid_parts, rows[row], rows[row + 1], position - below)

    def interpolated(self) -> tuple[Tensor, Tensor]:
        """Value and slope in the logit, each of shape (1 + nodes, entries)."""
        start, first = self.lower.permute(1, 2, 0).contiguous()
        end, last = self.upper.permute(1, 2, 0).contiguous()
        first, last = first * _LOGIT_SPACING, last * _LOGIT_SPACING
        t = self.fraction
        quadratic = 3 * (end - start) - 2 * first - last
        cubic = first + last - 2 * (end - start)
        value = start + t * (first + t * (quadratic + t * cubic))
        return value, (first + t * (2 * quadratic + 3 * t * cubic)) / _LOGIT_SPACING


class BumpSlopes(NamedTuple):
    """Log of the bump and its slopes, each of shape (scales, entries)."""

    value: Tensor
    in_logits: Tensor
    in_concentration: Tensor
    in_scale: Tensor


def bump_at_scales(bump: TabulatedBump, scales: Tensor, concentration: Tensor) -> BumpSlopes:
    """Log of the bump where the noise scale is integrated out.

    Parameters
    ----------
    bump
        Of the entries.
    scales
        r is expected to be ``scale * w``, shape (scales, entries).
    concentration
        w^2 ~ Gamma(concentration, 1), shape (entries,).
    """
    tabulated, slope = bump.interpolated()
    terms = tabulated[1:] + 2 * concentration * bump.log_ratios + bump.log_weights
    resolved = torch.maximum(scales, bump.smallest_scale)
    precision, log_scale = resolved.square().reciprocal(), resolved.log()
    exponent = terms - precision.unsqueeze(1) * bump.squares
    largest = exponent.amax(1)
    weight = (exponent - largest.unsqueeze(1)).exp()
    # Beyond the first node the terms fall as a power of rho, by the same factor at each step: it
    # stands for a geometric series, of which the part beyond it is added here.
    step = bump.log_ratios[1] - bump.log_ratios[0]
    falling = 1 / (2 * concentration * step).expm1()
    first = (exponent[:, 0] - largest).exp()
    tail = first * falling
    total = weight.sum(1) + tail
    value = total.log() + largest - 2 * concentration * log_scale
    value = value + (math.log(2.0) - log_gamma(concentration))
    in_logits = ((weight * slope[1:]).sum(1) + tail * slope[1]) / total
    sum_of_logs = (weight * bump.log_ratios).sum(1) + tail * bump.log_ratios[0]
    mean_log = (sum_of_logs - (first + tail) * falling * step) / total
    in_concentration = 2 * (mean_log - log_scale) - digamma(concentration)
    mean_square = ((weight * bump.squares).sum(1) + tail * bump.squares[0]) / total
    in_scale = 2 * (precision * mean_square - concentration) / resolved
    # A parabola where the scale is smaller, through the value at scale zero.
    share = scales / resolved
    rise = value - tabulated[0]
    bend = in_scale * resolved - rise
    return BumpSlopes(
        tabulated[0] + share * (rise + bend * (share - 1)),
        torch.lerp(slope[0], in_logits, share),
        in_concentration * share,
        (rise + bend * (2 * share - 1)) / resolved,
    )


class _Store:
    """Tables that have been needed, one after another, on a device."""

    def __init__(
        self, grid: RatioGrid, shared: bool, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.grid, self.shared = grid, shared
        ratios, weights = (part.unsqueeze(-1) for part in grid.ratios())
        smallest = torch.tensor(grid.smallest_scale)
        self.grid_parts = [
            part.to(device=device, dtype=dtype)
            for part in (ratios.log(), ratios.square(), (weights / ratios).log(), smallest)
        ]
        self.rows = torch.empty(0, 2, 1 + len(ratios), device=device, dtype=dtype)
        self._slot = torch.full((1, 1), -1, device=device)

    def slots(self, zeros: Tensor, positives: Tensor) -> Tensor:
        """Which table is that of each entry; those not there yet are computed."""
        if not self.shared:
            positives = torch.zeros_like(positives)
        zeros, positives = zeros.long(), positives.long()
        most = int(zeros.max()), int(positives.max())
        missing = [max(0, own + 1 - size) for own, size in zip(most, self._slot.shape, strict=True)]
        self._slot = functional.pad(self._slot, (0, missing[1], 0, missing[0]), value=-1)
        slot = self._slot[zeros, positives]
        if bool((slot < 0).any()):
            new = torch.stack([zeros, positives], -1)[slot < 0].unique(dim=0)
            tables = [_table(*pair, self.grid, self.shared) for pair in new.tolist()]
            start = len(self.rows) // _num_logits()
            self._slot[new[:, 0], new[:, 1]] = start + torch.arange(len(new), device=slot.device)
            self.rows = torch.cat([self.rows, torch.cat(tables).to(self.rows)])
            slot = self._slot[zeros, positives]
        return slot


@cache
def _store(grid: RatioGrid, shared: bool, device: torch.device, dtype: torch.dtype) -> _Store:
    return _Store(grid, shared, device, dtype)


def _num_logits() -> int:
    return round((_HIGHEST_LOGIT - _LOWEST_LOGIT) / _LOGIT_SPACING) + 1


def _table(zeros: int, positives: int, grid: RatioGrid, shared: bool) -> Tensor:
    """Value and slope in the logit at every logit, shape (logits, 2, 1 + nodes)."""
    logits = torch.linspace(_LOWEST_LOGIT, _HIGHEST_LOGIT, _num_logits(), dtype=torch.float64)
    expected = functional.pad(grid.ratios()[0], (1, 0))
    return bump_of_ratios(zeros, positives, logits, expected, shared=shared)


def bump_of_ratios(
    zeros: int, positives: int, logits: Tensor, expected: Tensor, *, shared: bool
) -> Tensor:
    """Log of the bump given rho, averaged over the noise of r where the error is shared.

    Parameters
    ----------
    zeros, positives
        m0 and m.
    logits
        Of pi, shape (logits,), float64.
    expected
        rho, shape (ratios,), float64.

    Returns
    -------
    Tensor
        Value and slope in the logit, shape (logits, 2, ratios).
    """
    own = Zeros(torch.tensor(float(zeros), dtype=torch.float64), logits.unsqueeze(-1))
    if not shared:
        return torch.stack([own.log_excess(expected), own.slope_in_logits(expected)], 1)
    deviation = (1 + positives) ** -0.5
    step = min(0.25, _NOISE_STEP * deviation)
    lowest, highest = noise_range(torch.tensor(deviation**2, dtype=torch.float64))
    ratio = torch.arange(float(lowest), float(highest), step, dtype=torch.float64)
    standard = (ratio - expected.unsqueeze(-1)) / deviation
    log_density = -0.5 * (standard.square() + math.log(2 * math.pi)) + math.log(step / deviation)
    terms = own.log_excess(ratio).unsqueeze(1) + log_density
    value = terms.logsumexp(-1)
    weights = (terms - value.unsqueeze(-1)).exp()
    slope = torch.einsum("lpr,lr->lp", weights, own.slope_in_logits(ratio))
    return torch.stack([value, slope], 1)


@lru_cache(maxsize=64)
def _rows_of_ratios(
    zeros: int, positives: int, grid: RatioGrid, logits: tuple[float, ...], shared: bool
) -> Tensor:
    """As :func:`bump_of_ratios`, at rho = 0 and on a grid, kept for the next concentration."""
    expected = functional.pad(grid.ratios()[0], (1, 0))
    logits = torch.tensor(logits, dtype=torch.float64)
    return bump_of_ratios(zeros, positives, logits, expected, shared=shared)


def bump_over_scales(
    zeros: int,
    positives: int,
    logits: Tensor,
    modes: Tensor,
    concentration: float,
    *,
    shared: bool,
) -> Tensor:
    """Log of the bump where the noise scale is integrated out, as :func:`bump_of_ratios`.

    ``modes`` are those of r, shape (modes,), and ``concentration`` is that of the scale given the
    bootstraps that are not zero.
    """
    grid = next((grid for grid in GRIDS if concentration <= grid.concentration), _FINEST_GRID)
    if not shared and zeros > grid.zeros:
        grid = _DEEPEST_GRID
    rows = _rows_of_ratios(zeros, positives, grid, tuple(logits.tolist()), shared)
    store = _store(grid, shared, logits.device, logits.dtype)
    bump = TabulatedBump(*store.grid_parts, rows, rows, torch.zeros_like(logits))
    scales = (modes / math.sqrt(concentration)).unsqueeze(-1).expand(-1, len(logits))
    slopes = bump_at_scales(bump, scales, torch.full_like(logits, concentration))
    return torch.stack([slopes.value.T, slopes.in_logits.T], 1)
