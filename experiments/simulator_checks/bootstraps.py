"""Pictures of the bootstraps of simulated cells, beside cells of reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...data.cells import Cells
from ...data.errors import DataError
from ..drawing.panels import Curve, Panel, draw_panel, finish, show_legend
from ..drawing.pictures import GREY, plt

# Bins of the mean of bootstraps to a decade, and the least entries that one is shown for.
_BINS_PER_DECADE, _LEAST_ENTRIES = 4, 30
# Isoforms are compared in cell types where they have so many reads a cell.
_EXPRESSED = 1.0
# Entries whose mean bootstrap (reads) is above this have bootstraps that are seldom zero.
_ABUNDANT = 5.0


class BootstrapMoments(NamedTuple):
    """Bootstraps of each isoform in each cell.

    Attributes
    ----------
    mean, variance
        Of the bootstraps (reads, reads squared), shape (cells, isoforms), float64.
    zeros
        Share of them that is zero, shape (cells, isoforms), float64.
    broken
        Share of all bootstraps in the file that are not whole numbers.
    types
        Cell types, shape (cells,), strings.
    num_bootstraps
        Of each cell, shape (cells,).
    """

    mean: np.ndarray
    variance: np.ndarray
    zeros: np.ndarray
    broken: float
    types: np.ndarray
    num_bootstraps: np.ndarray


def moments_of(cells: Cells, types: str | None = "cell_type") -> BootstrapMoments:
    """Find the moments of the bootstraps of cells.

    Their types are in this column of ``obs``; None takes all for one type.

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
    # Whole but for what rounding to the six digits of kallisto's text leaves.
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

    The inferential variance is that of bootstraps, mean over the cells of a type. The biological
    one is what the variance over these cells is more than that: means of B bootstraps have 1 + 1/B
    times the inferential variance around the expected count. It is negative by chance where there
    is little of it.

    Returns
    -------
    inferential, biological
        Of pairs of an isoform and a type of at least two cells in which it has at least one read a
        cell (reads squared), shape (pairs,).
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
    """Measure the bootstraps of a data set."""
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


def draw_bootstraps(data: Mapping[str, Sequence[BootstrapMoments]], path: Path) -> pd.DataFrame:
    """Draw what bootstraps look like in data sets, and write the numbers beside.

    Panels: how their means are distributed; variance by mean, median and upper decile; zeros, by
    mean and how their share is distributed; inferential beside biological variance.

    Parameters
    ----------
    data
        Replicates of one or two kinds of data by name; they may differ in cells and isoforms.
    path
        Of the PNG; the numbers go to a CSV of the same name.

    Returns
    -------
    pandas.DataFrame
        Columns ``panel``, ``data``, ``replicate``, ``x``, ``y``.
    """
    figure, axes = plt.subplots(2, 3, figsize=(13.0, 7.4))
    mean, entries = "mean of the bootstraps (reads)", "share of entries"
    ratio = "variance / mean (reads)"
    panels = (
        Panel("means of bootstraps", mean, f"{entries} per decade"),
        Panel("variance of bootstraps, median", mean, ratio),
        Panel("variance of bootstraps, 90 % quantile", mean, ratio, "xy"),
        Panel("zeros by mean", mean, "mean share of bootstraps that are 0"),
        Panel("zeros", "share of bootstraps that are 0", entries, "y"),
        Panel(
            "variance of isoforms in cell types",
            "inferential variance (reads²)",
            "biological variance (reads²)",
            "xy",
        ),
    )
    styles = ("step", "line", "line", "line", "step", "points")
    curves = {name: [_curves_of(each) for each in own] for name, own in data.items()}
    tables = [
        draw_panel(
            axis,
            panel,
            {name: [each[number] for each in own] for name, own in curves.items()},
            style,
        )
        for number, (axis, panel, style) in enumerate(zip(axes.flat, panels, styles, strict=True))
    ]
    reads = np.geomspace(0.03, 30, 50)
    axes[1, 0].plot(reads, np.exp(-reads), ":", color=GREY, label="Poisson")
    axes[1, 2].axline((1, 1), (10, 10), color=GREY, linestyle=":", label="equal")
    for axis in axes[1, ::2]:
        show_legend(axis)
    return finish(figure, tables, path)


def _curves_of(moments: BootstrapMoments) -> list[Curve]:
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
    inferential, biological = variances_of(moments)
    return [
        (edges, np.append(number * _BINS_PER_DECADE / moments.mean.size, 0.0)),
        (means, np.array([np.median(ratio[each]) for each in own])),
        (means, np.array([np.quantile(ratio[each], 0.9) for each in own])),
        (means, np.array([zeros[each].mean() for each in own])),
        (ends, np.append(shares / moments.mean.size, 0.0)),
        (inferential, biological),
    ]
