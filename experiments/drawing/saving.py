"""The one way in which pictures and their numbers are written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ...data.files import written_atomically
from .style import glyphs_told_once

DOTS_PER_INCH = 120


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's ending; an unfinished file never appears.

    The figure stays as it is: its owner may draw more, or close it.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with written_atomically(path) as temporary, glyphs_told_once():
        figure.savefig(temporary, dpi=DOTS_PER_INCH)


def save_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, without its index; an unfinished file never appears.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False)
