"""Functions of float32 for compiled loops, against scipy in float64."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy import special

from exvae.models import float32_math


def stirling_remainder(x):
    return special.gammaln(x) - ((x - 0.5) * np.log(x) - x + 0.5 * np.log(2 * np.pi))


def digamma_excess(x):
    return special.digamma(x) - np.log(x)


def applied(function, x: np.ndarray) -> np.ndarray:
    """Apply a function in a compiled loop, where it is inlined and vectorised."""

    @numba.njit(**float32_math.OPTIONS)
    def loop(x, result):
        for i in range(len(x)):
            result[i] = function(x[i])

    result = np.empty_like(x)
    loop(x, result)
    return result


POSITIVE = np.geomspace(1e-3, 1e6, 2001).astype(np.float32)
ANY = np.linspace(-80, 80, 2001).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "expected", "x", "relative", "absolute"),
    [
        ("log", np.log, POSITIVE, 2e-7, 1e-7),
        ("exp", np.exp, ANY, 2e-7, 0.0),
        ("log1p", np.log1p, POSITIVE * np.float32(1e-3), 3e-7, 0.0),
        ("asinh", np.arcsinh, POSITIVE, 1e-6, 1e-6),
        ("softplus", lambda x: np.logaddexp(0, x), ANY, 1e-6, 1e-7),
        ("sigmoid", special.expit, ANY, 1e-6, 0.0),
        ("stirling_remainder_of_small", stirling_remainder, POSITIVE[:1000], 0.0, 1e-5),
        ("log_gamma", special.gammaln, POSITIVE[:1000], 1e-5, 1e-5),
        ("digamma_excess", digamma_excess, POSITIVE, 1e-5, 0.0),
    ],
)
def test_functions(name: str, expected, x: np.ndarray, relative: float, absolute: float) -> None:
    actual = applied(getattr(float32_math, name), x)
    np.testing.assert_allclose(actual, expected(x.astype(float)), rtol=relative, atol=absolute)


def test_compensated_sums_survive_the_compiler() -> None:
    # Multiplied by x, what log1p loses when it is simplified would be as large as the result.
    x = np.geomspace(1, 1e6, 500).astype(np.float32)
    product = numba.njit(lambda x: x * float32_math.log1p(np.float32(1) / x), error_model="numpy")
    expected = x.astype(float) * np.log1p(1 / x.astype(float))
    np.testing.assert_allclose(applied(product, x), expected, rtol=1e-6)


def test_remainder_of_large_arguments() -> None:
    x = np.geomspace(1, 1e4, 500).astype(np.float32)
    pair = [float32_math.reciprocal_and_remainder(value) for value in x]
    inverse, remainder = np.array(pair).T
    np.testing.assert_allclose(inverse, 1 / x, rtol=1e-6)
    np.testing.assert_allclose(remainder, stirling_remainder(x.astype(float)), atol=1.2e-4)
