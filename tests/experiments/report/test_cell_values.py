"""Cells with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from exvae.experiments.report import cell_values
from exvae.experiments.report.cell_values import cells_to_show


def test_all_cells_are_shown_where_there_is_room(groups: pd.Series) -> None:
    np.testing.assert_array_equal(cells_to_show(groups, 0), np.arange(30))


def test_each_group_has_as_many_cells_as_others(
    groups: pd.Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_values, "CELLS_WITH_INTERVALS", 8)
    shown = cells_to_show(groups, 0)
    assert (np.diff(shown) > 0).all()
    assert groups.iloc[shown].value_counts().to_dict() == {"large": 5, "small": 3}
    monkeypatch.setattr(cell_values, "CELLS_WITH_INTERVALS", 4)
    assert groups.iloc[cells_to_show(groups, 0)].value_counts().to_dict() == {
        "large": 2,
        "small": 2,
    }
    assert cells_to_show(groups, 0).tolist() != cells_to_show(groups, 1).tolist()
