"""Pictures of simulated counts beside others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exvae.data.symsim import simulate_cells
from exvae.experiments.symsim_pictures import CellCounts, draw_comparison, zeros_given_molecules


def test_zeros_given_molecules() -> None:
    true = np.array([[0, 1, 1, 1], [3, 4, 300, 500]])
    observed = np.array([[0, 0, 0, 9], [0, 7, 90, 80]])
    molecules, zeros = zeros_given_molecules(CellCounts(true, observed))
    assert (molecules[0], zeros[0]) == (1, pytest.approx(2 / 3))
    assert np.isnan(molecules[1])
    assert (molecules[2], zeros[2]) == (3.5, 0.5)
    assert (molecules[-1], zeros[-1]) == (400, 0)


@pytest.mark.parametrize("empty", [False, True])
def test_a_picture_of_data_sets_of_different_sizes(empty: bool, tmp_path: Path) -> None:
    pairs = []
    for num_cells in (20, 35):
        cells = simulate_cells(num_cells, 30)
        pairs.append(CellCounts(cells.expression.counts, cells.observation.counts))
    if empty:
        pairs[1] = CellCounts(*(np.zeros((4, 3), np.int32),) * 2)
    path = tmp_path / "counts.png"
    draw_comparison(*pairs, path, names=("one", "two"))
    assert path.read_bytes().startswith(b"\x89PNG")
