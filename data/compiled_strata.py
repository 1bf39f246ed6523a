"""Stratified draws in compiled loops, see :mod:`exvae.data.strata`."""

from __future__ import annotations

import numpy as np

from .compiled_functions import OPTIONS, SPLITMIX_STEP, inlined, mixed_bits, njit
from .strata import FIRST_EXPONENT, LAST_EXPONENT, STEPS

_LEAST, _MOST = np.float32(2.0**FIRST_EXPONENT), np.float32(2.0**LAST_EXPONENT * (1 - 2.0**-24))
# Of float32, whose bits count in equal steps between powers of two.
_MANTISSA_BITS, _BIAS = 23, 127
_STEP_BITS = _MANTISSA_BITS - (STEPS.bit_length() - 1)
_FIRST_ROW = (FIRST_EXPONENT + _BIAS) * STEPS
_FRACTION = np.int32((1 << _STEP_BITS) - 1)
_PER_STEP = np.float32(2.0**-_STEP_BITS)
_ONE = np.float32(1.0)


@inlined
def row_of(shape):
    """Row of the table for a shape, and the way to the next one, between 0 and 1."""
    above = shape if shape > _LEAST else _LEAST  # also for NaN, which must lead to some row
    bits = np.float32(above if above < _MOST else _MOST).view(np.int32)
    return np.uint64((bits >> _STEP_BITS) - _FIRST_ROW), np.float32(bits & _FRACTION) * _PER_STEP


@inlined
def gamma_at(table, row, way, shape, stratum):
    """Value of Gamma(shape, 1) in a stratum, given the place of the shape in the table."""
    place = np.uint64(stratum)  # numba looks for negative places of signed ones
    value = table[row, place, 0] + way * table[row, place, 1]
    if shape > _MOST:  # deviations are in proportion to the root of the shape
        value = _ONE + (value - _ONE) * np.float32(np.sqrt(_MOST / shape))
    return value * shape


@njit(**OPTIONS)
def random_bits(state):
    """Advance a generator, and give 64 random bits.

    Its state is the first of ``state``, shape (states,), uint64.
    """
    state[0] += np.uint64(SPLITMIX_STEP)
    return mixed_bits(state[0])


@njit(**OPTIONS)
def random_shift(state, strata):
    """Draw the shift of a variable: strata, a power of two in number, are taken exclusive-or it."""
    return np.int16(random_bits(state) % np.uint64(strata))
