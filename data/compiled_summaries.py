"""Moments and quantiles of draws of one entry, in compiled loops."""

from __future__ import annotations

import numpy as np

from .compiled_functions import OPTIONS, log, njit

# Sums may be taken in any order.
_OF_SUMS = {**OPTIONS, "fastmath": {"contract", "nsz", "reassoc"}}
# Parts of the range of the draws within which quantiles are interpolated.
PARTS = 512
# Draws whose product of 1 + value is within float64, for values up to 1e9.
_TOGETHER = 16


@njit(**_OF_SUMS)
def moments_of(draws, found):
    """Compute mean, standard deviation and mean of log1p of draws >= 0, shape (draws,).

    ``found``, shape (3,), gets them.
    """
    number = len(draws)
    total = 0.0
    for k in range(number):
        total += np.float64(draws[k])
    mean = total / number
    squares = 0.0
    for k in range(number):
        deviation = draws[k] - mean
        squares += deviation * deviation
    logarithm, steps = 0.0, number // _TOGETHER
    for k in range(steps):  # one logarithm for several factors
        product = 1.0
        for part in range(_TOGETHER):
            product *= 1 + np.float64(draws[k + part * steps])
        logarithm += log(product)
    for k in range(steps * _TOGETHER, number):
        logarithm += log(1 + np.float64(draws[k]))
    found[0] = mean
    found[1] = np.sqrt(squares / max(1, number - 1))
    found[2] = logarithm / number


@njit(**OPTIONS)
def share_above(draws, threshold):
    """Share of draws, shape (draws,), above a threshold."""
    number = 0
    for k in range(len(draws)):
        number += draws[k] > threshold
    return number / len(draws)


@njit(**OPTIONS)
def quantiles_of(draws, levels, counts, found):
    """Quantiles of draws >= 0, shape (draws,), in ascending order of ``levels``, shape (levels,).

    The range of the draws is divided in :data:`PARTS`, evenly on the scale of the bits of 1 + draw
    in float32, which is linear between powers of two. Draws in a part are taken to be spread evenly
    over it. ``counts``, shape (PARTS,), is working memory; ``found``, shape (levels,), gets them.
    """
    least = most = np.float32(draws[0] + np.float32(1.0)).view(np.int32)
    for k in range(len(draws)):
        bits = np.float32(draws[k] + np.float32(1.0)).view(np.int32)
        least, most = min(least, bits), max(most, bits)
    width = np.float32(PARTS / (np.float64(most - least) + 1) * (1 - 1e-6))
    counts[:] = 0
    for k in range(len(draws)):
        bits = np.float32(draws[k] + np.float32(1.0)).view(np.int32)
        counts[np.uint64(np.float32(bits - least) * width)] += 1
    below, part = 0, 0
    for number in range(len(levels)):
        goal = levels[number] * len(draws)
        while part < PARTS - 1 and below + counts[part] < goal:
            below += counts[part]
            part += 1
        place = part + (goal - below) / max(1, counts[part])
        bits = np.int32(least + min(place / width, np.float64(most - least)))
        found[number] = max(0.0, np.float64(np.int32(bits).view(np.float32)) - 1.0)
