"""Strata of distributions: means, quantiles, and how evenly draws are spread."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from exvae.data.compiled_strata import gamma_at, row_of
from exvae.data.strata import FIRST_EXPONENT, STEPS, gamma_strata, sobol_strata, strata_of

STRATA = 256


@pytest.mark.parametrize("shape", [1e-4, 0.013, 0.3, 1.0, 2.7, 40.0, 900.0, 1e6])
def test_interpolated_strata_are_those_of_the_gamma_distribution(shape: float) -> None:
    shape = np.float32(shape)
    row, way = row_of.py_func(shape)
    values = [
        gamma_at.py_func(gamma_strata(STRATA), row, way, shape, number) for number in range(STRATA)
    ]
    gamma = scipy.stats.gamma(float(shape))
    assert np.mean(values) == pytest.approx(shape, rel=2e-3)
    # Between the ends of its stratum lies each but for the interpolation.
    ends = gamma.ppf(np.linspace(0, 1, STRATA + 1))
    error = 0.03 * gamma.std() / max(1.0, float(shape) ** -0.5)
    assert (values >= ends[:-1] - error).all()
    assert (values[:-1] <= ends[1:-1] + error).all()


def test_shapes_of_the_table_have_exact_means() -> None:
    means = gamma_strata(STRATA)[..., 0].mean(1)
    np.testing.assert_allclose(means, 1, rtol=1e-5)
    row, way = row_of.py_func(np.float32(1.5))
    assert (row, way) == (-FIRST_EXPONENT * STEPS + STEPS // 2, 0)


def test_strata_of_draws_are_their_means() -> None:
    draws = np.random.default_rng(0).permutation(12.0 * np.arange(12))
    np.testing.assert_allclose(strata_of(draws, 3), [18, 66, 114])


def test_slices_of_draws_are_spread_evenly() -> None:
    strata = sobol_strata(4, 64, STRATA)
    assert (strata[:, 0] == strata[0, 0]).all()
    for variable in (0, 1, 7, 31):
        for own in strata[5, variable].reshape(4, 64):
            assert (np.bincount(own // 16, minlength=16) == 4).all()
        assert len(np.unique(strata[5, variable])) == STRATA
    # Two variables of one sequence, and those of two sequences, are not correlated.
    pairs = [
        (strata[3, 1], strata[3, 2]),
        (strata[3, 1], strata[4, 1]),
        (strata[0, 0], strata[9, 3]),
    ]
    assert all(abs(np.corrcoef(one, other)[0, 1]) < 0.15 for one, other in pairs)
