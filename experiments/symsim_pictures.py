"""Pictures of simulated counts beside counts of reference."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from .pictures import BLUE, ORANGE, plt, save

# Bins of the number of molecules, the last one open.
_MOLECULES = np.array([1, 2, 3, 5, 10, 20, 50, 100, 200, np.inf])
# Bins of counts to a decade.
_BINS_PER_DECADE = 8


class CellCounts(NamedTuple):
    """Counts of a data set.

    Attributes
    ----------
    true
        Molecules, shape (cells, genes).
    observed
        Reads or UMIs, shape (cells, genes).
    """

    true: np.ndarray
    observed: np.ndarray


def zeros_given_molecules(counts: CellCounts) -> tuple[np.ndarray, np.ndarray]:
    """Find the share of entries that are not observed, by how many molecules there are.

    Returns
    -------
    molecules, zeros
        Mean number of molecules and share of zeros in each bin, shape (bins,); not a number where
        a bin is empty.
    """
    bins = np.digitize(counts.true, _MOLECULES).ravel()
    size = len(_MOLECULES)
    entries = np.bincount(bins, minlength=size)[1:].astype(float)
    entries[entries == 0] = np.nan
    molecules = np.bincount(bins, counts.true.ravel(), size)[1:] / entries
    zeros = np.bincount(bins, counts.observed.ravel() == 0, size)[1:] / entries
    return molecules, zeros


def draw_comparison(
    simulated: CellCounts,
    reference: CellCounts,
    path: Path,
    *,
    names: tuple[str, str] = ("simulated", "reference"),
    unit: str = "reads",
) -> None:
    """Draw the statistics of two data sets on top of each other.

    Four panels: how counts are distributed, observed and true; mean and zeros of each gene; zeros
    by the number of molecules; totals of cells.

    Parameters
    ----------
    simulated, reference
        They may differ in cells and genes.
    path
        Of the PNG.
    names
        For the legend.
    unit
        Of observed counts.
    """
    figure, axes = plt.subplots(2, 2, figsize=(10.0, 7.6))
    styles = (("-", "o", BLUE), ("--", "x", ORANGE))
    for counts, name, (line, marker, colour) in zip(
        (simulated, reference), names, styles, strict=True
    ):
        _draw_distribution(axes[0, 0], counts, name, unit, line, colour)
        own = {"color": colour, "label": name}
        observed = counts.observed
        axes[0, 1].plot(
            1 + observed.mean(0), (observed == 0).mean(0), marker, markersize=4, alpha=0.6, **own
        )
        axes[1, 0].plot(*zeros_given_molecules(counts), line, marker=marker, **own)
        totals = np.sort(observed.sum(1))
        axes[1, 1].plot(totals, np.arange(1, len(totals) + 1) / len(totals), line, **own)
    for axis, title, horizontal, vertical in (
        (
            axes[0, 0],
            "distribution of counts",
            f"count above 0 ({unit} or molecules)",
            "share of entries per decade",
        ),
        (axes[0, 1], "genes", f"1 + mean count ({unit})", "share of cells with 0"),
        (axes[1, 0], "technical zeros", "count (molecules)", "share of entries not observed"),
        (axes[1, 1], "totals of cells", f"total count ({unit})", "share of cells up to there"),
    ):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(horizontal, fontsize=9)
        axis.set_ylabel(vertical, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.legend(frameon=False, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    for axis in axes.flat[:3]:
        axis.set_xscale("log")
    axes[0, 0].set_ylim(top=1.5 * axes[0, 0].get_ylim()[1])  # room for the legend
    axes[1, 1].locator_params(axis="x", nbins=5)
    figure.tight_layout()
    save(figure, path)


def _draw_distribution(
    axis: Axes, counts: CellCounts, name: str, unit: str, line: str, colour: str
) -> None:
    """Draw the density of log10 counts above 0, strong for observed and pale for true counts."""
    for values, label, width, alpha in (
        (counts.observed, f"{name}, {unit}", 2.0, 1.0),
        (counts.true, f"{name}, molecules", 3.5, 0.4),
    ):
        decades = np.log10(max(values.max(), 1) + 1.0)
        points = 10 ** np.arange(0, decades + 1 / _BINS_PER_DECADE, 1 / _BINS_PER_DECADE)
        # Between whole numbers, so that no bin is empty for want of one.
        edges = np.unique(np.rint(points)) - 0.5
        entries, _ = np.histogram(values, edges)
        density = entries / (values.size * np.diff(np.log10(edges)))
        style = {"color": colour, "linestyle": line, "linewidth": width, "alpha": alpha}
        axis.stairs(density, edges, label=f"{label} ({np.mean(values == 0):.0%} zeros)", **style)
