"""The tabulated zero factor agrees with a double integral, and its slopes with differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import gammaln, log_ndtr, logsumexp

from exvae.models.zero_factor import Zeros
from exvae.models.zero_table import (
    GRIDS,
    BumpSlopes,
    TabulatedBump,
    bump_at_scales,
    coarsest_grid,
)

SCALES = (0.0, 0.003, 0.02, 0.2, 0.7, 2.5, 40.0)
CASES = [
    # zeros, positives, concentration, logit of pi
    (30.0, 0.0, 2.5, -4.0),
    (100.0, 0.0, 0.3, -8.3),
    (1.0, 0.0, 3.9, 1.7),
    (10.0, 20.0, 12.4, -2.1),
    (29.0, 1.0, 3.1, -6.5),
    (5.0, 30.0, 17.5, 0.0),
    (40.0, 60.0, 33.0, -3.3),
]


def log_excess(ratio: np.ndarray, zeros: float, logit: float) -> np.ndarray:
    """Log of (q / pi)^m0 - 1."""
    exponent = zeros * np.logaddexp(0.0, log_ndtr(-ratio) - logit)
    small = exponent < 1e-8
    grown = exponent + np.log(-np.expm1(-np.where(small, 1.0, exponent)))
    return np.where(small, np.log(np.maximum(exponent, 1e-300)), grown)


def brute_force(
    scale: float, zeros: float, positives: float, concentration: float, logit: float, shared: bool
) -> float:
    """Log of the bump, by sums over a fine grid in log w and in the noise of r."""
    step = 0.01
    low = 0.5 * (math.log(concentration) - 36 / concentration) - 2.0
    log_w = np.arange(low, 0.5 * math.log(concentration) + 2.0 + 2.0 / concentration, step)
    log_density = math.log(2) + 2 * concentration * log_w - np.exp(2 * log_w)
    log_density = log_density - gammaln(concentration) + math.log(step)
    expected = scale * np.exp(log_w)
    if not shared:
        return float(logsumexp(log_density + log_excess(expected, zeros, logit)))
    noise = np.arange(-9.0, 9.0, 0.1)
    log_noise = -0.5 * noise**2 - 0.5 * math.log(2 * math.pi) + math.log(0.1)
    ratio = expected[:, None] + noise * (1 + positives) ** -0.5
    inner = logsumexp(log_excess(ratio, zeros, logit) + log_noise, axis=1)
    return float(logsumexp(log_density + inner))


def bumps(case: tuple[float, ...], *, shared: bool = True, logit_shift: float = 0.0) -> BumpSlopes:
    zeros, positives, concentration, logit = torch.tensor(case, dtype=torch.float64).unsqueeze(-1)
    index = coarsest_grid(concentration, logit)
    bump = TabulatedBump.of(
        Zeros(zeros, logit + logit_shift), positives, GRIDS[int(index)], shared=shared
    )
    scales = torch.tensor(SCALES, dtype=torch.float64).unsqueeze(-1)
    return bump_at_scales(bump, scales, concentration)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_value_agrees_with_brute_force(case: tuple[float, ...], shared: bool) -> None:
    actual = bumps(case, shared=shared).value.squeeze(-1)
    for scale, value in zip(SCALES, actual.tolist(), strict=True):
        expected = brute_force(scale, *case, shared)
        # What matters is the logarithm of one plus the bump.
        assert np.logaddexp(0, value) == pytest.approx(np.logaddexp(0, expected), abs=1e-2), scale


@pytest.mark.parametrize("case", CASES)
def test_slope_in_the_logit(case: tuple[float, ...]) -> None:
    high, low = (bumps(case, logit_shift=shift).value for shift in (1e-4, -1e-4))
    torch.testing.assert_close(bumps(case).in_logits, (high - low) / 2e-4, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("case", CASES)
def test_slope_in_the_concentration(case: tuple[float, ...]) -> None:
    zeros, positives, concentration, logit = case
    high, low = (
        bumps((zeros, positives, concentration * (1 + shift), logit)).value
        for shift in (1e-4, -1e-4)
    )
    slope = bumps(case).in_concentration * concentration
    torch.testing.assert_close(slope, (high - low) / 2e-4, rtol=1e-2, atol=3e-2)


@pytest.mark.parametrize("case", CASES)
def test_slope_in_the_scale(case: tuple[float, ...]) -> None:
    zeros, positives, concentration, logit = torch.tensor(case, dtype=torch.float64).unsqueeze(-1)
    grid = GRIDS[int(coarsest_grid(concentration, logit))]
    bump = TabulatedBump.of(Zeros(zeros, logit), positives, grid, shared=True)
    scales = torch.tensor(SCALES, dtype=torch.float64).unsqueeze(-1)
    high, low = (
        bump_at_scales(bump, scales * (1 + shift), concentration).value for shift in (1e-4, -1e-4)
    )
    slope = bump_at_scales(bump, scales, concentration).in_scale * scales
    torch.testing.assert_close(slope, (high - low) / 2e-4, rtol=1e-3, atol=1e-3)


def test_entries_beyond_the_tables_are_told_apart() -> None:
    concentration = torch.tensor([1.0, 5.0, 30.0, 61.0, 1.0, 1.0])
    logits = torch.tensor([0.0, 0.0, 0.0, 0.0, -19.0, 15.0])
    assert coarsest_grid(concentration, logits).tolist() == [0, 1, 2, 3, 3, 3]


def test_entries_keep_their_own_tables() -> None:
    """Whatever was looked up before, and in whatever order."""
    zeros = torch.tensor([3.0, 30.0, 3.0, 7.0], dtype=torch.float64)
    positives = torch.tensor([27.0, 0.0, 27.0, 1.0], dtype=torch.float64)
    logits = torch.tensor([-3.0, -2.9, 1.1, -5.0], dtype=torch.float64)
    together = TabulatedBump.of(Zeros(zeros, logits), positives, GRIDS[2], shared=True)
    for i in (3, 0, 2, 1):
        one = slice(i, i + 1)
        own = Zeros(zeros[one], logits[one])
        alone = TabulatedBump.of(own, positives[one], GRIDS[2], shared=True)
        for whole, single in zip(together.interpolated(), alone.interpolated(), strict=True):
            torch.testing.assert_close(whole[:, one], single)
