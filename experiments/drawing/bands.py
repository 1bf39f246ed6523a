"""Medians of replicates, with bands over their range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .style import style_of


def draw_bands(
    axis: Axes, table: pd.DataFrame, x: str, y: str, by: str, order: Sequence[str]
) -> Axes:
    """Draw the median of replicates with a band from the smallest to the largest.

    Parameters
    ----------
    axis
        Where to draw.
    table
        Table with a row for each replicate and x.
    x, y
        Numeric columns; replicates are the rows of equal x.
    by, order
        Column that tells the curves apart, and its values in the order of their styles; values
        without rows keep their style and are not drawn.
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
    return axis
