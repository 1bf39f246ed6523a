"""Pictures of counts simulated as by SymSim, beside counts of reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..drawing.panels import Panel, draw_panel, finish
from ..drawing.pictures import plt

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


def distribution(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the density of log10 counts above 0.

    Returns
    -------
    counts, density
        The lower end of each bin, between whole numbers, and the share of all entries per decade in
        it; shape (bins + 1,), the last one the end.
    """
    decades = np.log10(max(values.max(), 1) + 1.0)
    points = 10 ** np.arange(0, decades + 1 / _BINS_PER_DECADE, 1 / _BINS_PER_DECADE)
    # Between whole numbers, so that no bin is empty for want of one.
    edges = np.unique(np.rint(points)) - 0.5
    entries, _ = np.histogram(values, edges)
    return edges, np.append(entries / (values.size * np.diff(np.log10(edges))), 0.0)


def statistics_of(counts: CellCounts) -> dict[str, float]:
    """Measure a data set by numbers that are nearly normal over seeds."""
    found = {}
    for kind, values in zip(("true", "observed"), counts, strict=True):
        found |= {
            f"share of zeros, {kind}": np.mean(values == 0),
            f"log10 mean count, {kind}": np.log10(values.mean()),
            f"log10 variance of counts, {kind}": np.log10(values.var()),
            f"standard deviation of log(1 + count), {kind}": np.log1p(values).std(),
            f"median genes detected in a cell, {kind}": np.median((values > 0).sum(1)),
        }
    molecules, zeros = zeros_given_molecules(counts)
    lowest = _MOLECULES[:-1].astype(int)
    return {
        **found,
        **{
            f"share not observed, from {low} molecules": share
            for low, share in zip(lowest, zeros, strict=True)
        },
    }


def draw_comparison(
    data: Mapping[str, Sequence[CellCounts]], path: Path, *, unit: str = "reads"
) -> pd.DataFrame:
    """Draw the statistics of data sets on top of each other, and write their numbers beside.

    Panels: how counts are distributed, true and observed; mean and zeros of each gene; zeros by the
    number of molecules; totals of cells; mean and variance of each gene.

    Parameters
    ----------
    data
        Replicates of one or two kinds of data by name; they may differ in cells and genes.
    path
        Of the PNG; the numbers go to a CSV of the same name.
    unit
        Of observed counts.

    Returns
    -------
    pandas.DataFrame
        Columns ``panel``, ``data``, ``replicate``, ``x``, ``y``.
    """
    figure, axes = plt.subplots(2, 3, figsize=(13.0, 7.4))
    panels = (
        Panel("molecules", "count above 0 (molecules)", "share of entries per decade"),
        Panel("observed counts", f"count above 0 ({unit})", "share of entries per decade"),
        Panel("genes", f"1 + mean count ({unit})", "share of cells with 0"),
        Panel("technical zeros", "count (molecules)", "share of entries not observed"),
        Panel("totals of cells", f"total count ({unit})", "share of cells up to there"),
        Panel("variance of genes", f"mean count ({unit})", f"variance ({unit}²)", "xy"),
    )
    curves = {
        name: [_curves_of(counts) for counts in replicates] for name, replicates in data.items()
    }
    styles = ("step", "step", "points", "line", "line", "points")
    tables = [
        draw_panel(
            axis,
            panel,
            {name: [each[number] for each in own] for name, own in curves.items()},
            style,
        )
        for number, (axis, panel, style) in enumerate(zip(axes.flat, panels, styles, strict=True))
    ]
    axes[1, 1].set_xscale("linear")
    axes[1, 1].locator_params(axis="x", nbins=5)
    return finish(figure, tables, path)


def _curves_of(counts: CellCounts) -> list[tuple[np.ndarray, np.ndarray]]:
    """Find x and y of each panel."""
    observed = counts.observed
    totals = np.sort(observed.sum(1))
    return [
        distribution(counts.true),
        distribution(observed),
        (1 + observed.mean(0), (observed == 0).mean(0)),
        zeros_given_molecules(counts),
        (totals, np.arange(1, len(totals) + 1) / len(totals)),
        (observed.mean(0), observed.var(0)),
    ]
