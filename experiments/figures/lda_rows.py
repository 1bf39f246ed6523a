"""Figures of topic models with a row of two axes for each corpus."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..drawing.style import new_figure, show_legends


def draw_corpora(
    table: pd.DataFrame, draw_row: Callable[[Axes, Axes, str, pd.DataFrame], None]
) -> Figure:
    """Draw a row for each corpus.

    Parameters
    ----------
    table
        Table with a column ``corpus``.
    draw_row
        Draws on the left and the right axes, given the name of a corpus and its rows of the table.
    """
    corpora = list(table["corpus"].unique())
    figure, axes = new_figure(len(corpora), 2)
    for row, corpus in zip(axes, corpora, strict=True):
        draw_row(*row, corpus, table[table["corpus"] == corpus])
    return show_legends(figure)
