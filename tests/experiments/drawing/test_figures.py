"""What the pictures of figures share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from exvae.experiments.drawing.figures import draw_bands, finish, label, panels, style_of
from exvae.experiments.drawing.pictures import logarithmic, plt


def test_bands_are_medians_from_least_to_largest() -> None:
    table = pd.DataFrame(
        {
            "guide": ["a"] * 6 + ["b"] * 2,
            "x": [2, 2, 2, 1, 1, 1, 1, 2],
            "y": [5.0, 7.0, 20.0, 1.0, 2.0, 3.0, 4.0, 4.0],
        }
    )
    figure, ((axis,),) = panels(1, 1)
    draw_bands(axis, table, "x", "y", "guide", ["a", "absent", "b"])
    label(axis, "title", "x", "y")
    finish(figure)
    first, second = axis.lines
    assert first.get_xydata().tolist() == [[1, 2], [2, 7]]
    assert second.get_xydata().tolist() == [[1, 4], [2, 4]]
    # The colour is that of the place in the order, whether or not others are there.
    assert second.get_color() == style_of(2)["color"]
    band = axis.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1.0, 20.0)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b"]
    plt.close(figure)


def test_styles_differ_without_colour_too() -> None:
    styles = [style_of(number) for number in range(6)]
    for keys in (("color",), ("marker",), ("marker", "linestyle")):
        assert len({tuple(style[key] for key in keys) for style in styles}) == 6


@pytest.mark.parametrize("highest", [30.0, 300.0, 1e6])
def test_logarithmic_axes_have_numbers(highest: float) -> None:
    figure, axis = plt.subplots()
    axis.plot([12.0, highest], [0.0, 1.0])
    logarithmic(axis, "x")
    figure.canvas.draw()
    low, high = axis.get_xlim()
    ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
    names = [text.get_text() for text in axis.get_xticklabels() if text.get_text()]
    assert len(ticks) >= 2
    assert len(names) >= 2
    assert axis.get_xscale() == "log"
    assert np.all(np.diff(ticks) > 0)
    plt.close(figure)
