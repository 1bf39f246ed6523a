"""Pictures of means with intervals: of groups of cells, and of single cells beside bootstraps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .genes import expression_axis
from .style import BLUE, GREY, ORANGE, group_styles, hide_unused, label, new_figure

# Height of the places of all groups of one isoform, of the distance 1 between isoforms.
_BAND = 0.76
_COLUMNS = 3


def draw_group_means(table: pd.DataFrame, ax: Axes, unit: str) -> Axes:
    """Draw means of groups with intervals, isoforms one below the other.

    Parameters
    ----------
    table
        A row for each group and isoform: ``group`` (categorical), ``feature`` (the isoform, or the
        gene), ``mean``, ``low``, ``high`` and ``cells``, the number in the group.
    ax
        Where to draw.
    unit
        Quantity and unit of the expression.
    """
    features = table["feature"].drop_duplicates().tolist()
    groups = table["group"].cat.categories
    row_of = pd.Series(np.arange(len(features)), features)
    shifts = _BAND * ((np.arange(len(groups)) + 0.5) / len(groups) - 0.5)
    for (name, style), shift in zip(group_styles(groups).items(), shifts, strict=True):
        own = table[table["group"] == name]
        if own.empty:
            continue
        place = row_of[own["feature"]].to_numpy() + shift
        ax.hlines(place, own["low"], own["high"], color=style["color"], linewidth=1.5)
        cells = int(own["cells"].iloc[0])
        ax.scatter(own["mean"], place, s=22, label=f"{name} ({cells})", zorder=3, **style)
    for border in np.arange(len(features) - 1) + 0.5:
        ax.axhline(border, color=GREY, linewidth=0.4)
    ax.set_yticks(np.arange(len(features)), features)
    ax.set_ylim(len(features) - 0.5, -0.5)
    label(ax, "", unit, "")
    ax.grid(axis="y", visible=False)
    expression_axis(ax, "x", np.nanmax(table[["mean", "high"]].to_numpy()))
    ax.legend(
        frameon=False,
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        title="group (cells)",
        title_fontsize=8,
    )
    return ax


class CellIntervals(NamedTuple):
    """One isoform in some cells.

    Attributes
    ----------
    isoform
        Its name.
    mean, estimate
        Posterior mean, and estimate of the quantifier (reads), shape (cells,); no estimate if it
        is not known.
    outer, inner
        Lower and upper ends of a wide and a narrow interval (reads), shape (cells,); no narrow one
        if it is not known.
    bootstraps
        Bootstraps (reads), shape (bootstraps, cells); none if they are not known.
    """

    isoform: str
    mean: np.ndarray
    estimate: np.ndarray | None
    outer: tuple[np.ndarray, np.ndarray]
    inner: tuple[np.ndarray, np.ndarray] | None
    bootstraps: np.ndarray


def draw_intervals(
    isoforms: Sequence[CellIntervals],
    cells: Sequence[str],
    unit: str,
    names: tuple[str, str],
) -> Figure:
    """Draw posteriors of isoforms in some cells beside the estimates of the quantifier.

    Parameters
    ----------
    isoforms
        The isoforms, on axes of their own.
    cells
        Names of the cells, from top to bottom.
    unit
        Quantity and unit of the expression.
    names
        Names of the wide and of the narrow interval.
    """
    columns = min(_COLUMNS, len(isoforms))
    rows = -(-len(isoforms) // columns)
    height = 0.24 * len(cells) + 0.7
    figure, axes = new_figure(
        rows, columns, width=9.0 / columns if columns > 1 else 6.0, height=height, sharey=True
    )
    place = np.arange(len(cells))
    for axis, isoform in zip(axes.flat, isoforms, strict=False):
        _draw_cells(axis, isoform, place, names)
        label(axis, isoform.isoform, "", "")
        axis.grid(axis="y", visible=False)
        expression_axis(axis, "x", _most(isoform))
    hide_unused(axes, len(isoforms))
    axes[0, 0].set_yticks(place, cells)
    axes[0, 0].set_ylim(len(cells) - 0.4, -0.6)
    figure.supxlabel(unit, fontsize=9)
    handles, texts = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, texts, frameon=False, fontsize=8, loc="outside right upper")
    return figure


def _draw_cells(
    axis: Axes, isoform: CellIntervals, place: np.ndarray, names: tuple[str, str]
) -> None:
    """Draw one isoform: bootstraps above, the posterior below, in the row of each cell."""
    above, below = place - 0.2, place + 0.15
    for number, own in enumerate(isoform.bootstraps):
        text = "bootstraps" if number == 0 else None
        axis.plot(own, above, "|", color=ORANGE, alpha=0.5, markersize=6, label=text)
    if isoform.estimate is not None:
        axis.plot(isoform.estimate, above, "x", color=GREY, markersize=5, label="estimate")
    axis.hlines(below, *isoform.outer, color=BLUE, linewidth=1.2, label=names[0])
    if isoform.inner is not None:
        axis.hlines(below, *isoform.inner, color=BLUE, linewidth=3.6, alpha=0.6, label=names[1])
    axis.plot(isoform.mean, below, "o", color=BLUE, markersize=4, label="posterior mean")


def _most(isoform: CellIntervals) -> float:
    """Largest value that is drawn of an isoform (reads)."""
    drawn = [isoform.outer[1], isoform.mean, isoform.bootstraps, isoform.estimate]
    return max(float(np.max(own)) for own in drawn if own is not None and np.size(own))
