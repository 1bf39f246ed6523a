"""Pictures of the relative uncertainty of all entries against their expression."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .style import BLACK, ORANGE, label, new_figure

LEAST_EXPRESSION = 1e-2
# Expression and relative uncertainty that are counted, and bins in a decade.
_LEAST = (LEAST_EXPRESSION, 1e-3)
_MOST = (1e6, 1e2)
_BINS_IN_A_DECADE = 16


class Density:
    """Counts of entries by expression and relative uncertainty, both on log scale.

    Attributes
    ----------
    edges
        Ends of the bins of expression and of relative uncertainty.
    counts
        Number of entries, shape (bins of expression, bins of uncertainty).
    """

    def __init__(self) -> None:
        self.edges = [
            np.logspace(low, high, int(high - low) * _BINS_IN_A_DECADE + 1)
            for low, high in zip(np.log10(_LEAST), np.log10(_MOST), strict=True)
        ]
        self.counts = np.zeros([len(edges) - 1 for edges in self.edges])

    def add(self, mean: np.ndarray, sd: np.ndarray) -> None:
        """Count entries by their mean and standard deviation, arrays of the same shape."""
        known = (mean > 0) & (sd > 0)
        mean, sd = mean[known].astype(float), sd[known].astype(float)
        self.counts += np.histogram2d(mean, sd / mean, self.edges)[0]

    def medians(self) -> np.ndarray:
        """Median uncertainty of each bin of expression; NaN where there are too few entries."""
        cumulative = self.counts.cumsum(1)
        number = cumulative[:, -1]
        middle = (cumulative >= number[:, None] / 2).argmax(1)
        centres = np.sqrt(self.edges[1][1:] * self.edges[1][:-1])
        return np.where(number >= 20, centres[middle], np.nan)


def draw_densities(densities: Mapping[str, Density], unit: str) -> Figure:
    """Draw densities side by side, with one scale of colours and equal axes.

    Parameters
    ----------
    densities
        Counts by title.
    unit
        Quantity and unit of the expression.
    """
    width = 4.6 if len(densities) > 1 else 6.0
    figure, axes = new_figure(1, len(densities), width=width, height=4.0, sharex=True, sharey=True)
    all_counts = sum(density.counts for density in densities.values())
    norm = LogNorm(1, max(2.0, max(own.counts.max() for own in densities.values())))
    for axis, (title, density) in zip(axes[0], densities.items(), strict=True):
        image = _draw_density(axis, density, norm)
        label(axis, title, unit, "")
    axes[0, 0].set_ylabel("standard deviation / mean", fontsize=9)
    axes[0, 0].legend(frameon=False, fontsize=8, loc="lower left")
    for which, edges, used in zip(
        "xy", density.edges, (all_counts.any(1), all_counts.any(0)), strict=True
    ):
        places = np.flatnonzero(used)
        if len(places):
            axes[0, 0].set(**{f"{which}lim": (edges[places[0]], edges[places[-1] + 1])})
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label("entries (cell x isoform)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def _draw_density(axis: Axes, density: Density, norm: LogNorm):
    axis.set(xscale="log", yscale="log")
    counts = np.ma.masked_equal(density.counts.T, 0)
    image = axis.pcolormesh(*density.edges, counts, norm=norm, cmap="cividis", rasterized=True)
    x = np.sqrt(density.edges[0][1:] * density.edges[0][:-1])
    axis.plot(x, density.medians(), "-", color=ORANGE, linewidth=1.8, label="median")
    axis.plot(x, x**-0.5, "--", color=BLACK, linewidth=1.0, label="Poisson counts")
    return image
