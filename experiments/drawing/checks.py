"""The picture of a check: curves of the data over the band of replicates, and all p-values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ..checks.comparison import Check
from ..fitting.fits import write_atomically
from .panels import Panel
from .pictures import BLUE, GREY, ORANGE, logarithmic, plt, save

# Standard deviations at which an observed statistic leaves the picture.
_FARTHEST = 6.0


def write_check(check: Check, panels: Sequence[Panel], folder: Path) -> list[Path]:
    """Write ``check.png``, ``check_statistics.csv`` and ``check_curves.csv`` to a folder."""
    paths = [folder / name for name in ("check.png", "check_statistics.csv", "check_curves.csv")]
    draw_check(check, panels, paths[0])
    for table, path in zip(check, paths[1:], strict=True):
        write_atomically(path, lambda target, table=table: table.to_csv(target, index=False))
    return paths


def draw_check(check: Check, panels: Sequence[Panel], path: Path) -> None:
    """Draw a check.

    Parameters
    ----------
    check
        What was compared.
    panels
        Around the curves; those that the check has no curve of are left out.
    path
        Of the PNG.
    """
    titles = set(check.curves["panel"])
    panels = [panel for panel in panels if panel.title in titles]
    columns = 3
    rows = -(-len(panels) // columns)
    height = 0.34 * len(check.statistics) + 0.9
    figure = plt.figure(figsize=(13.0, 3.4 * rows + height), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[3.4 * rows, height])
    axes = above.subplots(rows, columns, squeeze=False).ravel()
    for axis, panel in zip(axes, panels, strict=False):
        _draw_curve(axis, check, panel)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    _draw_statistics(below.subplots(), check)
    save(figure, path)


def _draw_curve(axis: Axes, check: Check, panel: Panel) -> None:
    table = check.curves[check.curves["panel"] == panel.title]
    # Replicates can have values far beyond, which would hide the others; they are in the CSV.
    seen = table.loc[table["observed"].notna(), "x"]
    table = table[table["x"].between(seen.min(), seen.max())]
    x = table["x"].to_numpy()
    replicated = "replicated, 95 % and median"
    axis.fill_between(x, table["low"], table["high"], color=BLUE, alpha=0.3, linewidth=0)
    axis.plot(x, table["middle"], "-", color=BLUE, label=replicated)
    axis.plot(x, table["observed"], "o", color=ORANGE, markersize=4, label="observed")
    for which in panel.logarithmic:
        logarithmic(axis, which)
    axis.set_title(panel.title, fontsize=10)
    axis.set_xlabel(panel.x, fontsize=9)
    axis.set_ylabel(panel.y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)


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
    labels = [f"{name}: {value:.4g}" for name, value in table[["statistic", "observed"]].to_numpy()]
    axis.set_yticks(rows, labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(-1.1 * _FARTHEST, 1.35 * _FARTHEST)
    for row, value in zip(rows, table["p_value"], strict=True):
        axis.text(1.12 * _FARTHEST, row, f"p = {value:.3f}", va="center", fontsize=8)
    axis.set_xlabel(
        "observed - mean of replicates (standard deviations of replicates; arrows lie beyond)",
        fontsize=9,
    )
    axis.set_title("statistics", fontsize=10)
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
