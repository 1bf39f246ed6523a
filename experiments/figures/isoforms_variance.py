"""Biological variance (over cells) against inferential variance (over bootstraps).

A pair is an isoform in a cell. Its inferential variance is the variance of its bootstraps. Its
biological variance is the variance of the isoform's estimates over all cells, which includes the
inferential variance. The figure counts pairs whose bootstraps have a mean above two reads.
Simulated cells differ in depth and in the number of isoforms per gene, which sets how much isoforms
overlap.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ...data.cells import Cells
from ..drawing.bands import draw_bands
from ..drawing.style import GREY, hide_unused, label, logarithmic, new_figure, show_legends
from ..isoforms.evaluation import EXPRESSED
from ..simulator_checks.bootstraps import moments_of
from . import isoform_runs
from .isoform_runs import SIMULATED
from .workshop import Workshop

# Bins of the variances (reads squared) per decade.
_PER_DECADE = 8
# Inferential variance is of the order of biological variance from this share of it on.
_SAME_ORDER = 0.1
# Isoforms per gene, and reads per cell and isoform, of the simulated pairs that are drawn.
_DRAWN = (1.73, 10.0)
_AT_LEAST, _OF_ITS_ORDER = "at least as large", "at least a tenth"


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure.

    Returns
    -------
    pandas.DataFrame
        Rows of two kinds. If ``panel`` is ``pairs``: the number of ``pairs`` of ``data`` in a bin
        of ``inferential`` and ``biological`` variance (its centre, reads squared). If it is
        ``at least as large`` or ``at least a tenth``: the ``share`` of the pairs of ``data`` whose
        inferential variance is as large, or a tenth as large, as the biological variance; for
        simulated data by ``reads_per_isoform``, ``isoforms_per_gene`` and ``seed``.
    """
    shown = dict(workshop.cells)
    tables = []
    for isoforms_per_gene in workshop.choose((1.2, 1.73, 4.0), (1.73,)):
        for reads in workshop.choose((1.0, 3.0, 10.0, 30.0), (3.0, 10.0)):
            for seed in workshop.seeds[: workshop.choose(3, 1)]:
                sizes = isoform_runs.sizes_of(
                    workshop,
                    num_cells=100,
                    reads_per_isoform=reads,
                    isoforms_per_gene=isoforms_per_gene,
                )
                cells = isoform_runs.simulated(workshop, sizes, seed).cells
                if (isoforms_per_gene, reads) == _DRAWN:
                    shown.setdefault(SIMULATED, cells)
                tables.append(
                    _shares(cells).assign(
                        data=SIMULATED,
                        reads_per_isoform=reads,
                        isoforms_per_gene=isoforms_per_gene,
                        seed=seed,
                    )
                )
    tables += [_shares(cells).assign(data=name) for name, cells in workshop.cells.items()]
    tables += [_bins(cells).assign(data=name) for name, cells in shown.items()]
    return pd.concat(tables, ignore_index=True)


def variances_of_pairs(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """Find inferential and biological variance (reads squared) of pairs, both of shape (pairs,)."""
    moments = moments_of(cells, types=None)
    over_cells = cells.counts.toarray().astype(np.float64).var(0, ddof=1)
    chosen = moments.mean > EXPRESSED
    return moments.variance[chosen], np.broadcast_to(over_cells, chosen.shape)[chosen]


def _shares(cells: Cells) -> pd.DataFrame:
    inferential, biological = variances_of_pairs(cells)
    return pd.DataFrame(
        {
            "panel": [_AT_LEAST, _OF_ITS_ORDER],
            "share": [
                np.mean(inferential >= biological),
                np.mean(inferential >= _SAME_ORDER * biological),
            ],
        }
    )


def _bins(cells: Cells) -> pd.DataFrame:
    inferential, biological = variances_of_pairs(cells)
    both = np.stack([inferential, biological])
    both = both[:, (both > 0).all(0)]
    places = np.floor(_PER_DECADE * np.log10(both)).astype(int)
    bins, pairs = np.unique(places, axis=1, return_counts=True)
    inferential, biological = 10.0 ** ((bins + 0.5) / _PER_DECADE)
    return pd.DataFrame(
        {"panel": "pairs", "inferential": inferential, "biological": biological, "pairs": pairs}
    )


def draw(table: pd.DataFrame) -> Figure:
    """Draw the density of pairs, and shares by depth and overlap."""
    pairs = table[table["panel"] == "pairs"]
    data = list(pairs["data"].unique())
    # At least two columns, as the second row shows two shares.
    figure, axes = new_figure(2, max(len(data), 2))
    hide_unused(axes[0], len(data))
    for axis, name in zip(axes[0], data, strict=False):
        own = pairs[pairs["data"] == name]
        norm = LogNorm(1, max(own["pairs"].max(), 2))
        mesh = axis.scatter(
            own["inferential"], own["biological"], c=own["pairs"], s=5, marker="s", norm=norm
        )
        figure.colorbar(mesh, ax=axis, label="pairs of a cell and an isoform")
        axis.axline((1, 1), (10, 10), color=GREY, linestyle=":", label="equal")
        axis.axline((1, 10), (10, 100), color=GREY, linestyle="-.", label="a tenth")
        label(
            axis,
            _title(table, name),
            "inferential variance (reads²)",
            "biological variance (reads²)",
        )
        axis.set(xscale="log", yscale="log")
    simulated = table[table["isoforms_per_gene"].notna()]
    for axis, panel in zip(axes[1], (_AT_LEAST, _OF_ITS_ORDER), strict=False):
        own = simulated[simulated["panel"] == panel]
        own = own.assign(genes=own["isoforms_per_gene"].map("{:g} isoforms per gene".format))
        order = list(own["genes"].unique())
        draw_bands(axis, own, "reads_per_isoform", "share", "genes", order)
        title = f"inferential variance {panel}" + (" of" if panel == _OF_ITS_ORDER else " as")
        title = f"{title}\nbiological variance, simulated"
        label(axis, title, "reads per cell and isoform", "share of pairs")
        logarithmic(axis, "x")
        axis.set_ylim(0, 1)
    hide_unused(axes[1], 2)
    return show_legends(figure)


def _title(table: pd.DataFrame, name: str) -> str:
    own = table[(table["data"] == name) & (table["panel"] == _AT_LEAST)]
    if name == SIMULATED:
        isoforms, reads = _DRAWN
        own = own.query("isoforms_per_gene == @isoforms and reads_per_isoform == @reads")
        name = f"simulated, {isoforms:g} isoforms per gene,\n{reads:g} reads each"
    return f"{name}: {own['share'].iloc[0]:.0%} right of the dotted line"


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Shares of pairs, means over seeds."""
    shares = table[table["panel"] != "pairs"]
    given = shares[shares["isoforms_per_gene"].isna()]
    found = {f"{row['data']}: {row['panel']}": row["share"] for _, row in given.iterrows()}
    simulated = shares.dropna(subset=["isoforms_per_gene"])
    means = simulated.groupby(["panel", "isoforms_per_gene", "reads_per_isoform"])["share"].mean()
    for (panel, isoforms, reads), share in means.items():
        found[f"{isoforms:g} isoforms per gene, {reads:g} reads each: {panel}"] = share
    return {name: float(value) for name, value in found.items()}
