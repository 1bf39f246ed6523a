"""Bootstraps of simulated cells beside bootstraps of reference cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...data.cells import Cells
from ...data.errors import DataError
from ..drawing.panels import Curve, Panel, draw_panels
from ..drawing.style import GREY, show_legend
from .comparison import View

# Bins of the mean of the bootstraps per decade; bins with fewer entries are not shown.
_BINS_PER_DECADE, _LEAST_ENTRIES = 4, 30
# Isoforms are compared in cell types where they have so many reads per cell.
_EXPRESSED = 1.0
# Above this mean (reads) bootstraps are seldom zero.
_ABUNDANT = 5.0

_MEAN, _ENTRIES = "mean of the bootstraps (reads)", "share of entries"
_RATIO = "variance / mean (reads)"
_ZEROS, _VARIANCES = "zeros by mean", "variance of isoforms in cell types"
PANELS = (
    Panel("means of bootstraps", _MEAN, f"{_ENTRIES} per decade", style="step"),
    Panel("variance of bootstraps, median", _MEAN, _RATIO),
    Panel("variance of bootstraps, 90 % quantile", _MEAN, _RATIO, "xy"),
    Panel(_ZEROS, _MEAN, "mean share of bootstraps that are 0"),
    Panel("zeros", "share of bootstraps that are 0", _ENTRIES, "y", "step"),
    Panel(
        _VARIANCES,
        "inferential variance (reads²)",
        "biological variance (reads²)",
        "xy",
        "points",
    ),
)


class BootstrapMoments(NamedTuple):
    """Moments of the bootstraps of each isoform in each cell.

    Attributes
    ----------
    mean, variance
        Mean and variance of the bootstraps (reads, reads squared), shape (cells, isoforms),
        float64.
    zeros
        Share of the bootstraps that are zero, shape (cells, isoforms), float64.
    broken
        Share of all bootstraps in the file that are not whole numbers.
    types
        Cell types, shape (cells,), strings.
    num_bootstraps
        Number of bootstraps of each cell, shape (cells,).
    """

    mean: np.ndarray
    variance: np.ndarray
    zeros: np.ndarray
    broken: float
    types: np.ndarray
    num_bootstraps: np.ndarray


def moments_of(cells: Cells, types: str | None = "cell_type") -> BootstrapMoments:
    """Find the moments of the bootstraps of cells.

    Parameters
    ----------
    cells
        Cells with bootstraps.
    types
        Column of ``obs`` with the cell types; None treats all cells as one type.

    Raises
    ------
    DataError
        If there are no bootstraps or no such column.
    """
    cells.require_bootstraps()
    if types is not None and types not in cells.obs:
        raise DataError(
            f"{cells.source}: obs has no column {types!r}; import the cells with their types "
            "(--obs)"
        )
    statistics = (
        cells.summary.matrix(name, cells.num_isoforms).toarray().astype(np.float64)
        for name in ("positives", "mean", "sum_of_squares")
    )
    positives, mean, squares = statistics
    size = cells.num_bootstraps[:, np.newaxis]
    overall = positives * mean / size
    squares += positives * (mean - overall) ** 2 + (size - positives) * overall**2
    values = np.concatenate([layer.data for layer in cells.bootstraps])
    # kallisto's text rounds to six digits.
    broken = np.abs(values - values.round()) > 1e-5 * np.abs(values)
    return BootstrapMoments(
        overall,
        squares / np.maximum(size - 1, 1),
        1 - positives / size,
        broken.sum() / (len(cells.bootstraps) * overall.size),
        np.full(cells.num_cells, "") if types is None else cells.obs[types].to_numpy(str),
        cells.num_bootstraps,
    )


def variances_of(moments: BootstrapMoments) -> tuple[np.ndarray, np.ndarray]:
    """Find inferential and biological variance of isoforms within cell types.

    The inferential variance is the variance of the bootstraps, averaged over the cells of a type.
    The mean of B bootstraps scatters around the expected count with 1 + 1/B times this variance;
    the biological variance is the rest of the variance of these means over the cells. By chance a
    small biological variance comes out negative.

    Returns
    -------
    inferential, biological
        Variances (reads squared) of pairs of an isoform and a type with at least two cells, in
        which the isoform has at least one read per cell; shape (pairs,).
    """
    inferential, biological = [], []
    for name in np.unique(moments.types):
        own = moments.types == name
        if own.sum() < 2:
            continue
        chosen = moments.mean[own].mean(0) >= _EXPRESSED
        variance = moments.variance[own][:, chosen]
        of_means = variance * (1 + 1 / moments.num_bootstraps[own, np.newaxis])
        inferential.append(variance.mean(0))
        biological.append(moments.mean[own][:, chosen].var(0, ddof=1) - of_means.mean(0))
    return np.concatenate(inferential), np.concatenate(biological)


def statistics_of(moments: BootstrapMoments) -> dict[str, float]:
    """Measure the bootstraps of a data set: each statistic by its name, with its unit."""
    expressed, abundant = moments.mean > 0, moments.mean > _ABUNDANT
    ratio = moments.variance[expressed] / moments.mean[expressed]
    of_abundant = moments.variance[abundant] / moments.mean[abundant]
    inferential, biological = variances_of(moments)
    return {
        "share of entries that are zero in every bootstrap": np.mean(~expressed),
        "share of entries that are zero in some": np.mean(expressed & (moments.zeros > 0)),
        "share of bootstraps that are not whole": moments.broken,
        "median bootstrap mean above 0 (reads)": np.median(moments.mean[expressed]),
        "variance / mean, mean of entries above 0 (reads)": ratio.mean(),
        **{
            f"variance / mean, {quantile:.0%} quantile above {_ABUNDANT:g} reads (reads)": (
                np.quantile(of_abundant, quantile)
            )
            for quantile in (0.1, 0.5, 0.9)
        },
        "share of isoforms and types with inferential variance above biological": np.mean(
            inferential >= biological
        ),
    }


def curves_of(moments: BootstrapMoments) -> list[Curve]:
    """Find x and y of each panel."""
    expressed = moments.mean > 0
    mean, zeros = moments.mean[expressed], moments.zeros[expressed]
    ratio = moments.variance[expressed] / mean
    places = np.floor(_BINS_PER_DECADE * np.log10(mean)).astype(int)
    first = places.min()
    bins = np.arange(first, places.max() + 2)
    edges = 10.0 ** (bins / _BINS_PER_DECADE)
    number = np.bincount(places - first)
    own = [
        places == place for place, size in zip(bins, number, strict=False) if size >= _LEAST_ENTRIES
    ]
    means = np.array([mean[each].mean() for each in own])
    shares, ends = np.histogram(moments.zeros, np.linspace(0, 1, 21))
    return [
        (edges, np.append(number * _BINS_PER_DECADE / moments.mean.size, 0.0)),
        (means, np.array([np.median(ratio[each]) for each in own])),
        (means, np.array([np.quantile(ratio[each], 0.9) for each in own])),
        (means, np.array([zeros[each].mean() for each in own])),
        (ends, np.append(shares / moments.mean.size, 0.0)),
        variances_of(moments),
    ]


def draw_bootstraps(data: Mapping[str, Sequence[Sequence[Curve]]]) -> Figure:
    """Draw curves of :func:`curves_of`, with the Poisson distribution and equal variances."""
    figure = draw_panels(PANELS, data)
    axes = dict(zip((panel.title for panel in PANELS), figure.axes, strict=True))
    reads = np.geomspace(0.03, 30, 50)
    axes[_ZEROS].plot(reads, np.exp(-reads), ":", color=GREY, label="Poisson")
    axes[_VARIANCES].axline((1, 1), (10, 10), color=GREY, linestyle=":", label="equal")
    for title in (_ZEROS, _VARIANCES):
        show_legend(axes[title])
    return figure


VIEW = View(PANELS, curves_of, statistics_of, draw_bootstraps)
