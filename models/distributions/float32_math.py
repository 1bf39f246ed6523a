"""Scalar functions of float32 for compiled loops, written so that compilers vectorise them.

They are inlined into loops over nodes or entries. None of them branches, and divisions are few: on
the processors that this runs on, one costs as much as the rest of a logarithm.
"""

from __future__ import annotations

import math

import numba
import numpy as np

f = np.float32
_LOG_TWO_PI = math.log(2 * math.pi)
_i = np.int32

# Division by zero gives an infinity, as in numpy: a check of every divisor is a branch.
OPTIONS = {
    "error_model": "numpy",
    # Nothing that undoes compensated sums, and no faith in finite results: they are checked.
    "fastmath": {"contract", "nsz"},
    "nogil": True,
}
inlined = numba.njit(forceinline=True, **OPTIONS)


@inlined
def log(x):
    """Natural logarithm of a positive normal number, to rounding (Cephes' polynomial)."""
    bits = f(x).view(np.int32)
    exponent = _i(_i(bits - _i(0x3F3504F3)) >> _i(23))
    mantissa = _i(bits - _i(exponent << _i(23))).view(np.float32) - f(1)
    square = mantissa * mantissa
    p = f(7.0376836292e-2)
    p = p * mantissa + f(-1.1514610310e-1)
    p = p * mantissa + f(1.1676998740e-1)
    p = p * mantissa + f(-1.2420140846e-1)
    p = p * mantissa + f(1.4249322787e-1)
    p = p * mantissa + f(-1.6668057665e-1)
    p = p * mantissa + f(2.0000714765e-1)
    p = p * mantissa + f(-2.4999993993e-1)
    p = p * mantissa + f(3.3333331174e-1)
    scale = f(exponent)
    tail = p * square * mantissa + scale * f(-2.12194440e-4) - f(0.5) * square
    return mantissa + tail + scale * f(0.693359375)


@inlined
def log1p(x):
    """Logarithm of 1 + x, x > -1, also where x is small."""
    whole = f(1) + x
    return log(whole) + (x - (whole - f(1))) / whole


@inlined
def log_ratio(ratio, difference):
    """Logarithm of a ratio known twice, as :func:`~.negative_binomial.log_ratio`."""
    rounded = ratio - f(1)
    lost = difference - rounded
    return log(ratio) + (lost * (f(1) - rounded) if abs(rounded) < f(0.5) else f(0))


@inlined
def reciprocal_and_remainder(x):
    """1 / x and the remainder of Stirling's formula for x >= 1, at the price of one division.

    The remainder is within 1.2e-4 nats; within 2e-6 from x = 2 on.
    """
    square = x * x
    lower = square + f(53 / 210 + 1 / 30)
    inverse = f(1) / (x * lower)
    return lower * inverse, f(1 / 12) * (square + f(53 / 210)) * inverse


@inlined
def stirling_remainder_of_small(x):
    """Remainder of Stirling's formula for any x > 0 by the recurrence of Gamma."""
    one, two = x + f(1), x + f(2)
    shifted = (x + f(0.5)) * log1p(f(1) / x) + (x + f(1.5)) * log1p(f(1) / one)
    return reciprocal_and_remainder(two)[1] + shifted - f(2)


@inlined
def digamma_excess(x):
    """Digamma(x) - log(x) for x > 0, within 1e-5 of it: by the recurrence, then the series."""
    inverse = f(1) / (x + f(2))
    square = inverse * inverse
    series = f(0.5) * inverse + square * (f(1 / 12) - square * (f(1 / 120) - square * f(1 / 252)))
    # Not a difference of logarithms: it is multiplied by x, which may be large.
    return log1p(f(2) / x) - series - f(1) / x - f(1) / (x + f(1))


@inlined
def negative_binomial_constant(mean, dispersion):
    """Part of the log mass of a negative binomial that is the same for all counts above zero."""
    return (
        f(1)
        - f(0.5) * (f(_LOG_TWO_PI) + log1p(mean / dispersion) + log(mean))
        - stirling_remainder_of_small(dispersion)
    )
