"""Panels that show simulated data beside data of reference, with the numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..fitting.fits import write_atomically
from .pictures import BLUE, ORANGE, save

# Of the first and the second kind of data: told apart without colour too.
_STYLES = (("-", "o", BLUE), ("--", "x", ORANGE))

Curve = tuple[np.ndarray, np.ndarray]


class Panel(NamedTuple):
    """What is around a panel.

    Attributes
    ----------
    title, x, y
        The title, and the labels of the axes, with units.
    logarithmic
        Which axes are, of ``"xy"``.
    """

    title: str
    x: str
    y: str
    logarithmic: str = "x"


def draw_panel(
    axis: Axes, panel: Panel, data: Mapping[str, Sequence[Curve]], style: str = "line"
) -> pd.DataFrame:
    """Draw curves of kinds of data.

    Parameters
    ----------
    axis
        Where.
    panel
        What is around them.
    data
        Replicates of one or two kinds of data by name, each with x and y.
    style
        ``line``, ``step``, constant from each x to the next, or ``points``, of the first replicate
        alone, as the legend then says.

    Returns
    -------
    pandas.DataFrame
        Columns ``panel``, ``data``, ``replicate``, ``x``, ``y``.
    """
    tables = []
    for (name, replicates), (line, marker, colour) in zip(data.items(), _STYLES, strict=False):
        for number, (x, y) in enumerate(replicates):
            if style == "points":
                if number == 0:
                    shown = f"{name}, the first" if len(replicates) > 1 else name
                    axis.plot(x, y, marker, color=colour, markersize=3, alpha=0.5, label=shown)
            else:
                axis.plot(
                    x,
                    y,
                    line,
                    color=colour,
                    drawstyle="steps-post" if style == "step" else "default",
                    alpha=len(replicates) ** -0.5,
                    label=name if number == 0 else None,
                )
            table = pd.DataFrame({"x": x, "y": y})
            tables.append(table.assign(panel=panel.title, data=name, replicate=number))
    axis.set_title(panel.title, fontsize=10)
    axis.set_xlabel(panel.x, fontsize=9)
    axis.set_ylabel(panel.y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.3)
    table = pd.concat(tables)[["panel", "data", "replicate", "x", "y"]]
    for which in panel.logarithmic:
        if (table[which] > 0).any():
            axis.set(**{f"{which}scale": "log"})
    show_legend(axis)
    return table


def show_legend(axis: Axes) -> None:
    """Tell what is drawn so far, in full colour."""
    for handle in axis.legend(frameon=False, fontsize=8).legend_handles:
        handle.set_alpha(1.0)


def finish(figure: Figure, tables: Sequence[pd.DataFrame], path: Path) -> pd.DataFrame:
    """Write the picture and, beside it, the numbers as CSV; axes without a panel are left out."""
    for axis in figure.axes:
        if not axis.has_data():
            axis.set_axis_off()
    table = pd.concat(tables, ignore_index=True)
    figure.tight_layout()
    save(figure, path)
    write_atomically(path.with_suffix(".csv"), lambda target: table.to_csv(target, index=False))
    return table


def compare_statistics(
    simulated: Sequence[Mapping[str, float]], reference: Mapping[str, float]
) -> pd.DataFrame:
    """Compare statistics of simulations, one for each seed, with those of one data set.

    Returns
    -------
    pandas.DataFrame
        A row for each statistic: ``reference``; mean and standard deviation over seeds; and by how
        many of these standard deviations the reference is above the mean.
    """
    drawn = pd.DataFrame(simulated)
    table = pd.DataFrame(
        {
            "reference": pd.Series(reference),
            "simulated_mean": drawn.mean(),
            "simulated_sd": drawn.std(ddof=1),
        }
    )
    table["z_score"] = (table["reference"] - table["simulated_mean"]) / table["simulated_sd"]
    return table.rename_axis("statistic").reset_index()
