"""numba's compiler, and functions of float64 for compiled loops.

The functions have no branches, so that compilers vectorise them. Modules with compiled loops take
``njit`` from here, because numba aborts the process if it is loaded without enough memory.
"""

from __future__ import annotations

import numpy as np

from .memory import FOR_COMPILED_LOOPS, require_memory
from .special_functions import REMAINDER

require_memory(FOR_COMPILED_LOOPS)
from numba import njit  # noqa: E402

# Nothing that undoes compensated differences; division by zero gives an infinity, as in numpy.
OPTIONS = {"error_model": "numpy", "fastmath": {"contract", "nsz"}, "nogil": True}
inlined = njit(forceinline=True, **OPTIONS)

_MANTISSA_BITS = 52
_BITS_OF_ROOT_HALF = 0x3FE6A09E667F3BCD
_LOG_2 = 0.6931471805599453
# log(2) in two parts, the first of which has no digits to lose when multiplied by an exponent.
_LOG_2_HIGH, _LOG_2_LOW = 0.693145751953125, 1.42860682030941723212e-6
# Products of the smallest exponential with a factor above 1e-25 are normal numbers, too: processors
# take a hundred times longer for those below.
_LARGEST_EXPONENT = 650.0
HALF_LOG_2_PI = 0.9189385332046727
# Of a polynomial in 1 / x for (log(x) - digamma(x) - 1 / (2 x)) x^2, as ``REMAINDER`` is.
_DEFICIT = (-9.02543e-4, 1.988585e-3, 1.477235e-3, -8.714546e-3, 3.37247e-5, 0.08333286)


# Step of the state of SplitMix64.
SPLITMIX_STEP = 0x9E3779B97F4A7C15


@inlined
def mixed_bits(state):
    """Give 64 random bits for a state of SplitMix64, uint64.

    States follow one another by :data:`SPLITMIX_STEP`.

    Steele, Lea & Flood, Proceedings of OOPSLA, 2014.
    """
    mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@inlined
def exp(x):
    """Exponential within 1e-9 of itself between -650 and 650; beyond, as at these."""
    x = max(-_LARGEST_EXPONENT, min(x, _LARGEST_EXPONENT))
    power = np.floor(x * (1 / _LOG_2) + 0.5)
    rest = x - power * _LOG_2_HIGH - power * _LOG_2_LOW
    series = 1 / 40320
    for coefficient in (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0):
        series = series * rest + coefficient
    bits = np.float64(series).view(np.int64) + (np.int64(power) << _MANTISSA_BITS)
    return np.int64(bits).view(np.float64)


@inlined
def _log(x, excess):
    """Logarithm of x, given x - 1, by the series of the inverse hyperbolic tangent."""
    bits = np.float64(x).view(np.int64)
    exponent = np.int64(bits - _BITS_OF_ROOT_HALF) >> _MANTISSA_BITS
    mantissa = np.int64(bits - (exponent << _MANTISSA_BITS)).view(np.float64)
    excess = excess if exponent == 0 else mantissa - 1
    ratio = excess / (2 + excess)
    square = ratio * ratio
    series = 1 / 15
    for coefficient in (1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3):
        series = series * square + coefficient
    return np.float64(exponent) * _LOG_2 + 2 * (ratio + ratio * square * series)


@inlined
def log(x):
    """Natural logarithm of a positive normal number, within 1e-13 of itself."""
    return _log(x, x - 1)


@inlined
def log1p(x):
    """Logarithm of 1 + x for x > -1, also where x is small."""
    return _log(1 + x, x)


@inlined
def stirling_remainder(inverse):
    """Remainder of Stirling's formula for log Gamma(1 / inverse), within 1e-7 for inverse <= 1.

    The formula is log Gamma(x) = (x - 1/2) log x - x + log(2 pi) / 2 + remainder.
    """
    series = 0.0
    for coefficient in REMAINDER:
        series = series * inverse + coefficient
    return series * inverse


@inlined
def digamma_deficit(inverse):
    """log(x) - digamma(x) for x = 1 / inverse, within 5e-7 for inverse <= 1."""
    series = 0.0
    for coefficient in _DEFICIT:
        series = series * inverse + coefficient
    return (0.5 + series * inverse) * inverse


@inlined
def stirling_of_any(x):
    """Remainder of Stirling's formula, and log(x) - digamma(x), for any x > 0, by recurrence."""
    per_x, per_next = 1 / x, 1 / (x + 1)
    step = log1p(per_x)
    remainder = stirling_remainder(per_next) + (x + 0.5) * step - 1
    return remainder, digamma_deficit(per_next) + per_x - step
