"""The picture of a check and the numbers beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from exvae.experiments.checks.comparison import Check
from exvae.experiments.drawing.checks import write_check
from exvae.experiments.drawing.panels import Panel


def test_a_picture_and_its_numbers(tmp_path: Path) -> None:
    statistics = pd.DataFrame(
        {
            "statistic": ["one", "two", "constant"],
            "observed": [1.0, 900.0, 3.0],
            "replicated_mean": [1.1, 2.0, 3.0],
            "replicated_sd": [0.5, 0.1, 0.0],
            "p_value": [0.4, 0.005, 0.5],
        }
    )
    curve = {"x": [1.0, 10.0], "observed": [0.1, np.nan], "low": 0.05, "middle": 0.1, "high": 0.2}
    curves = pd.DataFrame({"panel": "zeros", **curve})
    panels = (Panel("zeros", "reads", "share"), Panel("absent", "reads", "share"))
    paths = write_check(Check(statistics, curves), panels, tmp_path)
    assert [path.name for path in paths] == [
        "check.png",
        "check_statistics.csv",
        "check_curves.csv",
    ]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(pd.read_csv(paths[1]), statistics)
    pd.testing.assert_frame_equal(pd.read_csv(paths[2]), curves)
    assert len(list(tmp_path.iterdir())) == 3
