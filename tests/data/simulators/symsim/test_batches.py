"""Batch effects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from exvae.data.simulators.symsim.batches import add_batch_effects


def test_one_batch_changes_nothing() -> None:
    counts = np.random.default_rng(0).poisson(5, (30, 20))
    effects = add_batch_effects(counts, 1, 1.0, np.random.default_rng(1))
    np.testing.assert_array_equal(effects.counts, counts)
    np.testing.assert_array_equal(effects.log2_factors, 0)
    np.testing.assert_array_equal(effects.batches, 0)


def test_batches_scale_genes() -> None:
    counts = np.full((600, 400), 10_000)
    counts[:, 0] = 0
    effects = add_batch_effects(counts, 2, 1.5, np.random.default_rng(0))
    assert effects.counts[:, 0].max() == 0
    # Binomial with probability one half.
    assert abs(effects.batches.mean() - 0.5) < 4 * 0.5 / np.sqrt(600)
    means = np.stack([effects.counts[effects.batches == batch].mean(0) for batch in (0, 1)])
    differences = np.diff(np.log2(means[:, 1:]), axis=0)[0]
    np.testing.assert_allclose(
        differences, np.diff(effects.log2_factors[:, 1:], axis=0)[0], atol=0.01
    )
    # The difference of two uniform variables, whatever the centre that SymSim adds to both.
    triangle = stats.triang(0.5, loc=-3, scale=6)
    assert stats.ks_1samp(differences, triangle.cdf).pvalue > 1e-3
    np.testing.assert_allclose(effects.log2_factors.sum(0), 0, atol=1e-12)
    within = np.log2(effects.counts[effects.batches == 0][:, 1])
    assert within.std() == pytest.approx(0.01, rel=0.2)
