"""The picture of a check."""

from __future__ import annotations

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
