"""Scalar functions of float32 for compiled loops, written so that compilers vectorise them.

They are inlined into loops over nodes or entries. None of them branches, and divisions are few: on
the processors that this runs on, one costs as much as the rest of a logarithm.
"""

from __future__ import annotations

import numba
import numpy as np

f = np.float32
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
def exp(x):
    """Exponential, to rounding between -87 and 88; what lies beyond is as at these."""
    x = max(f(-87), min(f(x), f(88)))
    power = np.floor(x * f(1.44269504089) + f(0.5))
    rest = x - power * f(0.693359375) + power * f(2.12194440e-4)
    p = f(1.9875691500e-4)
    p = p * rest + f(1.3981999507e-3)
    p = p * rest + f(8.3334519073e-3)
    p = p * rest + f(4.1665795894e-2)
    p = p * rest + f(1.6666665459e-1)
    p = p * rest + f(5.0000001201e-1)
    value = p * rest * rest + rest + f(1)
    return _i(f(value).view(np.int32) + _i(_i(power) << _i(23))).view(np.float32)


@inlined
def log1p(x):
    """Logarithm of 1 + x, x > -1, also where x is small."""
    whole = f(1) + x
    return log(whole) + (x - (whole - f(1))) / whole


@inlined
def asinh(x):
    """Inverse of the hyperbolic sine for x >= 0."""
    return log(x + np.sqrt(x * x + f(1)))


@inlined
def log_ratio(ratio, difference):
    """Logarithm of a ratio known twice, as :func:`~.negative_binomial.log_ratio`."""
    rounded = ratio - f(1)
    lost = difference - rounded
    return log(ratio) + (lost * (f(1) - rounded) if abs(rounded) < f(0.5) else f(0))


@inlined
def softplus(x):
    """Logarithm of 1 + exp(x)."""
    return max(x, f(0)) + log(f(1) + exp(-abs(x)))


@inlined
def logaddexp(x, y):
    """Logarithm of exp(x) + exp(y)."""
    return max(x, y) + log(f(1) + exp(-abs(x - y)))


@inlined
def softplus_and_slope(x):
    """Logarithm of 1 + exp(x) and its derivative, at the price of one exponential."""
    small = exp(-abs(x))
    whole = f(1) + small
    return max(x, f(0)) + log(whole), (f(1) if x > f(0) else small) / whole


@inlined
def sigmoid(x):
    """Inverse of the logit."""
    return f(1) / (f(1) + exp(-x))


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
def log_gamma(x):
    """Log Gamma(x) for x > 0 in nats, within 1e-5; a few roundings where it is large."""
    return (x - f(0.5)) * log(x) - x + f(0.918938533) + stirling_remainder_of_small(x)


@inlined
def digamma_excess(x):
    """Digamma(x) - log(x) for x > 0, within 1e-5 of it: by the recurrence, then the series."""
    inverse = f(1) / (x + f(2))
    square = inverse * inverse
    series = f(0.5) * inverse + square * (f(1 / 12) - square * (f(1 / 120) - square * f(1 / 252)))
    # Not a difference of logarithms: it is multiplied by x, which may be large.
    return log1p(f(2) / x) - series - f(1) / x - f(1) / (x + f(1))


@inlined
def digamma_excess_of_large(inverse):
    """As :func:`digamma_excess` for 1 / x, x >= 1, within 2e-3; 5e-5 of it from x = 2 on."""
    square = inverse * inverse
    return f(-0.5) * inverse - square * (f(1 / 12) - square * (f(1 / 120) - square * f(1 / 252)))
