"""Shapes and zeros of the bootstraps of an isoform in a cell, beside Gaussian bootstraps.

The bootstraps of each pair of an isoform and a cell are scaled to a range from 0 to 1. The same
curves of equally many Gaussian bootstraps are drawn beside.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...data.cells import Cells
from ...data.row_blocks import blocks
from ..drawing.style import label, new_figure, show_legends, style_of
from ..isoforms.evaluation import EXPRESSED
from . import isoform_runs
from .isoform_runs import SIMULATED
from .workshop import Workshop

# Lower ends of the groups of pairs, by the mean of their bootstraps (reads).
_LEVELS = (EXPRESSED, 10.0, 100.0)
_GAUSSIAN = "Gaussian"
_GRID = np.linspace(0, 1, 41)
# Bins of the scaled median; 1 is in the last bin.
_PLACES = np.linspace(0, 1, 21)
# Gaussian pairs that are drawn, and bootstraps that are measured at once.
_DRAWN, _BLOCK = 20000, 1 << 22

_CDF, _MEDIAN, _MASS, _ZEROS = "scaled", "median", "mass of the median", "zeros"
_PANELS = {
    _CDF: (
        "CDF of scaled bootstraps",
        "(x - smallest) / (largest - smallest)",
        "CDF, mean over pairs",
    ),
    _MEDIAN: ("position of the median", "scaled median", "share of pairs"),
    _MASS: ("mass of the median", "share of bootstraps equal to the median", "share of pairs"),
    _ZEROS: (
        "zeros among the bootstraps",
        "share of bootstraps that are 0",
        "share of pairs with reads",
    ),
}


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure; columns ``data``, ``panel``, ``level``, ``x``, ``y``, ``pairs`` (in the level)."""
    cells = isoform_runs.simulated(workshop, isoform_runs.sizes_of(workshop), workshop.seed).cells
    data = {SIMULATED: cells, **workshop.cells}
    return pd.concat([_measure(name, own) for name, own in data.items()], ignore_index=True)


class _Shapes:
    """Curves of pairs with equally many bootstraps, summed block by block."""

    def __init__(self, num_bootstraps: int) -> None:
        self.pairs = 0
        self.cdf = np.zeros(len(_GRID))
        self.medians = np.zeros(len(_PLACES) - 1)
        self.masses = np.zeros(num_bootstraps + 1)

    def add(self, bootstraps: np.ndarray) -> None:
        """Take in pairs: their bootstraps (reads), shape (pairs, bootstraps)."""
        low, high = bootstraps.min(1, keepdims=True), bootstraps.max(1, keepdims=True)
        scattered = (high > low).ravel()
        scaled = ((bootstraps - low) / np.where(high > low, high - low, 1.0))[scattered]
        # The lower of two middle values, so that the median is a bootstrap.
        median = np.quantile(scaled, 0.5, axis=1, method="lower")
        self.pairs += len(scaled)
        self.cdf += np.stack([(scaled <= x).mean(1).sum() for x in _GRID])
        self.medians += np.histogram(median, _PLACES)[0]
        equal = (scaled == median[:, np.newaxis]).sum(1)
        self.masses += np.bincount(equal, minlength=len(self.masses))

    def tables(self) -> list[pd.DataFrame]:
        """Give a table for each panel."""
        curves = {
            _CDF: (_GRID, self.cdf),
            _MEDIAN: (_PLACES[:-1], self.medians),
            _MASS: (np.linspace(0, 1, len(self.masses)), self.masses),
        }
        return [
            pd.DataFrame({"panel": panel, "x": x, "y": y / self.pairs, "pairs": self.pairs})
            for panel, (x, y) in curves.items()
        ]


def _measure(name: str, cells: Cells) -> pd.DataFrame:
    number = len(cells.bootstraps)
    shapes = {level: _Shapes(number) for level in _names()}
    zeros = np.zeros(number + 1)
    size = max(1, _BLOCK // number)
    for rows in blocks(cells.num_cells, cells.num_isoforms, size):
        full = cells.num_bootstraps[rows] == cells.num_bootstraps.max()
        values = np.stack([layer[rows].toarray()[full] for layer in cells.bootstraps], -1)
        values = values.reshape(-1, number)
        mean = values.mean(1)
        zeros += np.bincount((values[mean > 0] == 0).sum(1), minlength=len(zeros))
        level = np.searchsorted(_LEVELS, mean)
        for place, own in enumerate(shapes.values(), start=1):
            own.add(values[level == place])
    gaussian = _Shapes(number)
    gaussian.add(np.random.default_rng(0).normal(size=(_DRAWN, number)))
    shapes[_GAUSSIAN] = gaussian
    tables = [
        table.assign(level=level)
        for level, own in shapes.items()
        if own.pairs
        for table in own.tables()
    ]
    pairs = zeros.sum()
    table = {"panel": _ZEROS, "x": np.linspace(0, 1, len(zeros)), "y": zeros / pairs}
    table["pairs"] = pairs
    tables.append(pd.DataFrame(table).assign(level="all with reads"))
    return pd.concat(tables).assign(data=name)


def _names() -> list[str]:
    """Names of the levels."""
    between = [
        f"{low:g} to {high:g} reads" for low, high in zip(_LEVELS, _LEVELS[1:], strict=False)
    ]
    return [*between, f"above {_LEVELS[-1]:g} reads"]


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row of panels for each data set."""
    data = list(table["data"].unique())
    figure, axes = new_figure(len(data), len(_PANELS), width=3.6, height=3.2)
    order = [*_names(), _GAUSSIAN]
    for row, name in zip(axes, data, strict=True):
        for axis, (panel, (title, x, y)) in zip(row, _PANELS.items(), strict=True):
            own = table[(table["data"] == name) & (table["panel"] == panel)]
            for level in own["level"].unique():
                curve = own[own["level"] == level]
                number = order.index(level) if level in order else 0
                style = {**style_of(number), "marker": None}
                shape = "steps-post" if panel == _MEDIAN else "default"
                name_of_curve = level if panel == _CDF else None
                axis.plot(curve["x"], curve["y"], drawstyle=shape, label=name_of_curve, **style)
            label(axis, f"{name}:\n{title}", x, y)
            axis.set_ylim(bottom=0)
    return show_legends(figure)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Give the shares of pairs with zeros, and the distances of mean CDFs from the Gaussian CDF."""
    found = {}
    for name, own in table.groupby("data", sort=False):
        zeros = own[own["panel"] == _ZEROS]
        found[f"{name}: pairs with reads, some of whose bootstraps are 0 (share)"] = zeros["y"][
            zeros["x"] > 0
        ].sum()
        cdf = own[own["panel"] == _CDF].pivot(index="x", columns="level", values="y")
        mass = own[own["panel"] == _MASS].pivot(index="x", columns="level", values="y")
        for level in cdf:
            if level != _GAUSSIAN:
                distance = (cdf[level] - cdf[_GAUSSIAN]).abs().max()
                found[f"{name}, {level}: largest distance from the Gaussian CDF"] = distance
                mean = (mass[level] * mass.index).sum()
                found[f"{name}, {level}: mass of the median, mean"] = mean
    return {name: float(value) for name, value in found.items()}
