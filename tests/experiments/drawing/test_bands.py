"""Medians and ranges of replicates."""

from __future__ import annotations

import pandas as pd

from exvae.experiments.drawing.bands import draw_bands
from exvae.experiments.drawing.style import new_figure, style_of


def test_bands_are_medians_from_smallest_to_largest() -> None:
    table = pd.DataFrame(
        {
            "guide": ["a"] * 6 + ["b"] * 2,
            "x": [2, 2, 2, 1, 1, 1, 1, 2],
            "y": [5.0, 7.0, 20.0, 1.0, 2.0, 3.0, 4.0, 4.0],
        }
    )
    _, ((axis,),) = new_figure()
    assert draw_bands(axis, table, "x", "y", "guide", ["a", "absent", "b"]) is axis
    first, second = axis.lines
    assert first.get_xydata().tolist() == [[1, 2], [2, 7]]
    assert second.get_xydata().tolist() == [[1, 4], [2, 4]]
    # The colour is that of the place in the order, whether or not others are there.
    assert second.get_color() == style_of(2)["color"]
    band = axis.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1.0, 20.0)
    assert [line.get_label() for line in axis.lines] == ["a", "b"]
