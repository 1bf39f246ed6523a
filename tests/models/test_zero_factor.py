"""The zero factor agrees with integrals on fine grids, also where the integrand has two bumps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import gammaln, log_ndtr, logsumexp
from torch import Tensor
from torch.nn import functional

from exvae.models.zero_factor import (
    NormalRatio,
    ScaleMixtureRatio,
    Zeros,
    log_bump_independent,
    log_bump_shared,
)

# m0, m, logit of pi, concentration, mode of r. Of most the integrand has two bumps: r is small and
# all zeros are noise, or r is as expected and they were dropped.
CASES = [
    (30, 0, -7.0, 2.5, 0.0),
    (47, 23, -6.58, 11.8, 579.0),  # r is expected far beyond the normal tail
    (62, 53, -5.38, 29.0, 40.4),
    (43, 0, -2.376, 4.8, 0.796),  # Newton's method goes to and fro
    (100, 0, 0.0, 45.6, 11.07),  # half of the bootstraps are dropped
    (22, 0, -0.02, 104.0, 4.588),  # both bumps as large
    (43, 12, -3.15, 41.1, 3.8),
    (1, 0, 2.0, 0.6, 2.0),
    (5, 100, -12.0, 52.0, 9.0),
]


def log_excess(ratio: NDArray, zeros: float, logit: float) -> NDArray:
    """Log of (q / pi)^m0 - 1."""
    exponent = zeros * np.logaddexp(0.0, log_ndtr(-ratio) - logit)
    small = exponent < 1e-8
    grown = exponent + np.log(-np.expm1(-np.where(small, 1.0, exponent)))
    return np.where(small, np.log(np.maximum(exponent, 1e-300)), grown)


def averaged(expected: NDArray, zeros: int, positives: int, logit: float) -> NDArray:
    """Log of the bump given what r is expected to be, over its noise."""
    deviation = (1 + positives) ** -0.5
    step = 0.1 * deviation
    ratio = np.arange(-8 - 9 * deviation, 14, step)
    log_noise = -0.5 * ((ratio - expected[:, None]) / deviation) ** 2
    log_noise += math.log(step / deviation) - 0.5 * math.log(2 * math.pi)
    return logsumexp(log_excess(ratio, zeros, logit) + log_noise, axis=1)


def over_scales(concentration: float, scale: float) -> tuple[NDArray, NDArray]:
    """Nodes in w, w^2 ~ Gamma(concentration, 1), and the logarithms of their weights."""
    step = 0.1 / max(1.0, math.sqrt(concentration))
    low = min(0.5 * math.log(concentration), -math.log(max(scale, 1e-3))) - 6 - 30 / concentration
    log_w = np.arange(low, 0.5 * math.log(concentration) + 2 + 2 / concentration, step)
    log_density = math.log(2) + 2 * concentration * log_w - np.exp(2 * log_w)
    return np.exp(log_w), log_density - gammaln(concentration) + math.log(step)


def tensors(*numbers: float) -> list[Tensor]:
    return [torch.tensor(float(number), dtype=torch.float64) for number in numbers]


def check(log_bump: Tensor, expected: float, tolerance: float) -> None:
    """Compare logarithms of one plus the bump, which is what matters."""
    assert functional.softplus(log_bump).item() == pytest.approx(
        np.logaddexp(0.0, expected), abs=tolerance
    )


@pytest.mark.parametrize("case", CASES)
def test_shared_error_and_known_noise(case: tuple[float, ...]) -> None:
    m0, m, logit, _, mode = case
    zeros, ratio = Zeros(*tensors(m0, logit)), NormalRatio(*tensors(mode, 1 / (1 + m)))
    expected = averaged(np.array([float(mode)]), m0, m, logit)[0]
    check(log_bump_shared(zeros, ratio), expected, 1e-3)


@pytest.mark.parametrize("case", CASES)
def test_shared_error_and_adaptive_noise(case: tuple[float, ...]) -> None:
    m0, m, logit, concentration, mode = case
    scale = mode / math.sqrt(concentration)
    zeros = Zeros(*tensors(m0, logit))
    ratio = ScaleMixtureRatio(*tensors(scale, 1 / (1 + m), concentration))
    w, log_weight = over_scales(concentration, scale)
    expected = logsumexp(log_weight + averaged(scale * w, m0, m, logit))
    check(log_bump_shared(zeros, ratio), expected, 1e-2)


@pytest.mark.parametrize("case", CASES)
def test_independent_error_and_adaptive_noise(case: tuple[float, ...]) -> None:
    m0, _, logit, concentration, mode = case
    scale = mode / math.sqrt(concentration)
    w, log_weight = over_scales(concentration, scale)
    expected = logsumexp(log_weight + log_excess(scale * w, m0, logit))
    actual = log_bump_independent(Zeros(*tensors(m0, logit)), *tensors(scale, concentration))
    check(actual, expected, 1e-3)


def test_float32_is_as_good_as_its_rounding() -> None:
    m0, m, logit, concentration, mode = torch.tensor(CASES, dtype=torch.float64).T
    scale = mode * concentration.rsqrt()
    for function, ratio in (
        (log_bump_shared, (NormalRatio, mode, 1 / (1 + m))),
        (log_bump_shared, (ScaleMixtureRatio, scale, 1 / (1 + m), concentration)),
        (log_bump_independent, (None, scale, concentration)),
    ):
        both = []
        for dtype in (torch.float32, torch.float64):
            kind, *parts = ratio
            arguments = [part.to(dtype) for part in parts]
            arguments = arguments if kind is None else [kind(*arguments)]
            log_bump = function(Zeros(m0.to(dtype), logit.to(dtype)), *arguments)
            both.append(functional.softplus(log_bump).double())
        torch.testing.assert_close(*both, rtol=1e-5, atol=5e-3)
