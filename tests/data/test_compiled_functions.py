"""Compiled loops: functions of float64, threads and stamps."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from exvae.data import compiled_functions

MANY = 20_001


def in_loop(function: Callable, x: NDArray) -> NDArray:
    """Apply a function in a loop into which it is inlined and that is vectorised."""

    @numba.njit(**compiled_functions.OPTIONS)
    def loop(x):
        result = np.empty_like(x)
        for i in range(len(x)):
            result[i] = function(x[i])
        return result

    return loop(x)


def part(function: Callable, index: int) -> Callable:
    """Give one result of a function that has two."""

    @numba.njit(inline="always")
    def one(x):
        return function(x)[index]

    return one


def check(function: Callable, expected: NDArray, x: NDArray, **tolerance: float) -> None:
    np.testing.assert_allclose(in_loop(function, x), expected, **{"rtol": 0, **tolerance})


def test_log() -> None:
    x = np.concatenate([np.geomspace(1e-300, 1e300, MANY), np.linspace(0.5, 2.0, MANY)])
    check(compiled_functions.log, np.log(x), x, rtol=1e-13, atol=1e-15)


def test_log1p() -> None:
    x = np.concatenate([np.geomspace(1e-30, 1e30, MANY), -np.geomspace(1e-30, 0.9999, MANY)])
    check(compiled_functions.log1p, np.log1p(x), x, rtol=1e-13)


def test_exp() -> None:
    x = np.linspace(-650.0, 650.0, MANY)
    check(compiled_functions.exp, np.exp(x), x, rtol=1e-9)


def test_exp_is_finite_and_positive_beyond() -> None:
    x = np.array([-np.inf, -1e30, 1e30, np.inf])
    check(compiled_functions.exp, np.exp(np.clip(x, -650.0, 650.0)), x, rtol=1e-9)


def stirling_remainder(x: NDArray) -> NDArray:
    """By its series where it is a difference of large terms."""
    far, near = np.maximum(x, 30.0), np.minimum(x, 30.0)
    series = 1 / (12 * far) - 1 / (360 * far**3) + 1 / (1260 * far**5)
    stirling = (near - 0.5) * np.log(near) - near + 0.5 * np.log(2 * np.pi)
    return np.where(x < 30, gammaln(near) - stirling, series)


def digamma_deficit(x: NDArray) -> NDArray:
    """By its series where it is a difference of large terms."""
    far, near = np.maximum(x, 100.0), np.minimum(x, 100.0)
    series = 1 / (2 * far) + 1 / (12 * far**2) - 1 / (120 * far**4)
    return np.where(x < 100, np.log(near) - digamma(near), series)


def test_remainder_of_stirlings_formula() -> None:
    x = np.geomspace(1.0, 1e12, MANY)
    check(compiled_functions.stirling_remainder, stirling_remainder(x), 1 / x, atol=1e-7)
    x = np.geomspace(1e-6, 1e9, MANY)
    check(part(compiled_functions.stirling_of_any, 0), stirling_remainder(x), x, atol=1e-7)


def test_logarithm_less_digamma() -> None:
    """Also to a share of it: it is multiplied by the number itself."""
    x = np.geomspace(1.0, 1e12, MANY)
    check(compiled_functions.digamma_deficit, digamma_deficit(x), 1 / x, rtol=1e-6)
    x = np.geomspace(1e-6, 1e9, MANY)
    check(part(compiled_functions.stirling_of_any, 1), digamma_deficit(x), x, rtol=1e-6)


# What is compiled is found again

FOLDER = Path(compiled_functions.__file__).parents[1]


def stored_loops(source: str) -> Iterator[list[ast.FunctionDef]]:
    """Yield the functions within each function that numba stores."""
    for outer in ast.walk(ast.parse(source)):
        if isinstance(outer, ast.FunctionDef):
            yield [
                own
                for own in outer.body
                if isinstance(own, ast.FunctionDef)
                and any("cache" in ast.unparse(given) for given in own.decorator_list)
            ]


def calls_of_each_other(source: str) -> list[str]:
    """Names of stored functions that call another one of the same function."""
    found = []
    for loops in stored_loops(source):
        names = {own.name for own in loops}
        for own in loops:
            calls = [node.func for node in ast.walk(own) if isinstance(node, ast.Call)]
            if any(isinstance(call, ast.Name) and call.id in names for call in calls):
                found.append(own.name)
    return found


def test_stored_loops_hold_no_other_loop() -> None:
    """Numba finds them by the variables that they hold, and each run makes a loop anew."""
    loops = 0
    for place in FOLDER.glob("[dgme]*/**/*.py"):
        source = place.read_text()
        assert not calls_of_each_other(source), f"{place}: move what is called out of the function"
        loops += sum(map(len, stored_loops(source)))
    assert loops > 10
    decorated = "  @njit(cache=True)\n  def"
    source = f"def f():\n{decorated} a(x): pass\n{decorated} b(x): a(x)\n"
    assert calls_of_each_other(source) == ["b"]
