"""What the pictures of figures share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .pictures import BLUE, GREEN, GREY, ORANGE, plt

# Okabe & Ito's colours, with marks and lines that tell them apart without colour too.
_STYLES = (
    (BLUE, "o", "-"),
    (ORANGE, "s", "--"),
    (GREEN, "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#D55E00", "v", "-"),
    ("#56B4E9", "P", "--"),
)

__all__ = ["GREY", "draw_bands", "finish", "label", "panels", "style_of"]


def style_of(number: int) -> dict[str, str]:
    """Colour, marker and line of the curve of this number."""
    colour, marker, line = _STYLES[number % len(_STYLES)]
    return {"color": colour, "marker": marker, "linestyle": line}


def panels(rows: int, columns: int, *, width: float = 4.4, height: float = 3.5):
    """Make a figure with axes of shape (rows, columns)."""
    return plt.subplots(
        rows,
        columns,
        figsize=(width * columns, height * rows),
        squeeze=False,
        layout="constrained",
    )


def label(axis: Axes, title: str, x: str, y: str) -> None:
    """Put a title and the labels of the axes, with units."""
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.3)


def draw_bands(
    axis: Axes, table: pd.DataFrame, x: str, y: str, by: str, order: Sequence[str]
) -> None:
    """Draw the median of replicates with a band from the least to the largest.

    Parameters
    ----------
    axis
        Where.
    table
        With a row for each replicate and x.
    x, y
        Columns; replicates have the same x, or are sorted by it and compared row by row.
    by, order
        Column that tells the curves apart, and its values in their order.
    """
    for number, name in enumerate(order):
        own = table[table[by] == name]
        if own.empty:
            continue
        grouped = own.groupby(x)[y]
        places = np.array(sorted(own[x].unique()))
        style = style_of(number)
        axis.fill_between(
            places, grouped.min(), grouped.max(), color=style["color"], alpha=0.2, linewidth=0
        )
        axis.plot(places, grouped.median(), markersize=4, label=name, **style)


def finish(figure: Figure) -> Figure:
    """Give each panel with several curves a legend."""
    for axis in figure.axes:
        if len(axis.get_legend_handles_labels()[0]) > 1:
            axis.legend(frameon=False, fontsize=8)
    return figure
