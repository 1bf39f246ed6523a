"""Functions for compiled loops have the accuracy that they promise, inlined into such a loop.

Alone a function may be compiled to other instructions than within a loop that is vectorised.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

from exvae.models.distributions import float32_math

# What float32 rounds to, as a share.
ROUNDING = float(np.finfo(np.float32).eps)


def in_loop(function: Callable) -> Callable[..., NDArray]:
    """Compile a loop over the arguments of a function, into which it is inlined."""

    @numba.njit(**float32_math.OPTIONS)
    def loop(*columns):
        result = np.empty(len(columns[0]), np.float32)
        for i in range(len(result)):
            if len(columns) == 1:
                result[i] = function(columns[0][i])
            else:
                result[i] = function(columns[0][i], columns[1][i])
        return result

    return loop


def part(function: Callable, index: int) -> Callable:
    """Give one result of a function that has two."""

    @numba.njit(inline="always")
    def one(x):
        return function(x)[index]

    return one


def geometric(low: float, high: float) -> NDArray:
    return np.geomspace(low, high, 50_001).astype(np.float32)


def linear(low: float, high: float) -> NDArray:
    return np.linspace(low, high, 50_001).astype(np.float32)


def stirling_remainder(x: NDArray) -> NDArray:
    """Remainder of Stirling's formula in float64; by its series where that is a difference."""
    far = np.maximum(x, 10.0)
    series = 1 / (12 * far) - 1 / (360 * far**3) + 1 / (1260 * far**5) - 1 / (1680 * far**7)
    near = np.minimum(x, 10.0)
    stirling = (near - 0.5) * np.log(near) - near + 0.5 * np.log(2 * np.pi)
    return np.where(x < 10, scipy.special.gammaln(near) - stirling, series)


def digamma_excess(x: NDArray) -> NDArray:
    """Digamma(x) - log(x) in float64, by its series where that is a difference."""
    far = np.maximum(x, 100.0)
    series = -1 / (2 * far) - 1 / (12 * far**2) + 1 / (120 * far**4)
    near = np.minimum(x, 100.0)
    return np.where(x < 100, scipy.special.digamma(near) - np.log(near), series)


def check(
    function: Callable,
    expected: NDArray,
    *columns: NDArray,
    absolute: float = 0.0,
    relative: float = 2 * ROUNDING,
) -> None:
    actual = in_loop(function)(*columns)
    np.testing.assert_allclose(actual.astype(float), expected, rtol=relative, atol=absolute)


@pytest.mark.parametrize(
    "x", [geometric(1.2e-38, 3e38), linear(0.5, 2.0), np.float32([1.0])], ids=["all", "near 1", "1"]
)
def test_log(x: NDArray) -> None:
    check(float32_math.log, np.log(x.astype(float)), x)


def test_log1p() -> None:
    x = np.concatenate([geometric(1e-30, 1e30), -geometric(1e-30, 0.9999)])
    check(float32_math.log1p, np.log1p(x.astype(float)), x)


def test_log1p_keeps_its_compensation_in_a_loop() -> None:
    """Reassociated, what rounding took from 1 + x is zero, and the product is off by percents."""

    @numba.njit(inline="always")
    def product(x):
        return (x + np.float32(0.5)) * float32_math.log1p(np.float32(1) / x)

    x = np.concatenate([geometric(0.1, 1e8), np.float32([1e6])])
    wide = x.astype(float)
    check(product, (wide + 0.5) * np.log1p(1 / wide), x, absolute=1e-6)
    assert in_loop(product)(np.float32([1e6]))[0] == pytest.approx(1.0, abs=1e-5)


def test_log_ratio_of_what_is_almost_one() -> None:
    """The slope of a large dispersion needs log((u + theta) / (mu + theta)) times theta."""

    @numba.njit(inline="always")
    def scaled(u, theta):
        mean = np.float32(30)
        per_total = np.float32(1) / (mean + theta)
        ratio, difference = (u + theta) * per_total, (u - mean) * per_total
        return theta * float32_math.log_ratio(ratio, difference)

    rng = np.random.default_rng(0)
    u = rng.uniform(0, 100, 50_000).astype(np.float32)
    theta = np.exp(rng.uniform(np.log(1e-2), np.log(1e7), len(u))).astype(np.float32)
    wide = u.astype(float), theta.astype(float)
    expected = wide[1] * np.log1p((wide[0] - 30) / (30 + wide[1]))
    check(scaled, expected, u, theta, absolute=1e-5, relative=4 * ROUNDING)


def test_reciprocal() -> None:
    x = geometric(1.0, 1e12)
    check(
        part(float32_math.reciprocal_and_remainder, 0),
        1 / x.astype(float),
        x,
        relative=3 * ROUNDING,
    )


@pytest.mark.parametrize(("lowest", "absolute"), [(1.0, 1.2e-4), (2.0, 2e-6)])
def test_remainder_of_stirlings_formula(lowest: float, absolute: float) -> None:
    x = geometric(lowest, 1e12)
    expected = stirling_remainder(x.astype(float))
    remainder = part(float32_math.reciprocal_and_remainder, 1)
    check(remainder, expected, x, absolute=absolute, relative=0)
    # Of large numbers it is small, and right as a share of it.
    far = geometric(100.0, 1e12)
    check(remainder, stirling_remainder(far.astype(float)), far, relative=4 * ROUNDING)


def test_remainder_of_small_numbers() -> None:
    x = geometric(1e-6, 1e12)
    expected = stirling_remainder(x.astype(float))
    check(float32_math.stirling_remainder_of_small, expected, x, absolute=4e-6)


def test_digamma_less_the_logarithm() -> None:
    """To a share of it: it is multiplied by the number itself."""
    x = geometric(1e-6, 1e9)
    check(float32_math.digamma_excess, digamma_excess(x.astype(float)), x, relative=1e-5)


def test_constant_of_the_negative_binomial() -> None:
    """With what depends on the count it is the log mass; here at one and theta of any size."""
    dispersion = geometric(1e-3, 1e6)
    mean = np.full_like(dispersion, 3.0)
    wide = dispersion.astype(float)
    total = wide + 3.0
    expected = 1 - 0.5 * np.log(2 * np.pi * 3.0 * total / wide) - stirling_remainder(wide)
    check(float32_math.negative_binomial_constant, expected, mean, dispersion, absolute=1e-5)
