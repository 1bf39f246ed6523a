"""Strata of distributions: draws that share out the probability evenly.

N draws of one variable take one value from each N-th of its probability. Draws of several variables
are points of a scrambled Sobol sequence (Owen, Journal of Complexity 14, 1998), which are spread
evenly over pairs and triples of them, too. Their strata are shifted at random, exclusive-or, anew
for each entry. Moments and quantiles of such draws are those of several times N independent ones.
Draws come in slices, one for each value of what they depend on; each slice of the size of a power
of two alone has its values spread evenly.

The value of a stratum is its mean, so that means over all strata are exact. Those of gamma
distributions are tabulated: a gamma variable divided by its shape changes so slowly with the shape
that it can be interpolated.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammainc, gammaincinv
from torch.quasirandom import SobolEngine

# Sequences of strata, and variables in each.
SEQUENCES, VARIABLES = 32, 32
# Tabulated shapes: powers of two from the first to the last exponent, and steps between them.
FIRST_EXPONENT, LAST_EXPONENT, STEPS = -14, 14, 4


@lru_cache(maxsize=2)
def gamma_strata(number: int) -> np.ndarray:
    """Tabulate Gamma(shape, 1) / shape by strata.

    Parameters
    ----------
    number
        Number of strata.

    Returns
    -------
    numpy.ndarray
        Shape (shapes, strata, 2), float32: the mean of the stratum, and how far the one of the next
        shape lies above it. Shapes are 2^e (1 + i / :data:`STEPS`), in ascending order.
    """
    exponents = np.arange(FIRST_EXPONENT, LAST_EXPONENT + 1)
    shapes = (2.0 ** exponents[:, None] * (1 + np.arange(STEPS) / STEPS)).ravel()
    shapes = shapes[: len(shapes) - STEPS + 1, None]
    ends = gammaincinv(shapes, np.linspace(0, 1, number + 1))
    means = number * np.diff(gammainc(shapes + 1, ends), axis=1)
    return np.stack([means[:-1], np.diff(means, axis=0)], -1).astype(np.float32)


def strata_of(draws: np.ndarray, number: int) -> np.ndarray:
    """Means of the strata of many draws, shape (draws,), a multiple of ``number``; (number,)."""
    return np.sort(draws).reshape(number, -1).mean(1).astype(np.float32)


@lru_cache(maxsize=2)
def sobol_strata(slices: int, size: int, strata: int) -> np.ndarray:
    """Strata of draws of several variables, always the same ones.

    Parameters
    ----------
    slices, size
        Number of slices, and of draws in each, best a power of two.
    strata
        Number of strata, a power of two.

    Returns
    -------
    numpy.ndarray
        Shape (sequences, variables, slices * size), int16: points of scrambled Sobol sequences. The
        first variable is the same in all sequences; the others of two sequences are not related.
    """
    generator = np.random.default_rng(0)
    number = slices * size
    mixed = np.argsort(generator.random((slices, size)), axis=1)
    sequences = []
    for seed in range(SEQUENCES):
        points = SobolEngine(VARIABLES, scramble=True, seed=seed).draw(number).double().numpy()
        of_slices = points.reshape(slices, size, VARIABLES)
        # Points of a slice in the order of the first variable, and then in the same random order.
        order = np.take_along_axis(of_slices[:, :, 0].argsort(1), mixed, 1)
        ordered = np.take_along_axis(of_slices, order[:, :, None], 1).reshape(number, VARIABLES)
        sequences.append(np.minimum(ordered.T * strata, strata - 1).astype(np.int16))
    found = np.stack(sequences)
    found[:, 0] = found[0, 0]
    return found
