"""Panels with the numbers behind them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot as plt

from exvae.experiments.drawing.panels import Panel, compare_statistics, draw_panel


@pytest.mark.parametrize("style", ["line", "step", "points"])
def test_curves_of_each_kind_are_drawn_and_named_once(style: str) -> None:
    figure, axis = plt.subplots()
    x = np.array([1.0, 10.0, 100.0])
    data = {"ours": [(x, x), (x, 2 * x)], "theirs": [(x, 3 * x)]}
    table = draw_panel(axis, Panel("title", "time (seconds)", "reads", "xy"), data, style)
    names = ["ours, the first" if style == "points" else "ours", "theirs"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == names
    assert len(axis.lines) == (2 if style == "points" else 3)
    assert axis.lines[0].get_color() != axis.lines[-1].get_color()
    assert (axis.get_xlabel(), axis.get_yscale()) == ("time (seconds)", "log")
    plt.close(figure)
    assert table.columns.tolist() == ["panel", "data", "replicate", "x", "y"]
    assert table["y"].tolist() == [*x, *2 * x, *3 * x]
    assert table["replicate"].tolist() == [0] * 3 + [1] * 3 + [0] * 3


def test_statistics_are_compared_by_their_spread() -> None:
    table = compare_statistics([{"a": 1.0, "b": 5.0}, {"a": 3.0, "b": 5.5}], {"a": 4.0, "b": 5.0})
    assert table["statistic"].tolist() == ["a", "b"]
    assert table["simulated_mean"].tolist() == [2.0, 5.25]
    np.testing.assert_allclose(table["z_score"], [2 / np.sqrt(2), -0.5 / np.sqrt(0.5)])
