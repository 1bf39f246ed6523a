"""Simulated data sets beside a reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from exvae.experiments.drawing.panels import Curve, Panel, draw_panels
from exvae.experiments.simulator_checks.comparison import (
    View,
    compare_statistics,
    write_comparison,
)


def test_statistics_are_compared_by_their_spread() -> None:
    table = compare_statistics([{"a": 1.0, "b": 5.0}, {"a": 3.0, "b": 5.5}], {"a": 4.0, "b": 5.0})
    assert table["statistic"].tolist() == ["a", "b"]
    assert table["simulated_mean"].tolist() == [2.0, 5.25]
    np.testing.assert_allclose(table["z_score"], [2 / np.sqrt(2), -0.5 / np.sqrt(0.5)])


def test_picture_and_numbers_are_written(tmp_path: Path) -> None:
    panels = (Panel("values", "number", "value"),)

    def curves_of(values: np.ndarray) -> list[Curve]:
        return [(np.arange(1, 1 + len(values)), values)]

    view = View(
        panels,
        curves_of,
        lambda values: {"mean": values.mean()},
        lambda data: draw_panels(panels, data),
    )
    simulated, reference = [np.array([1.0, 2.0]), np.array([4.0])], np.array([2.0, 5.0])
    table = write_comparison(view, simulated, reference, "real", tmp_path / "some")
    assert table["simulated_mean"].tolist() == [2.75]
    assert table["reference"].tolist() == [3.5]
    assert (tmp_path / "some.png").read_bytes().startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "some_statistics.csv"), table)
    numbers = pd.read_csv(tmp_path / "some.csv")
    assert numbers["data"].tolist() == ["simulated, 2 seeds"] * 3 + ["real"] * 2
    assert numbers["y"].tolist() == [1.0, 2.0, 4.0, 2.0, 5.0]
    assert len(list(tmp_path.iterdir())) == 3
