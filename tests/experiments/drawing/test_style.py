"""Colours, empty figures, axes and legends."""

from __future__ import annotations

import numpy as np
import pytest

from exvae.experiments.drawing.style import (
    hide_unused,
    label,
    logarithmic,
    new_figure,
    show_legend,
    show_legends,
    style_of,
)


def test_styles_differ_without_colour_too() -> None:
    styles = [style_of(number) for number in range(6)]
    for keys in (("color",), ("marker",), ("marker", "linestyle")):
        assert len({tuple(style[key] for key in keys) for style in styles}) == 6


def test_a_figure_has_the_size_of_its_axes() -> None:
    figure, axes = new_figure(2, 3, width=2.0, height=1.5)
    assert axes.shape == (2, 3)
    assert figure.get_size_inches().tolist() == [6.0, 3.0]
    hide_unused(axes, 4)
    assert [axis.axison for axis in figure.axes] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("highest", [30.0, 300.0, 1e6])
def test_logarithmic_axes_have_numbers(highest: float) -> None:
    figure, ((axis,),) = new_figure()
    axis.plot([12.0, highest], [0.0, 1.0])
    logarithmic(axis, "x")
    figure.draw_without_rendering()
    low, high = axis.get_xlim()
    ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
    names = [text.get_text() for text in axis.get_xticklabels() if text.get_text()]
    assert len(ticks) >= 2
    assert len(names) >= 2
    assert axis.get_xscale() == "log"
    assert np.all(np.diff(ticks) > 0)


def test_labels() -> None:
    _, ((axis,),) = new_figure()
    label(axis, "title", "time (seconds)", "reads")
    assert (axis.get_title(), axis.get_xlabel(), axis.get_ylabel()) == (
        "title",
        "time (seconds)",
        "reads",
    )


def test_only_axes_with_several_curves_get_a_legend() -> None:
    figure, ((one, two),) = new_figure(1, 2)
    one.plot([0], [0], label="alone")
    two.plot([0], [0], label="first", alpha=0.1)
    two.plot([0], [0], label="second")
    assert show_legends(figure) is figure
    assert one.get_legend() is None
    assert [text.get_text() for text in two.get_legend().get_texts()] == ["first", "second"]
    show_legend(two)
    assert [handle.get_alpha() for handle in two.get_legend().legend_handles] == [1.0, 1.0]
