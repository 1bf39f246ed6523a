"""Coverage of intervals of the true count: errors shared or independent, 2 to 100 bootstraps.

Intervals are, of the bootstraps alone, mean +- z standard deviations of the mean, and of fits the
central ones of the posterior of u. With independent errors each bootstrap is one more measurement
of the count, and the standard deviation of the mean falls with their number; with a shared one it
does not. Coverage is that of expected counts, over entries whose mean bootstrap is above two reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy import stats

from ...data.cells import Cells
from ...data.isoform_truth import IsoformTruth
from ...models.paper_isoforms import BootstrapIsoforms
from ..drawing.figures import GREY, draw_bands, finish, label, panels
from ..isoforms import inference
from ..isoforms.evaluation import EXPRESSED
from ..isoforms.fitting import IsoformFit
from ..isoforms.settings import POSTERIOR_SAMPLES, IsoformConfig
from ..simulator_checks.bootstraps import moments_of
from . import isoform_runs
from .isoform_runs import KnownCells
from .workshop import Workshop

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_SHARED, _INDEPENDENT, _PAPER = "shared error", "independent errors", "the paper's model"
_ERRORS = {
    _SHARED: IsoformConfig(),
    _INDEPENDENT: IsoformConfig(model="paper", options={"error": "shared"}),
    _PAPER: IsoformConfig(model="paper", options={"dropout": "network"}),
}
_ALONE, _FITTED = "bootstraps alone", "posterior of the model"


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure.

    Columns ``intervals``, ``error``, ``bootstraps``, ``seed``, ``level`` and ``coverage``.
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
        for error, config in _ERRORS.items():
            measured = {}
            if error != _PAPER:
                measured[_ALONE] = coverage_of_bootstraps(known, config.error)
            fit = isoform_runs.fitted(workshop, known, config, sizes.epochs, seed)
            measured[_FITTED] = coverage_of_fit(fit, cells, whole.truth)
            rows += [
                (intervals, error, number, seed, level, value)
                for intervals, values in measured.items()
                for level, value in zip(LEVELS, values, strict=True)
            ]
    columns = ["intervals", "error", "bootstraps", "seed", "level", "coverage"]
    return pd.DataFrame(rows, columns=columns)


def coverage_of_bootstraps(
    known: KnownCells, error: str, levels: Sequence[float] = LEVELS
) -> list[float]:
    """How often intervals made of bootstraps alone hold the truth, for each level."""
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
    """How often central intervals of the posterior of u hold the truth, for each level."""
    tensors = fit.source(cells)
    ends = [0.5 + side * level / 2 for level in levels for side in (-1, 1)]
    covered, expressed = np.zeros(len(levels)), 0
    # Other models have no count after dropout.
    of_counts = {"of": "u"} if isinstance(fit.model, BootstrapIsoforms) else {}
    torch.manual_seed(0)
    positions = np.arange(cells.num_cells)
    blocks = inference.draw_latents(fit.guide, tensors, positions, POSTERIOR_SAMPLES)
    for rows, batch, samples in blocks:
        posterior = fit.model.expression(samples, batch.batches, batch.obs, **of_counts)
        expected = torch.as_tensor(truth.expected[rows], dtype=torch.float32)
        mask = torch.as_tensor(cells.mean_bootstraps[rows].toarray() > EXPRESSED)
        expressed += int(mask.sum())
        low, high = posterior.quantile(ends).unflatten(0, (-1, 2)).unbind(1)
        covered += (mask & (low <= expected) & (expected <= high)).sum((-2, -1)).numpy()
    return (covered / expressed).tolist()


def draw(table: pd.DataFrame) -> Figure:
    """Draw reliability curves of the fewest and most bootstraps, and coverage by their number."""
    means = table.groupby(["intervals", "error", "bootstraps", "level"], as_index=False)
    means = means["coverage"].mean()
    fewest, most = table["bootstraps"].min(), table["bootstraps"].max()
    figure, axes = panels(2, 3)
    for row, intervals in zip(axes, (_ALONE, _FITTED), strict=True):
        own = means[means["intervals"] == intervals]
        errors = [error for error in _ERRORS if error in set(own["error"])]
        for axis, number in zip(row, (fewest, most), strict=False):
            draw_bands(axis, own[own["bootstraps"] == number], "level", "coverage", "error", errors)
            axis.plot([0, 1], [0, 1], ":", color=GREY, label="right")
            title = f"{intervals}, {number} bootstraps"
            label(axis, title, "probability of the interval", "share that hold the truth")
            axis.set(xlim=(0, 1), ylim=(0, 1))
        half = table[(table["intervals"] == intervals) & (table["level"] == 0.8)]
        draw_bands(row[2], half, "bootstraps", "coverage", "error", errors)
        row[2].axhline(0.8, color=GREY, linestyle=":", label="right")
        label(row[2], f"{intervals}, intervals of 80 %", "bootstraps", "share that hold the truth")
        row[2].set(xscale="log", ylim=(0, 1))
        row[2].set_xticks(sorted(half["bootstraps"].unique()), sorted(half["bootstraps"].unique()))
        row[2].minorticks_off()
    return finish(figure)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Coverage of 50, 80 and 95 % intervals, means over seeds."""
    chosen = table[table["level"].isin((0.5, 0.8, 0.95))]
    means = chosen.groupby(["intervals", "error", "bootstraps", "level"])["coverage"].mean()
    return {
        f"{intervals}, {error}, {number} bootstraps: coverage of {level:.0%} intervals": value
        for (intervals, error, number, level), value in means.items()
    }
