"""Posterior predictive checks: observed curves over the band of replicates, and all verdicts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..checks.comparison import Check
from .panels import Panel, frame
from .style import BLUE, GREY, ORANGE, Picture, hide_unused, label

_COLUMNS = 3
_CURVE_HEIGHT = 3.4  # inches
_LONGEST_LINE = 44  # letters of a title as wide as its panel
# Standard deviations beyond which an observed statistic is drawn as an arrow.
_FARTHEST = 6.0


def draw_check(check: Check, panels: Sequence[Panel]) -> Figure:
    """Draw a check.

    Parameters
    ----------
    check
        The comparison of observed with replicated data.
    panels
        Their titles choose the curves; panels that the check has no curve of are left out.
    """
    titles = set(check.curves["panel"])
    panels = [panel for panel in panels if panel.title in titles]
    rows = -(-len(panels) // _COLUMNS)
    heights = [_CURVE_HEIGHT * rows, 0.34 * len(check.statistics) + 0.9]
    figure = Picture(figsize=(13.0, sum(heights)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1)  # inches, so that titles and labels stay apart
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    axes = above.subplots(rows, _COLUMNS, squeeze=False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        _draw_curve(axis, check, panel)
    hide_unused(axes, len(panels))
    _draw_statistics(below.subplots(), check)
    return figure


def _draw_curve(axis: Axes, check: Check, panel: Panel) -> None:
    table = check.curves[check.curves["panel"] == panel.title]
    # Replicates can have values far beyond, which would hide the others; they are in the CSV.
    seen = table.loc[table["observed"].notna(), "x"]
    table = table[table["x"].between(seen.min(), seen.max())]
    x = table["x"].to_numpy()
    axis.fill_between(x, table["low"], table["high"], color=BLUE, alpha=0.3, linewidth=0)
    axis.plot(x, table["middle"], "-", color=BLUE, label="replicated, 95 % and median")
    axis.plot(x, table["observed"], "o", color=ORANGE, markersize=4, label="observed")
    verdict = textwrap.fill(check.short_verdict(panel.title), _LONGEST_LINE)
    frame(axis, panel._replace(title=f"{panel.title}\n{verdict}".rstrip()))


def _draw_statistics(axis: Axes, check: Check) -> None:
    """Draw each observed statistic in standard deviations of the replicates."""
    table = check.statistics
    scale = np.maximum(table["replicated_sd"], 1e-12 + 1e-9 * table["replicated_mean"].abs())
    score = ((table["observed"] - table["replicated_mean"]) / scale).to_numpy()
    shown = score.clip(-_FARTHEST, _FARTHEST)
    rows = np.arange(len(table))
    axis.axvspan(-1.96, 1.96, color=BLUE, alpha=0.2, linewidth=0)
    axis.axvline(0, color=GREY, linewidth=0.8)
    inside = np.abs(score) <= _FARTHEST
    axis.plot(shown[inside], rows[inside], "o", color=ORANGE)
    for row in rows[~inside]:
        marker = ">" if score[row] > 0 else "<"
        axis.plot(shown[row], row, marker, color=ORANGE, markersize=9)
    names = [f"{name}: {value:.4g}" for name, value in table[["statistic", "observed"]].to_numpy()]
    axis.set_yticks(rows, names)
    axis.invert_yaxis()
    axis.set_xlim(-1.1 * _FARTHEST, 1.35 * _FARTHEST)
    for row, value in zip(rows, table["p_value"], strict=True):
        axis.text(1.12 * _FARTHEST, row, f"p = {value:.3f}", va="center", fontsize=8)
    x = "(observed - mean of replicates) / standard deviation of replicates; arrows lie beyond"
    label(axis, "statistics", x, "")
    axis.grid(visible=False)
