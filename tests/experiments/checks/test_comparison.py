"""p-values and bands of data beside replicates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from exvae.experiments.checks.bins import LogBins, ratio
from exvae.experiments.checks.comparison import Check, compare, p_value
from exvae.experiments.checks.verdicts import Finding, Judge, Reading

READING = Reading("values", 0.1, True, Finding("more", "too much"), Finding("less", "too little"))
JUDGE = Judge("numbers", {"mean": READING})


class Numbers:
    """Mean of some numbers, and the numbers by position."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def scalars(self) -> dict[str, float]:
        return {"mean": self.values.mean(), "never": np.nan}

    def curves(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        x = np.arange(len(self.values))
        return {"values": (x, np.where(x == 2, np.nan, self.values))}


def test_p_values_of_exchangeable_values_are_uniform() -> None:
    generator = np.random.default_rng(0)
    drawn = generator.normal(size=(2000, 20))
    p_values = [p_value(row[0], row[1:]) for row in drawn]
    # 20 places among 20 values, each at the middle of a twentieth.
    places, counts = np.unique(np.round(p_values, 6), return_counts=True)
    np.testing.assert_allclose(places, (np.arange(20) + 0.5) / 20, atol=1e-6)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_ties_count_half() -> None:
    assert p_value(1.0, np.ones(9)) == 0.5
    assert p_value(2.0, np.ones(9)) == pytest.approx(0.05)
    assert p_value(0.0, np.array([1.0] * 9 + [np.nan])) == pytest.approx(0.95)


def test_compare_gives_a_row_for_each_statistic_and_point() -> None:
    replicated = [Numbers(np.full(4, float(number))) for number in range(101)]
    check = compare(Numbers(np.full(4, 100.5)), replicated, JUDGE)
    assert check.statistics["statistic"].tolist() == ["mean"]
    assert check.statistics["replicated_mean"].item() == 50.0
    assert check.statistics["replicated_sd"].item() == pytest.approx(np.std(np.arange(101), ddof=1))
    assert check.p_values == {"mean": pytest.approx(0.5 / 102)}
    assert check.statistics["panel"].tolist() == ["values"]
    ((name, level, short, verdict),) = check.verdicts.to_numpy().tolist()
    assert (name, level, short) == ("mean", "misfit", "model gives less")
    assert verdict.startswith("the model gives less than the numbers (50 against 100, p = 0.00)")
    # A point at which nobody has anything is left out.
    expected = pd.DataFrame(
        {
            "panel": "values",
            "x": [0, 1, 3],
            "observed": 100.5,
            "low": 2.5,
            "middle": 50.0,
            "high": 97.5,
        }
    )
    pd.testing.assert_frame_equal(check.curves, expected)


def test_bins() -> None:
    bins = LogBins(-1, 3, 2)
    np.testing.assert_allclose(bins.edges[[0, 2, -1]], [0.1, 1.0, 1000.0])
    values = np.array([0.0, 0.05, 1.5, 2.0, 50.0, 1e9])
    assert bins.sums(values).tolist() == [2, 0, 2, 0, 0, 1, 0, 1]
    assert bins.sums(values, np.arange(6.0)).tolist() == [1, 0, 5, 0, 0, 4, 0, 5]
    fine = LogBins(-2, 3, 200)
    drawn = np.random.default_rng(1).lognormal(size=20000)
    for level in (0.1, 0.5, 0.9):
        found = fine.quantile(fine.sums(drawn), level)
        assert found == pytest.approx(np.quantile(drawn, level), rel=0.01)
    assert np.isnan(fine.quantile(np.zeros(fine.size), 0.5))
    np.testing.assert_array_equal(ratio(np.ones(2), np.array([0.0, 2.0])), [np.nan, 0.5])


def test_points_that_only_one_side_has_are_kept() -> None:
    class Partial(Numbers):
        def curves(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
            return {"values": (np.arange(len(self.values)), self.values)}

    nothing = np.nan
    replicated = [Partial(np.array([1.0, 2.0, nothing])) for _ in range(3)]
    found = compare(Partial(np.array([nothing, 2.0, 3.0])), replicated, JUDGE).curves
    assert found["x"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found["observed"], [nothing, 2.0, 3.0])
    np.testing.assert_array_equal(found["middle"], [1.0, 2.0, nothing])


def test_a_panel_has_the_worst_of_its_verdicts_and_a_check_reads_as_lines() -> None:
    statistics = pd.DataFrame(
        {
            "statistic": ["a", "b", "c", "d"],
            "panel": ["one", "one", "one", "two"],
            "level": ["close enough", "misfit", "misfit", "fits"],
            "short": ["close enough", "first", "second", "fits"],
            "verdict": ["A", "B", "C", "D"],
        }
    )
    check = Check(statistics, pd.DataFrame(), "numbers: 4")
    assert [check.short_verdict(panel) for panel in ("one", "two", "none")] == ["first", "fits", ""]
    assert repr(check) == "a: A\nb: B\nc: C\nd: D\nnumbers: 4"
