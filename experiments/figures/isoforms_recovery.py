"""Errors of expression: two models, the quantifier, and the mean of the bootstraps.

The truth is the expected count. Errors are on the log1p scale, and the estimate of a model is its
posterior mean of log1p. Isoforms are ambiguous if their bootstraps vary more than counting noise.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from ..drawing.bands import draw_bands
from ..drawing.style import label, new_figure, show_legends
from ..isoforms.expression import posteriors_of_expression
from ..isoforms.fitting import IsoformFit
from ..isoforms.settings import POSTERIOR_SAMPLES
from ..simulator_checks.bootstraps import moments_of
from .isoform_comparison import COMPARED, compared
from .isoform_models import EFFECTIVE_READS
from .isoform_runs import KnownCells
from .workshop import Workshop

_QUANTIFIER, _BOOTSTRAPS = "quantifier", "mean of the bootstraps"
_METHODS = (*COMPARED, _QUANTIFIER, _BOOTSTRAPS)
# Groups of entries begin here: expected reads, and variance / mean of the bootstraps (reads).
_BY = {
    "expression": (0.0, 0.5, 2.0, 8.0, 32.0, 128.0),
    "ambiguity": (0.0, 1.0, 1.5, 2.5, 5.0, 10.0),
}
_TITLES = {
    "expression": "expected count of the entry (reads)",
    "ambiguity": "variance / mean of the entry's bootstraps (reads)",
}


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure.

    Columns ``method``, ``seed``, ``by`` (``all``, ``expression`` or ``ambiguity``), ``above`` (the
    lower end of the group), ``entries`` and ``rmse`` (of log1p).
    """
    tables = []
    for model, seed, known, fit in compared(workshop):
        estimates = {model: log1p_expression(fit, known)}
        if model == EFFECTIVE_READS:
            estimates[_QUANTIFIER] = np.log1p(known.cells.counts.toarray())
            estimates[_BOOTSTRAPS] = np.log1p(known.cells.mean_bootstraps.toarray())
        for method, values in estimates.items():
            tables.append(_errors(values, known).assign(method=method, seed=seed))
    return pd.concat(tables, ignore_index=True)


@torch.no_grad()
def log1p_expression(fit: IsoformFit, known: KnownCells) -> np.ndarray:
    """Posterior mean of log1p of expression, shape (cells, isoforms)."""
    tensors = fit.source(known.cells)
    positions = np.arange(known.cells.num_cells)
    torch.manual_seed(0)
    posteriors = posteriors_of_expression(fit, tensors, positions, POSTERIOR_SAMPLES)
    return np.concatenate([posterior.log1p_mean.cpu().numpy() for _, posterior in posteriors])


def _errors(estimates: np.ndarray, known: KnownCells) -> pd.DataFrame:
    """Root mean squared errors of groups of entries; estimates (log1p) of (cells, isoforms)."""
    squares = np.square(estimates - np.log1p(known.truth.expected))
    moments = moments_of(known.cells, types=None)
    seen = moments.mean > 0
    ratio = np.divide(moments.variance, moments.mean, out=np.zeros_like(squares), where=seen)
    rows = [("all", 0.0, squares.size, np.sqrt(squares.mean()))]
    for by, values, counted in (
        ("expression", known.truth.expected, np.ones_like(seen)),
        ("ambiguity", ratio, seen),
    ):
        starts = np.array(_BY[by])
        group = np.searchsorted(starts, values[counted], side="right") - 1
        entries = np.bincount(group, minlength=len(starts))
        sums = np.bincount(group, squares[counted], len(starts))
        rows += [
            (by, start, number, np.sqrt(total / number))
            for start, number, total in zip(starts, entries, sums, strict=True)
            if number
        ]
    return pd.DataFrame(rows, columns=["by", "above", "entries", "rmse"])


def draw(table: pd.DataFrame) -> Figure:
    """Draw errors by expression, by ambiguity, and over all entries."""
    figure, axes = new_figure(1, 3)
    for axis, (by, x) in zip(axes[0], _TITLES.items(), strict=False):
        own = table[table["by"] == by]
        groups = {start: place for place, start in enumerate(_BY[by])}
        own = own.assign(group=own["above"].map(groups))
        draw_bands(axis, own, "group", "rmse", "method", _METHODS)
        label(axis, f"by {by}", x, "root mean squared error of log1p")
        starts = _BY[by]
        names = [f"{low:g} to {high:g}" for low, high in zip(starts, starts[1:], strict=False)]
        axis.set_xticks(range(len(starts)), [*names, f"above {starts[-1]:g}"], rotation=30)
        axis.set_ylim(bottom=0)
    whole = table[table["by"] == "all"]
    draw_bands(axes[0, 2], whole.assign(place=whole["seed"]), "place", "rmse", "method", _METHODS)
    label(axes[0, 2], "all entries", "seed", "root mean squared error of log1p")
    axes[0, 2].set_xticks(sorted(whole["seed"].unique()))
    return show_legends(figure)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Errors of all entries and of groups, means over seeds."""
    means = table.groupby(["by", "above", "method"])["rmse"].mean()
    return {
        (f"{method}: all entries" if by == "all" else f"{method}: {by} from {above:g}"): float(
            value
        )
        for (by, above, method), value in means.items()
    }
