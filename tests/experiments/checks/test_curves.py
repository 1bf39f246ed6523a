"""Curves of checks, against means over bins that are counted one by one."""

from __future__ import annotations

import numpy as np
import torch

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.checks.bins import LogBins
from exvae.experiments.checks.cells import CellStatistics
from exvae.experiments.checks.documents import DocumentStatistics


def mean_of_bins(
    places: np.ndarray, values: np.ndarray, first: int, per_decade: int, size: int
) -> np.ndarray:
    """Mean of values in bins of their places, shape (size,); NaN in empty ones."""
    edges = 10.0 ** (first + np.arange(size + 1) / per_decade) * (1 - 1e-9)
    found = np.full(size, np.nan)
    for number in range(size):
        low = -np.inf if number == 0 else edges[number]
        inside = (places >= low) & (places < edges[number + 1])
        if inside.any():
            found[number] = values[inside].mean()
    return found


def assert_curve(curve: tuple, expected: np.ndarray, first: int, per_decade: int) -> None:
    x, y = curve
    middle = first + (np.arange(len(expected)) + 0.5) / per_decade
    np.testing.assert_allclose(np.log10(x), middle, atol=1e-9)
    assert np.isfinite(expected).sum() > 2
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-9)


def bootstraps_of_cells() -> np.ndarray:
    """Draw bootstraps of many sizes, some zero, shape (60, 25, 5)."""
    rng = np.random.default_rng(0)
    levels = 10.0 ** rng.uniform(-2, 3, 25) * rng.gamma(2.0, 0.5, (60, 25))
    return rng.poisson(levels[:, :, None], (60, 25, 5)).astype(float)


def test_curves_of_cells() -> None:
    draws = bootstraps_of_cells()
    statistics = CellStatistics(25, True)
    for rows in (slice(0, 7), slice(7, 60)):
        statistics.add(BootstrapSummary.of(torch.from_numpy(draws[rows])))
    curves = statistics.curves()
    entries = draws.mean(-1)
    means = entries.mean(0)
    spread = np.divide(entries.var(0, ddof=1), means, out=np.zeros(25), where=means > 0)
    reads = (-2, 4, 32)
    absent = mean_of_bins(means, (entries == 0).mean(0), *reads)
    assert_curve(curves["zeros of isoforms"], absent, -2, 4)
    assert_curve(curves["variance over cells"], mean_of_bins(means, spread, *reads), -2, 4)
    seen = entries > 0
    own = entries[seen]
    noise = draws.var(-1, ddof=1)[seen] / own
    assert_curve(curves["variance of bootstraps"], mean_of_bins(own, noise, *reads), -2, 4)
    zeros = (draws == 0).mean(-1)[seen]
    assert_curve(curves["zeros of bootstraps"], mean_of_bins(own, zeros, *reads), -2, 4)


def test_two_bootstraps_have_a_variance_and_one_has_none() -> None:
    draws = bootstraps_of_cells()[:, :, :2]
    statistics = CellStatistics(25, True)
    statistics.add(BootstrapSummary.of(torch.from_numpy(draws)))
    own = draws.mean(-1)
    seen = own > 0
    noise = draws.var(-1, ddof=1)[seen] / own[seen]
    expected = mean_of_bins(own[seen], noise, -2, 4, 32)
    assert_curve(statistics.curves()["variance of bootstraps"], expected, -2, 4)
    alone = CellStatistics(25, True)
    alone.add(BootstrapSummary.of(torch.from_numpy(draws[:, :, :1])))
    assert np.isnan(alone.curves()["variance of bootstraps"][1]).all()


def test_the_curve_of_libraries_is_a_density() -> None:
    draws = bootstraps_of_cells()
    statistics = CellStatistics(25, True)
    statistics.add(BootstrapSummary.of(torch.from_numpy(draws)))
    x, y = statistics.curves()["library size"]
    places = np.floor(10 * np.log10(draws.mean(-1).sum(1))).astype(int)
    expected = np.bincount(places, minlength=90) / 60 * 10  # cells, and bins to a decade
    np.testing.assert_allclose(np.nan_to_num(y), expected)
    np.testing.assert_allclose(np.log10(x), (np.arange(90) + 0.5) / 10)


def test_cells_without_bootstraps_have_no_curves_of_them() -> None:
    statistics = CellStatistics(25, False)
    statistics.add(BootstrapSummary.of(torch.from_numpy(bootstraps_of_cells()[:, :, :1])))
    assert set(statistics.curves()) == {"zeros of isoforms", "variance over cells", "library size"}
    assert not [name for name in statistics.scalars() if "bootstraps" in name]


def test_isoforms_of_few_reads_are_not_asked_for_their_variance() -> None:
    draws = bootstraps_of_cells()
    few = np.where(draws.mean((0, 2)) <= 1)[0]
    statistics = [CellStatistics(25, True) for _ in range(2)]
    statistics[0].add(BootstrapSummary.of(torch.from_numpy(draws)))
    changed = draws.copy()
    # Bursts of isoforms that stay rare.
    changed[:, few] = 0.0
    changed[0, few] = 1.0
    statistics[1].add(BootstrapSummary.of(torch.from_numpy(changed)))
    assert len(few) > 4
    for level in ("50%", "90%"):
        name = f"variance / mean over cells, {level} quantile of isoforms (reads)"
        assert statistics[0].scalars()[name] == statistics[1].scalars()[name]


def test_entries_of_few_reads_are_not_asked_for_their_variance() -> None:
    bursts = np.zeros((40, 10, 5))
    bursts[:, :, 0] = 4.0  # 0.8 on average, with five times the variance of counting
    bursts[:, 0] = [8.0, 12.0, 10.0, 10.0, 10.0]
    statistics = CellStatistics(10, True)
    statistics.add(BootstrapSummary.of(torch.from_numpy(bursts)))
    for level in ("50%", "90%"):
        name = f"variance / mean of bootstraps, {level} quantile of entries (reads)"
        assert np.isclose(statistics.scalars()[name], 2.0 / 10.0, rtol=0.05)


def test_curves_of_documents() -> None:
    corpus = simulate_corpus(80, 3, 40, 30, lengths="heavy-tailed", seed=1).corpus
    statistics = DocumentStatistics(40, (20.0, 40.0))
    for rows in np.array_split(np.arange(80), 3):
        part = corpus.select(rows)
        statistics.add(part.words, part.offsets)
    table = np.zeros((80, 40))
    np.add.at(table, (np.repeat(np.arange(80), corpus.lengths), corpus.words), 1)
    curves = statistics.curves()
    lengths, counts = table.sum(1), table.sum(0)
    distinct, top = (table > 0).sum(1) / lengths, table.max(1) / lengths
    by_length = mean_of_bins(lengths, distinct, 0, 5, 30)
    assert_curve(curves["distinct words by length"], by_length, 0, 5)
    by_length = mean_of_bins(lengths, top, 0, 5, 30)
    assert_curve(curves["most frequent word by length"], by_length, 0, 5)
    seen = counts > 0
    table, counts = table[:, seen], counts[seen]
    holders = mean_of_bins(counts, (table > 0).mean(0), 0, 5, 45)
    assert_curve(curves["documents that hold a word"], holders, 0, 5)
    bursts = mean_of_bins(counts, table.var(0) / table.mean(0), 0, 5, 45)
    assert_curve(curves["bursts of words"], bursts, 0, 5)
    shares = np.zeros(40)
    shares[: seen.sum()] = np.sort(counts)[::-1] / counts.sum()
    of_ranks = mean_of_bins(np.arange(1, 41), shares, 0, 10, 70)
    assert_curve(curves["word frequency"], np.where(of_ranks > 0, of_ranks, np.nan), 0, 10)


def test_documents_at_a_bound_belong_to_the_shorter_group() -> None:
    statistics = DocumentStatistics(50, (2.0, 4.0))
    lengths = [2, 3, 4, 5]
    words = [[0, 0], [0, 1, 2], [0, 1, 1, 1], [0, 1, 2, 3, 4]]
    statistics.add(np.concatenate(words), np.array([0, *np.cumsum(lengths)]))
    found = statistics.scalars()
    expected = {"short": 1 / 2, "medium": (1 + 2 / 4) / 2, "long": 1.0}
    for name, value in expected.items():
        assert found[f"distinct words / words of {name} documents, mean"] == value


def test_values_beyond_the_bins_are_in_the_last_ones() -> None:
    bins = LogBins(-1, 2, 3)
    assert bins.places(np.array([-5.0, 0.0, 0.1, 0.11, 99.0, 100.0, 1e7])).tolist() == [
        *(0, 0, 0, 0, 8, 8, 8)
    ]
    np.testing.assert_allclose(bins.centres, 10.0 ** (-1 + (np.arange(9) + 0.5) / 3))
    counts = np.array([1.0, 0, 0, 0, 0, 0, 0, 0, 3.0])
    assert bins.quantile(counts, 0.2) == bins.centres[0]
    assert bins.quantile(counts, 0.3) == bins.centres[8]
