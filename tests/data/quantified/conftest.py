"""Cells of all three formats in one folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .quantifier_output import (
    Cell,
    draw_cell,
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_salmon,
)


@pytest.fixture
def cells() -> dict[str, Cell]:
    """Seven cells, of 3 to 6 bootstraps."""
    return {
        f"cell_{number}": draw_cell(seed=number, bootstraps=3 + number % 4) for number in range(7)
    }


@pytest.fixture
def folder(cells: dict[str, Cell], tmp_path: Path) -> Path:
    """Those cells in all three formats, some nested and some with their transcripts shuffled."""
    plate = tmp_path / "plate"
    for number, (name, cell) in enumerate(cells.items()):
        order = np.random.default_rng(number).permutation(len(cell.transcripts))
        write, parent = (
            (write_kallisto_h5, plate),
            (write_kallisto_plaintext, plate / "text"),
            (write_salmon, plate / "deeper" / "salmon"),
        )[number % 3]
        write(parent / name, cell.take(order) if number % 2 else cell)
    return plate
