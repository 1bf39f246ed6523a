"""Coverage of intervals of the true count: errors shared or independent, 2 to 100 bootstraps.

Intervals of the bootstraps alone are mean +- z standard deviations of the mean; intervals of a fit
are central intervals of the posterior of the count u. With independent errors each bootstrap is one
more measurement of the count, and the standard deviation of the mean falls with their number; with
a shared error it does not. Coverage is measured on expected counts, over entries whose mean
bootstrap is above two reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from ...data.cells import Cells
from ...data.isoform_truth import IsoformTruth
from ..drawing.bands import draw_bands
from ..drawing.style import GREY, label, new_figure, show_legends
from ..isoforms.evaluation import EXPRESSED
from ..isoforms.expression import posteriors_of_expression
from ..isoforms.fitting import IsoformFit
from ..isoforms.settings import POSTERIOR_SAMPLES
from ..simulator_checks.bootstraps import moments_of
from . import isoform_runs
from .isoform_models import CONFIGS, EFFECTIVE_READS, PAPER_INDEPENDENT, PAPER_SHARED
from .isoform_runs import KnownCells
from .workshop import Workshop

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_ALONE, _FITTED = "bootstraps alone", "posterior of the model"
_SHARED, _INDEPENDENT = "shared error", "independent errors"
# Independent errors have the same style in both.
_MODELS = {
    _ALONE: (_SHARED, _INDEPENDENT),
    _FITTED: (EFFECTIVE_READS, PAPER_INDEPENDENT, PAPER_SHARED),
}


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure.

    Columns ``intervals``, ``model`` (of the error, or the fitted model), ``bootstraps`` (their
    number), ``seed``, ``level`` and ``coverage``.
    """
    numbers = workshop.choose((2, 5, 20, 100), (2, 4))
    sizes = isoform_runs.sizes_of(
        workshop, num_cells=100, num_isoforms=150, num_bootstraps=max(numbers)
    )
    rows = []
    seed = workshop.seed
    whole = isoform_runs.simulated(workshop, sizes, seed)
    for number in numbers:
        cells = isoform_runs.with_bootstraps(whole.cells, number)
        known = KnownCells(cells, whole.truth)
        measured = {
            (_ALONE, _SHARED): coverage_of_bootstraps(known, "shared"),
            (_ALONE, _INDEPENDENT): coverage_of_bootstraps(known, "independent"),
        }
        for model in _MODELS[_FITTED]:
            fit = isoform_runs.fitted(workshop, known, CONFIGS[model], sizes.epochs, seed)
            measured[_FITTED, model] = coverage_of_fit(fit, cells, whole.truth)
        rows += [
            (*intervals, number, seed, level, value)
            for intervals, values in measured.items()
            for level, value in zip(LEVELS, values, strict=True)
        ]
    columns = ["intervals", "model", "bootstraps", "seed", "level", "coverage"]
    return pd.DataFrame(rows, columns=columns)


def coverage_of_bootstraps(
    known: KnownCells, error: str, levels: Sequence[float] = LEVELS
) -> list[float]:
    """Share of intervals made of bootstraps alone that hold the truth, for each level.

    Parameters
    ----------
    known
        Cells and their truth.
    error
        ``shared`` by all bootstraps, or ``independent``.
    levels
        Nominal coverages, between 0 and 1.
    """
    moments = moments_of(known.cells, types=None)
    number = known.cells.num_bootstraps[:, np.newaxis]
    factor = 1 / number if error == "independent" else 1 + 1 / number
    chosen = moments.mean > EXPRESSED
    distance = np.abs(moments.mean - known.truth.expected)[chosen]
    scale = np.sqrt(moments.variance * factor)[chosen]
    return [float(np.mean(distance <= stats.norm.ppf((1 + x) / 2) * scale)) for x in levels]


@torch.no_grad()
def coverage_of_fit(
    fit: IsoformFit, cells: Cells, truth: IsoformTruth, levels: Sequence[float] = LEVELS
) -> list[float]:
    """Share of posterior intervals of expression that hold the truth, for each level."""
    tensors = fit.source(cells)
    ends = [0.5 + side * level / 2 for level in levels for side in (-1, 1)]
    covered, expressed = np.zeros(len(levels)), 0
    torch.manual_seed(0)
    positions = np.arange(cells.num_cells)
    for rows, posterior in posteriors_of_expression(fit, tensors, positions, POSTERIOR_SAMPLES):
        expected = torch.as_tensor(truth.expected[rows], dtype=torch.float32)
        mask = torch.as_tensor(cells.mean_bootstraps[rows].toarray() > EXPRESSED)
        expressed += int(mask.sum())
        low, high = posterior.quantile(ends).unflatten(0, (-1, 2)).unbind(1)
        covered += (mask & (low <= expected) & (expected <= high)).sum((-2, -1)).numpy()
    return (covered / expressed).tolist()


def draw(table: pd.DataFrame) -> Figure:
    """Draw coverage by level for the fewest and the most bootstraps, and by their number."""
    fewest, most = table["bootstraps"].min(), table["bootstraps"].max()
    figure, axes = new_figure(2, 3)
    y = "share that hold the truth"
    for row, (intervals, models) in zip(axes, _MODELS.items(), strict=True):
        own = table[table["intervals"] == intervals]
        for axis, number in zip(row, (fewest, most), strict=False):
            draw_bands(axis, own[own["bootstraps"] == number], "level", "coverage", "model", models)
            axis.plot([0, 1], [0, 1], ":", color=GREY, label="nominal")
            label(axis, f"{intervals}, {number} bootstraps", "probability of the interval", y)
            axis.set(xlim=(0, 1), ylim=(0, 1))
        _draw_by_number(row[2], own[own["level"] == 0.8], models)
        label(row[2], f"{intervals}, intervals of 80 %", "bootstraps", y)
    return show_legends(figure)


def _draw_by_number(axis: Axes, table: pd.DataFrame, models: Sequence[str]) -> None:
    """Draw the coverage of 80 % intervals against the number of bootstraps."""
    draw_bands(axis, table, "bootstraps", "coverage", "model", models)
    axis.axhline(0.8, color=GREY, linestyle=":", label="nominal")
    axis.set(xscale="log", ylim=(0, 1))
    numbers = sorted(table["bootstraps"].unique())
    axis.set_xticks(numbers, numbers)
    axis.minorticks_off()


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Coverage of 50, 80 and 95 % intervals, averaged over seeds."""
    chosen = table[table["level"].isin((0.5, 0.8, 0.95))]
    means = chosen.groupby(["intervals", "model", "bootstraps", "level"])["coverage"].mean()
    return {
        f"{intervals}, {model}, {number} bootstraps: coverage of {level:.0%} intervals": value
        for (intervals, model, number, level), value in means.items()
    }
