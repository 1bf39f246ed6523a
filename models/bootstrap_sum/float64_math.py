"""Scalar functions of float64 for compiled loops, without branches so that compilers vectorise."""

from __future__ import annotations

import numba
import numpy as np

# Nothing that undoes compensated differences; division by zero gives an infinity, as in numpy.
OPTIONS = {"error_model": "numpy", "fastmath": {"contract", "nsz"}, "nogil": True}
inlined = numba.njit(forceinline=True, **OPTIONS)

_MANTISSA_BITS = 52
_BITS_OF_ROOT_HALF = 0x3FE6A09E667F3BCD
_LOG_2 = 0.6931471805599453
_PER_LOG_2 = 1.4426950408889634
# log(2) in two parts, the first of which has no digits to lose when multiplied by an exponent.
_LOG_2_HIGH, _LOG_2_LOW = 0.693145751953125, 1.42860682030941723212e-6
_LARGEST_EXPONENT = 708.0
HALF_LOG_2_PI = 0.9189385332046727


@inlined
def exp(x):
    """Exponential within 1e-9 of itself between -708 and 708; beyond, as at these."""
    x = max(-_LARGEST_EXPONENT, min(x, _LARGEST_EXPONENT))
    power = np.floor(x * _PER_LOG_2 + 0.5)
    rest = x - power * _LOG_2_HIGH - power * _LOG_2_LOW
    series = 1 / 40320
    series = series * rest + 1 / 5040
    series = series * rest + 1 / 720
    series = series * rest + 1 / 120
    series = series * rest + 1 / 24
    series = series * rest + 1 / 6
    series = series * rest + 0.5
    series = (series * rest + 1) * rest + 1
    return np.int64(np.float64(series).view(np.int64) + (np.int64(power) << _MANTISSA_BITS)).view(
        np.float64
    )


@inlined
def _split(x):
    """Binary exponent of a positive number, and the rest of it between sqrt(1/2) and sqrt(2)."""
    bits = np.float64(x).view(np.int64)
    exponent = np.int64(bits - _BITS_OF_ROOT_HALF) >> _MANTISSA_BITS
    mantissa = np.int64(bits - (exponent << _MANTISSA_BITS)).view(np.float64)
    return np.float64(exponent), mantissa


@inlined
def _log_from(exponent, excess):
    """Logarithm of 2^exponent (1 + excess) by the series of the inverse hyperbolic tangent."""
    ratio = excess / (2 + excess)
    square = ratio * ratio
    series = 1 / 15
    series = series * square + 1 / 13
    series = series * square + 1 / 11
    series = series * square + 1 / 9
    series = series * square + 1 / 7
    series = series * square + 1 / 5
    series = series * square + 1 / 3
    return exponent * _LOG_2 + 2 * (ratio + ratio * square * series)


@inlined
def log(x):
    """Natural logarithm of a positive normal number, within 1e-13 of itself."""
    exponent, mantissa = _split(x)
    return _log_from(exponent, mantissa - 1)


@inlined
def log1p(x):
    """Logarithm of 1 + x for x > -1, also where x is small."""
    exponent, mantissa = _split(1 + x)
    return _log_from(exponent, x if exponent == 0 else mantissa - 1)


@inlined
def softplus(x):
    """Logarithm of 1 + exp(x)."""
    return max(x, 0.0) + log1p(exp(-abs(x)))


@inlined
def logaddexp(x, y):
    """Logarithm of exp(x) + exp(y)."""
    return max(x, y) + log1p(exp(-abs(x - y)))


@inlined
def sigmoid(x):
    """Inverse of the logit."""
    return 1 / (1 + exp(-x))


@inlined
def stirling_remainder(inverse):
    """Remainder of Stirling's formula for log Gamma(1 / inverse), within 2e-7 for inverse <= 1/3.

    The formula is log Gamma(x) = (x - 1/2) log x - x + log(2 pi) / 2 + remainder.
    """
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680))))


@inlined
def digamma_deficit(inverse):
    """log(x) - digamma(x) for x = 1 / inverse, within 2e-7 for inverse <= 1/3."""
    square = inverse * inverse
    series = 1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240)))
    return 0.5 * inverse + square * series


@inlined
def remainder_of_any(x):
    """Remainder of Stirling's formula for any x > 0, by three steps of Gamma's recurrence."""
    one, two = x + 1, x + 2
    steps = (x + 0.5) * log1p(1 / x) + (one + 0.5) * log1p(1 / one) + (two + 0.5) * log1p(1 / two)
    return stirling_remainder(1 / (x + 3)) + steps - 3


@inlined
def digamma_deficit_of_any(x):
    """log(x) - digamma(x) for any x > 0, by three steps of the recurrence."""
    return digamma_deficit(1 / (x + 3)) - log1p(3 / x) + 1 / x + 1 / (x + 1) + 1 / (x + 2)
