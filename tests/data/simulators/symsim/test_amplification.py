"""Copies of molecules: one by one, their moments, and their sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from exvae.data.simulators.symsim.amplification import (
    Amplification,
    LinearAmplification,
    amplify_molecules,
    copy_moments,
)


@pytest.mark.parametrize(("efficiency", "mean"), [(0.6, 82), (0.8, 280), (1.0, 876)])
def test_moments_of_sixteen_cycles(efficiency: float, mean: float) -> None:
    copies = amplify_molecules(efficiency, 16, 200_000, np.random.default_rng(0))
    assert copies.min() >= 1
    np.testing.assert_array_equal(copies, np.rint(copies))
    expected, variation = copy_moments(np.array(efficiency), 16)
    assert expected == pytest.approx(mean, rel=0.01)
    error = np.sqrt(variation / 200_000)
    assert copies.mean() / expected == pytest.approx(1, abs=4 * error)
    # The fourth moment of so skewed a distribution is about 20 times the square of the variance.
    assert copies.var() / expected**2 == pytest.approx(variation, rel=4 * np.sqrt(20 / 200_000))


def test_moments_of_one_cycle_are_those_of_a_coin() -> None:
    mean, variation = copy_moments(np.array([0.3]), 1)
    np.testing.assert_allclose([mean, variation * mean**2], [[1.3], [0.3 * 0.7]])
    copies = amplify_molecules(0.3, 1, 10_000, np.random.default_rng(0))
    assert set(copies) == {1.0, 2.0}


@pytest.mark.parametrize("molecules", [1, 2, 10, 11, 40])
def test_sums_of_copies_are_distributed_as_sums_of_molecules(molecules: int) -> None:
    generator = np.random.default_rng(molecules)
    efficiency = np.array([0.6, 0.733, 0.9, 1.0])
    amplification = Amplification(efficiency, 16, generator)
    captured = np.full((5000, 4), molecules)
    drawn = amplification.draw_copies(captured, generator)
    for column, each in enumerate(efficiency):
        single = amplify_molecules(each, 16, 5000 * molecules, generator)
        sums = single.reshape(5000, molecules).sum(-1)
        # 0.017 is what a Gamma distribution is off by with eleven molecules; noise adds the rest.
        distance = stats.ks_2samp(drawn[:, column], sums).statistic
        assert distance < 0.017 + 1.95 * np.sqrt(2 / 5000)
        ratio = drawn[:, column].mean() / (molecules * copy_moments(each, 16)[0])
        assert ratio == pytest.approx(1, abs=4 * np.sqrt(0.8 / (5000 * molecules)))


def test_genes_with_and_without_molecules_keep_their_places() -> None:
    generator = np.random.default_rng(0)
    captured = generator.integers(0, 25, (50, 6)) * generator.integers(0, 2, (50, 6))
    copies = Amplification(np.full(6, 0.8), 16, generator).draw_copies(captured, generator)
    np.testing.assert_array_equal(copies == 0, captured == 0)
    assert stats.spearmanr(copies.ravel(), captured.ravel()).statistic > 0.9
    nothing = np.zeros((3, 6), np.int64)
    copies = Amplification(np.full(6, 0.8), 16, generator).draw_copies(nothing, generator)
    np.testing.assert_array_equal(copies, 0)


@pytest.mark.parametrize("reads", [1e-3, 0.1, 1.0, 7.0, 50.0])
def test_the_share_of_molecules_seen(reads: float) -> None:
    generator = np.random.default_rng(0)
    efficiency = np.array([0.6, 0.8, 1.0])
    seen = Amplification(efficiency, 16, generator).share_seen(np.full((1, 3), reads))
    for share, each in zip(seen[0], efficiency, strict=True):
        copies = amplify_molecules(each, 16, 100_000, generator)
        unseen = np.exp(-reads * copies / copies.mean())
        # The table rests on ten thousand molecules.
        error = unseen.std() * np.sqrt(1 / 10_000 + 1 / 100_000)
        assert share == pytest.approx(1 - unseen.mean(), abs=4 * error + 1e-3 * share)


def test_no_and_endless_reads() -> None:
    amplification = Amplification(np.array([0.6, 1.0]), 16, np.random.default_rng(0))
    seen = amplification.share_seen(np.array([[0.0, 1e-9], [1e9, 0.0]]))
    np.testing.assert_allclose(seen, [[0, 0], [1, 0]], atol=1e-5)


def test_linear_amplification_gives_every_molecule_as_many_copies() -> None:
    linear = LinearAmplification(2000, 2)
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(linear.draw_copies(np.array([[0, 3]]), generator), [[0, 6000]])
    np.testing.assert_allclose(linear.share_seen(np.array([[0.0, 1.0]])), [[0, 1 - np.exp(-1)]])
