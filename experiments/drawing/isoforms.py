"""Pictures of a model of isoforms: its training, the states of cells, and a gene's isoforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from .pictures import BLUE, GREY, ORANGE, plt, save

# Okabe & Ito's colours, told apart also by the colour-blind; more groups than colours share them.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
# Isoforms of a gene that are drawn, the most expressed.
_MOST_ISOFORMS = 6


def draw_training(metrics: pd.DataFrame, path: Path) -> None:
    """Draw the loss of the cells trained on, and of those held out, against seconds and epochs.

    Parameters
    ----------
    metrics
        Of :func:`~exvae.experiments.fitting.fits.read_metrics`.
    path
        Of the PNG.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.4), sharey=True)
    curves = (
        ("loss_per_cell", "trained on", BLUE),
        ("held_out_loss_per_cell", "held out", ORANGE),
    )
    for axis, column, label in zip(
        axes, ("seconds", "epoch"), ("training time (seconds)", "epoch"), strict=True
    ):
        for name, legend, colour in curves:
            if name in metrics:
                axis.plot(metrics[column], metrics[name], ".-", color=colour, label=legend)
        axis.set_xlabel(label)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("loss (nats per cell)")
    axes[1].legend(frameon=False)
    figure.tight_layout()
    save(figure, path)


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


def draw_states(states: np.ndarray, groups: pd.Series | None, path: Path) -> None:
    """Draw the first two principal components of the cells' states.

    Parameters
    ----------
    states
        Posterior mean of z, shape (cells, latent_size).
    groups
        A name for each cell by which it is coloured; None draws all alike.
    path
        Of the PNG.
    """
    components, shares = principal_components(states)
    figure, axis = plt.subplots(figsize=(5.6, 4.2))
    if groups is None:
        axis.scatter(*components.T, s=10, color=BLUE)
    else:
        for number, name in enumerate(sorted(groups.unique())):
            own = components[groups.to_numpy() == name]
            axis.scatter(*own.T, s=10, color=PALETTE[number % len(PALETTE)], label=name)
        axis.legend(frameon=False, fontsize=8, title=groups.name, loc="best")
    for number, (name, share) in enumerate(zip("xy", shares, strict=True), start=1):
        axis.set(**{f"{name}label": f"principal component {number} of z ({share:.0%})"})
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title(f"posterior mean states of {len(states)} cells", fontsize=10)
    figure.tight_layout()
    save(figure, path)


def draw_gene(table: pd.DataFrame, gene: str, path: Path) -> None:
    """Draw the expression of a gene's isoforms in every cell, with intervals.

    Parameters
    ----------
    table
        Of :func:`~exvae.experiments.isoforms.exporting.read_gene`.
    gene
        Its name.
    path
        Of the PNG.
    """
    means = table.groupby("isoform", observed=True)["expression"].mean()
    isoforms = means.sort_values(ascending=False).index[:_MOST_ISOFORMS]
    figure, axes = plt.subplots(
        len(isoforms),
        1,
        figsize=(9.0, 1.0 + 1.7 * len(isoforms)),
        sharex=True,
        squeeze=False,
    )
    for axis, isoform in zip(axes.flat, isoforms, strict=True):
        own = table[table["isoform"] == isoform].sort_values(["group", "expression"])
        place = np.arange(len(own))
        axis.vlines(place, own["low"], own["high"], color=GREY, alpha=0.6, linewidth=0.8)
        for number, (name, rows) in enumerate(own.groupby("group", sort=True)):
            at = place[(own["group"] == name).to_numpy()]
            axis.scatter(
                at, rows["expression"], s=6, color=PALETTE[number % len(PALETTE)], label=name
            )
        axis.set_yscale("symlog", linthresh=1.0)
        axis.set_ylim(bottom=0.0)
        axis.set_title(isoform, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    low, high = table.attrs["interval"]
    axes[0, 0].legend(frameon=False, fontsize=7, ncols=5)
    axes[-1, 0].set_xlabel("cells, by group and expression", fontsize=9)
    figure.supylabel("expression (reads)", fontsize=9)
    figure.suptitle(f"isoforms of {gene}; bars from {low} to {high}", fontsize=10)
    figure.tight_layout()
    save(figure, path)
