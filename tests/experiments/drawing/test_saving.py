"""How pictures and their numbers are written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from exvae.data.errors import DataError
from exvae.experiments.drawing.saving import save, save_table
from exvae.experiments.drawing.style import new_figure


@pytest.mark.parametrize(("ending", "first"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_a_figure_is_written_and_stays_usable(tmp_path: Path, ending: str, first: bytes) -> None:
    figure, ((axis,),) = new_figure()
    path = tmp_path / f"picture.{ending}"
    save(figure, path)
    small = path.stat().st_size
    assert path.read_bytes().startswith(first)
    axis.plot(range(100), [number**2 % 17 for number in range(100)])
    save(figure, path)
    assert path.stat().st_size > small
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_of_an_earlier_run_stays_if_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_text("before")
    figure, ((axis,),) = new_figure()
    axis.set_title(r"$\frac$")  # no mathematics
    with pytest.raises(ValueError, match="frac"):
        save(figure, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none"):
        save(new_figure()[0], tmp_path / "none" / "picture.png")


def test_a_table_is_written(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": [1.5, 2.0], "name": ["a", "b"]}, index=[7, 8])
    save_table(table, tmp_path / "table.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), table.reset_index(drop=True))
