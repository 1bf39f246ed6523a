"""Panels with the numbers behind them."""

from __future__ import annotations

import numpy as np
import pytest

from exvae.experiments.drawing.panels import Panel, draw_panel, draw_panels, tabulate
from exvae.experiments.drawing.style import new_figure

X = np.array([1.0, 10.0, 100.0])


@pytest.mark.parametrize("style", ["line", "step", "points"])
def test_curves_of_each_kind_are_drawn_and_named_once(style: str) -> None:
    _, ((axis,),) = new_figure()
    data = {"ours": [(X, X), (X, 2 * X)], "theirs": [(X, 3 * X)]}
    panel = Panel("title", "time (seconds)", "reads", "xy", style)
    assert draw_panel(axis, panel, data) is axis
    names = ["ours, the first" if style == "points" else "ours", "theirs"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == names
    assert len(axis.lines) == (2 if style == "points" else 3)
    assert axis.lines[0].get_color() != axis.lines[-1].get_color()
    steps = {line.get_drawstyle() for line in axis.lines}
    assert steps == {"steps-post" if style == "step" else "default"}
    assert (axis.get_xlabel(), axis.get_xscale(), axis.get_yscale()) == (
        "time (seconds)",
        "log",
        "log",
    )


def test_axes_without_a_positive_value_stay_linear() -> None:
    _, ((axis,),) = new_figure()
    draw_panel(axis, Panel("title", "x", "y", "xy"), {"zero": [(X, 0 * X)]})
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "linear")


def test_panels_and_their_numbers() -> None:
    panels = [Panel(f"panel {number}", "x", "y", style="points") for number in range(4)]
    replicates = [[(X, number + seed * X) for number in range(4)] for seed in (1, 2)]
    data = {"ours": replicates, "theirs": replicates[:1]}
    figure = draw_panels(panels, data)
    assert [axis.get_title() for axis in figure.axes[:4]] == [panel.title for panel in panels]
    assert [axis.axison for axis in figure.axes] == [True] * 4 + [False] * 2
    np.testing.assert_array_equal(figure.axes[3].lines[0].get_ydata(), 3 + X)
    table = tabulate(panels, data)
    assert table.columns.tolist() == ["panel", "data", "replicate", "x", "y"]
    own = table[table["panel"] == "panel 2"]
    assert own["y"].tolist() == [*2 + X, *2 + 2 * X, *2 + X]
    assert own["replicate"].tolist() == [0] * 3 + [1] * 3 + [0] * 3
    assert own["data"].tolist() == ["ours"] * 6 + ["theirs"] * 3
