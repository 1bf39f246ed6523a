"""Pictures of an isoform model: cell states, and the isoforms of a gene."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import BLUE, GREY, PALETTE, new_figure

# Isoforms of a gene that are drawn, the most expressed.
_MOST_ISOFORMS = 6


def principal_components(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project states, shape (cells, latent_size), on their first two principal components.

    Returns
    -------
    components
        Shape (cells, 2); zeros for a second component where there is one dimension.
    shares
        Of the variance, shape (2,).
    """
    centred = states - states.mean(0)
    left, scales, _ = np.linalg.svd(centred, full_matrices=False)
    components = np.zeros((len(states), 2))
    shares = np.zeros(2)
    found = min(2, len(scales))
    components[:, :found] = left[:, :found] * scales[:found]
    shares[:found] = scales[:found] ** 2 / max(float((scales**2).sum()), 1e-12)
    return components, shares


def draw_states(
    states: np.ndarray, groups: pd.Series | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw the first two principal components of the cell states.

    Parameters
    ----------
    states
        Posterior mean of z, shape (cells, latent_size).
    groups
        A name for each cell by which it is coloured, shape (cells,); None draws all alike.
    ax
        Where to draw; on a figure of its own if None.
    """
    components, shares = principal_components(states)
    if ax is None:
        ax = new_figure(width=5.6, height=4.2)[1][0, 0]
    if groups is None:
        ax.scatter(*components.T, s=10, color=BLUE)
    else:
        for number, name in enumerate(sorted(groups.unique())):
            own = components[groups.to_numpy() == name]
            ax.scatter(*own.T, s=10, color=PALETTE[number % len(PALETTE)], label=name)
        ax.legend(frameon=False, fontsize=8, title=groups.name, loc="best")
    for number, (name, share) in enumerate(zip("xy", shares, strict=True), start=1):
        ax.set(**{f"{name}label": f"principal component {number} of z ({share:.0%})"})
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(f"posterior mean states of {len(states)} cells", fontsize=10)
    return ax


def draw_gene(table: pd.DataFrame, gene: str) -> Figure:
    """Draw the expression of a gene's isoforms in every cell, with intervals.

    Parameters
    ----------
    table
        Table of :func:`~exvae.experiments.isoforms.exporting.read_gene`, a row for each isoform
        and cell: ``isoform``, ``group``, ``expression``, ``low`` and ``high`` (reads).
    gene
        Its name.

    Returns
    -------
    matplotlib.figure.Figure
        Axes for each of the most expressed isoforms, one below the other.
    """
    means = table.groupby("isoform", observed=True)["expression"].mean()
    isoforms = means.sort_values(ascending=False).index[:_MOST_ISOFORMS]
    height = 1.7 + 1.0 / len(isoforms)
    figure, axes = new_figure(len(isoforms), width=9.0, height=height, sharex=True)
    for axis, isoform in zip(axes.flat, isoforms, strict=True):
        _draw_isoform(axis, table[table["isoform"] == isoform])
        axis.set_title(isoform, fontsize=9)
    low, high = table.attrs["interval"]
    axes[0, 0].legend(frameon=False, fontsize=7, ncols=5)
    axes[-1, 0].set_xlabel("cells, sorted by group and expression", fontsize=9)
    figure.supylabel("expression (reads)", fontsize=9)
    title = f"isoforms of {gene}; bars from {low} to {high}"
    if table.attrs.get("model") == "scvi":
        title += "\nbars of scvi are too short: 95 % intervals held 66 to 88 % of true values"
    figure.suptitle(title, fontsize=10)
    return figure


def _draw_isoform(axis: Axes, table: pd.DataFrame) -> None:
    """Draw one isoform: a dot and a bar for each cell."""
    table = table.sort_values(["group", "expression"])
    place = np.arange(len(table))
    axis.vlines(place, table["low"], table["high"], color=GREY, alpha=0.6, linewidth=0.8)
    for number, (name, rows) in enumerate(table.groupby("group", sort=True)):
        at = place[(table["group"] == name).to_numpy()]
        colour = PALETTE[number % len(PALETTE)]
        axis.scatter(at, rows["expression"], s=6, color=colour, label=name)
    axis.set_yscale("symlog", linthresh=1.0)
    axis.set_ylim(bottom=0.0)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
