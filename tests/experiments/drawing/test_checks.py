"""The picture of a check."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from exvae.experiments.checks.comparison import Check
from exvae.experiments.drawing.checks import draw_check
from exvae.experiments.drawing.panels import Panel

STATISTICS = pd.DataFrame(
    {
        "statistic": ["one", "two", "constant"],
        "observed": [1.0, 900.0, 3.0],
        "replicated_mean": [1.1, 2.0, 3.0],
        "replicated_sd": [0.5, 0.1, 0.0],
        "p_value": [0.4, 0.005, 0.5],
        "panel": ["zeros", "zeros", "absent"],
        "level": ["fits", "misfit", "fits"],
        "short": ["fits", "model gives more zeros", "fits"],
        "verdict": ["fits", "the model gives more zeros", "fits"],
    }
)
CURVES = pd.DataFrame(
    {
        "panel": "zeros",
        "x": [1.0, 10.0, 100.0],
        "observed": [0.1, 0.3, np.nan],
        "low": [0.05, 0.1, 0.1],
        "middle": [0.1, 0.2, 0.3],
        "high": 0.4,
    }
)


def test_curves_lie_over_their_band_and_statistics_have_p_values() -> None:
    panels = (Panel("absent", "reads", "share"), Panel("zeros", "reads", "share"))
    figure = draw_check(Check(STATISTICS, CURVES), panels)
    curve, *unused, statistics = figure.axes
    assert (curve.get_title(), curve.get_xscale()) == ("zeros\nmodel gives more zeros", "log")
    assert not any(axis.axison for axis in unused)
    middle, observed = curve.lines
    # Replicates beyond the observed range are left out.
    assert middle.get_xydata().tolist() == [[1.0, 0.1], [10.0, 0.2]]
    assert observed.get_xydata().tolist() == [[1.0, 0.1], [10.0, 0.3]]
    band = curve.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.05, 0.4)
    assert [text.get_text() for text in statistics.texts] == ["p = 0.400", "p = 0.005", "p = 0.500"]
    names = [text.get_text() for text in statistics.get_yticklabels()]
    assert names == ["one: 1", "two: 900", "constant: 3"]
    _, dots, arrow = statistics.lines
    np.testing.assert_allclose(dots.get_xydata(), [[-0.2, 0], [0, 2]], atol=1e-12)
    assert (arrow.get_marker(), arrow.get_xydata().tolist()) == (">", [[6.0, 1.0]])


def test_long_titles_are_not_wider_than_their_panels() -> None:
    verdict = "model gives a smaller share of the most frequent word"
    names = ["zeros", "absent", "most frequent word by length"]
    statistics = STATISTICS.assign(panel=names, short=verdict, level="misfit")
    curves = pd.concat([CURVES.assign(panel=name) for name in names])
    panels = [Panel(name, "reads", "share of the most frequent word") for name in names]
    figure = draw_check(Check(statistics, curves), panels)
    figure.draw_without_rendering()
    boxes = [axis.get_tightbbox() for axis in figure.axes[:3]]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    for axis in figure.axes[:3]:
        assert axis.title.get_window_extent().width < axis.get_window_extent().width
