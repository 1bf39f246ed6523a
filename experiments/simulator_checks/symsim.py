"""Counts of SymSim in Python beside reference counts, such as SymSim's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ..drawing.panels import Curve, Panel, draw_panels
from .comparison import View

# Bins of the number of molecules, the last one open.
_MOLECULES = np.array([1, 2, 3, 5, 10, 20, 50, 100, 200, np.inf])
# Bins of counts per decade.
_BINS_PER_DECADE = 8

_ENTRIES = "share of entries per decade"
PANELS = (
    Panel("molecules", "count above 0 (molecules)", _ENTRIES, style="step"),
    Panel("observed counts", "count above 0 (reads)", _ENTRIES, style="step"),
    Panel("genes", "1 + mean count (reads)", "share of cells with 0", style="points"),
    Panel("technical zeros", "count (molecules)", "share of entries not observed"),
    Panel("totals of cells", "total count (reads)", "share of cells up to there", ""),
    Panel("variance of genes", "mean count (reads)", "variance (reads²)", "xy", "points"),
)


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
    """Find the share of entries that are not observed, by their number of molecules.

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

    Parameters
    ----------
    values
        Counts (molecules or reads), any shape.

    Returns
    -------
    counts, density
        The lower end of each bin, between whole numbers, and the share of all entries in it per
        decade; shape (bins + 1,), the last one the end.
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


def curves_of(counts: CellCounts) -> list[Curve]:
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


def draw_counts(data: Mapping[str, Sequence[Sequence[Curve]]]) -> Figure:
    """Draw curves of :func:`curves_of`."""
    figure = draw_panels(PANELS, data)
    for axis, panel in zip(figure.axes, PANELS, strict=True):
        if not panel.logarithmic:
            axis.locator_params(axis="x", nbins=5)
    return figure


VIEW = View(PANELS, curves_of, statistics_of, draw_counts)
