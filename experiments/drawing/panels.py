"""Panels that show replicates of one or two kinds of data, and the numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import BLUE, ORANGE, hide_unused, label, logarithmic, new_figure, show_legend

_COLUMNS = 3
# Line, marker and colour of the first and the second kind of data, told apart without colour too.
_STYLES = (("-", "o", BLUE), ("--", "x", ORANGE))

# x and y of a curve, both of shape (points,).
Curve = tuple[np.ndarray, np.ndarray]


class Panel(NamedTuple):
    """Title, axes and style of a panel.

    Attributes
    ----------
    title, x, y
        The title, and the axis labels, with units.
    logarithmic
        The logarithmic axes: ``x``, ``y``, ``xy`` or nothing.
    style
        ``line``, ``step``, constant from each x to the next, or ``points``, which shows the first
        replicate alone, as the legend then says.
    """

    title: str
    x: str
    y: str
    logarithmic: str = "x"
    style: str = "line"


def frame(axis: Axes, panel: Panel) -> None:
    """Write title, labels and legend of a panel; axes with a positive value become logarithmic."""
    label(axis, panel.title, panel.x, panel.y)
    for which in panel.logarithmic:
        if np.isfinite(getattr(axis.dataLim, f"minpos{which}")):
            logarithmic(axis, which)
    show_legend(axis)


def draw_panel(axis: Axes, panel: Panel, data: Mapping[str, Sequence[Curve]]) -> Axes:
    """Draw one panel.

    Parameters
    ----------
    axis
        Where to draw.
    panel
        Title, axes and style.
    data
        Curves of the replicates of one or two kinds of data, by the name of the kind.
    """
    for (name, replicates), (line, marker, colour) in zip(data.items(), _STYLES, strict=False):
        if panel.style == "points":
            x, y = replicates[0]
            shown = f"{name}, the first" if len(replicates) > 1 else name
            axis.plot(x, y, marker, color=colour, markersize=3, alpha=0.5, label=shown)
            continue
        style = {
            "color": colour,
            "drawstyle": "steps-post" if panel.style == "step" else "default",
            "alpha": len(replicates) ** -0.5,
        }
        for number, (x, y) in enumerate(replicates):
            axis.plot(x, y, line, label=name if number == 0 else None, **style)
    frame(axis, panel)
    return axis


def draw_panels(panels: Sequence[Panel], data: Mapping[str, Sequence[Sequence[Curve]]]) -> Figure:
    """Draw panels in rows of three.

    Parameters
    ----------
    panels
        The panels.
    data
        Replicates of one or two kinds of data by the name of the kind; each replicate has a curve
        for each panel, in their order.
    """
    rows = -(-len(panels) // _COLUMNS)
    figure, axes = new_figure(rows, _COLUMNS, width=13.0 / _COLUMNS, height=3.7)
    for number, (axis, panel) in enumerate(zip(axes.flat, panels, strict=False)):
        draw_panel(
            axis,
            panel,
            {name: [curves[number] for curves in replicates] for name, replicates in data.items()},
        )
    hide_unused(axes, len(panels))
    return figure


def tabulate(
    panels: Sequence[Panel], data: Mapping[str, Sequence[Sequence[Curve]]]
) -> pd.DataFrame:
    """Tabulate all points of all replicates of :func:`draw_panels`, also those it leaves out.

    Returns
    -------
    pandas.DataFrame
        Columns ``panel``, ``data``, ``replicate``, ``x``, ``y``.
    """
    tables = [
        pd.DataFrame(
            {"panel": panel.title, "data": name, "replicate": replicate, "x": x, "y": y},
        )
        for number, panel in enumerate(panels)
        for name, replicates in data.items()
        for replicate, (x, y) in enumerate(curves[number] for curves in replicates)
    ]
    return pd.concat(tables, ignore_index=True)
