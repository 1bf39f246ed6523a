"""Pictures of a gene's isoforms: in every cell, and their usage in groups of cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .style import BLACK, GREY, LIGHT_GREY, bar_styles, group_styles, label, new_figure

_WIDTH = 9.0  # inches
# Reads below which an axis of expression is linear.
_LINEAR = 10.0


class GeneExpression(NamedTuple):
    """Expression of a gene's isoforms in all cells.

    Attributes
    ----------
    gene
        Its name.
    isoforms
        Names of the isoforms to draw, the most expressed first.
    left_out
        Number of isoforms that are not drawn.
    mean
        Expression, shape (cells, isoforms).
    ends
        Lower and upper ends of the intervals, each of the shape of ``mean``; None draws none.
    total
        Expression of the gene, isoforms that are not drawn included, shape (cells,).
    estimates
        The quantifier's estimates, of the shape of ``mean``; None draws none.
    """

    gene: str
    isoforms: Sequence[str]
    left_out: int
    mean: np.ndarray
    ends: tuple[np.ndarray, np.ndarray] | None
    total: np.ndarray
    estimates: np.ndarray | None = None

    @property
    def title(self) -> str:
        """The gene, the number of isoforms drawn, and how many are left out."""
        return title_of(self.gene, self.isoforms, self.left_out)


def title_of(gene: str, isoforms: Sequence[str], left_out: int) -> str:
    """Write a gene, the number of its isoforms that are drawn, and how many are left out."""
    if list(isoforms) == [gene]:
        return gene
    drawn = count(len(isoforms), "isoform")
    return (
        f"{gene}: {drawn} most expressed, {left_out} more left out"
        if left_out
        else f"{gene}: {drawn}"
    )


def count(number: int, noun: str) -> str:
    """Write a number of things: ``1 cell``, ``2 cells``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def interval_name(interval: tuple[float, float]) -> str:
    """Write the name of an interval between two quantiles: ``95 % interval``."""
    return f"{100 * (interval[1] - interval[0]):.4g} % interval"


def expression_axis(axis: Axes, which: str, most: float) -> None:
    """Show expression from 0 to ``most`` on the axis ``x`` or ``y``.

    It is linear if this is less than ten reads, and else linear below a read and logarithmic above.
    """
    if most >= _LINEAR:
        getattr(axis, f"set_{which}scale")("symlog", linthresh=1.0)
        getattr(axis, f"{which}axis").set_major_formatter("{x:g}")
    most = max(most, 1e-6)
    # Dots at either end are seen as a whole.
    ends = (-0.15, 1.5 * most) if most >= _LINEAR else (-0.05 * most, 1.08 * most)
    getattr(axis, f"set_{which}lim")(*ends)


def cell_order(genes: Sequence[GeneExpression], groups: pd.Series) -> np.ndarray:
    """Order cells by group, then by the expression of the genes, each on log scale."""
    expression = sum(np.log1p(gene.total) for gene in genes)
    return np.lexsort((expression, groups.cat.codes))


def draw_genes(
    genes: Sequence[GeneExpression], groups: pd.Series, unit: str, interval: str | None
) -> Figure:
    """Draw isoforms of genes in every cell; a cell has one place on all axes.

    Parameters
    ----------
    genes
        The genes, one below the other.
    groups
        Categorical, shape (cells,): group of each cell.
    unit
        Quantity and unit of the expression.
    interval
        Name of the interval; None if there is none.

    Returns
    -------
    matplotlib.figure.Figure
        Axes for each isoform, one below the other.
    """
    number = sum(len(gene.isoforms) for gene in genes)
    height = 1.25 * number + 1.0
    figure, axes = new_figure(number, width=_WIDTH, height=height / number, sharex=True)
    order = cell_order(genes, groups)
    remaining = iter(axes[:, 0])
    for gene in genes:
        own = [next(remaining) for _ in gene.isoforms]
        for axis in own[1:]:
            axis.sharey(own[0])
        for column, (axis, isoform) in enumerate(zip(own, gene.isoforms, strict=True)):
            _draw_isoform(axis, gene, column, order, groups)
            axis.set_title(isoform, fontsize=9, loc="left")
        shown = [gene.mean if gene.ends is None else gene.ends[1], gene.estimates]
        expression_axis(own[0], "y", max(part.max() for part in shown if part is not None))
        if len(genes) > 1:
            own[0].set_title(gene.title, fontsize=9, loc="center", fontweight="bold")
    grouped = len(groups.cat.categories) > 1
    by = f"sorted by {groups.name} and expression" if grouped else "sorted by expression"
    axes[-1, 0].set_xlabel(f"{len(groups)} cells, {by}", fontsize=9)
    figure.supylabel(unit, fontsize=9)
    marks = "dots are means" if interval is None else f"posterior mean and {interval}"
    if any(gene.estimates is not None for gene in genes):
        marks += "; crosses are the quantifier's estimates"
    subject = genes[0].title if len(genes) == 1 else "isoforms of " + join(g.gene for g in genes)
    figure.suptitle(f"{subject}; {marks}", fontsize=10)
    if grouped:
        _name_groups(figure, groups)
    return figure


def join(names) -> str:
    """Join names as in a sentence."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _draw_isoform(
    axis: Axes, gene: GeneExpression, column: int, order: np.ndarray, groups: pd.Series
) -> None:
    """Draw one isoform: a dot and a bar for each cell."""
    place = np.arange(len(order))
    if gene.ends is not None:
        low, high = (end[order, column] for end in gene.ends)
        axis.vlines(place, low, high, color=GREY, alpha=0.6, linewidth=0.8)
    mean, codes = gene.mean[order, column], groups.cat.codes.to_numpy()[order]
    size = float(np.clip(2500 / len(order), 2, 12))
    for code, (name, style) in enumerate(group_styles(groups.cat.categories).items()):
        own = codes == code
        axis.scatter(place[own], mean[own], s=size, label=name, **style)
    if gene.estimates is not None:
        crosses = gene.estimates[order, column]
        axis.scatter(place, crosses, s=size, marker="x", color=BLACK, linewidth=0.6, zorder=3)
    for border in np.flatnonzero(np.diff(codes)):
        axis.axvline(border + 0.5, color=LIGHT_GREY, linewidth=0.8)
    axis.tick_params(labelsize=8)
    axis.margins(x=0.01)
    axis.spines[["top", "right"]].set_visible(False)


def _name_groups(figure: Figure, groups: pd.Series) -> None:
    """Write a legend of the groups beside all axes."""
    handles = [
        Line2D([], [], linestyle="", markersize=5, label=name, **style)
        for name, style in group_styles(groups.cat.categories).items()
    ]
    figure.legend(
        handles=handles,
        title=groups.name,
        loc="outside right upper",
        frameon=False,
        fontsize=8,
        title_fontsize=8,
    )


def draw_usage(usage: pd.DataFrame, reads: pd.Series, cells: pd.Series, ax: Axes) -> Axes:
    """Draw the usage of isoforms by groups of cells, as stacked bars.

    Parameters
    ----------
    usage
        Share of the gene's expression: a row for each group, a column for each isoform.
    reads, cells
        Mean expression of the gene (reads), and number of cells, in each group.
    ax
        Where to draw.
    """
    start = np.zeros(len(usage))
    place = np.arange(len(usage))
    for isoform, style in bar_styles(usage.columns).items():
        share = usage[isoform].fillna(0.0).to_numpy()
        ax.barh(place, share, left=start, label=isoform, edgecolor="white", linewidth=0.5, **style)
        start += share
    for row, group in enumerate(usage.index):
        text = f"{reads[group]:.3g} reads" if reads[group] > 0 else "not expressed"
        ax.text(1.01, row, text, va="center", fontsize=8, color=BLACK)
    ax.set_yticks(place, [f"{group} ({count(cells[group], 'cell')})" for group in usage.index])
    ax.invert_yaxis()
    ax.set_xlim(0.0, 1.0)
    label(ax, "", "usage (share of the gene's expression)", "")
    ax.grid(visible=False)
    ax.legend(
        frameon=False,
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.14, 1.0),
        title="isoform",
        title_fontsize=8,
    )
    return ax
