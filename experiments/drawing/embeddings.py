"""Pictures of cells in a plane: their states, and expression with its uncertainty."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from .style import BLUE, LIGHT_GREY, group_styles, hide_unused, new_figure

# Values are coloured between these quantiles, so that a few extreme cells do not hide the others.
_COLOURED = (0.01, 0.99)
_COLOURS = ("viridis", "cividis")
# Most isoforms in rows of one and of two, and sizes of axes (inches) in rows of one, two and three.
_MOST_ROWS = (3, 8)
_PAIR_SIZES = ((4.5, 3.3), (3.6, 2.7), (3.3, 2.6))
# Neighbours of UMAP, and perplexity of t-SNE.
_NEIGHBOURS, _PERPLEXITY = 15, 30.0
# Cells from which on UMAP searches approximately, and its epochs for so many; by default only those
# of more than 10 000 cells are as few.
_MANY, _EPOCHS_OF_MANY = 4096, 200


class Embedding(NamedTuple):
    """Places of cells in a plane.

    Attributes
    ----------
    places
        Shape (cells, 2).
    axes
        What the two axes are.
    """

    places: np.ndarray
    axes: tuple[str, str]


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


def embed(states: np.ndarray, name: str) -> Embedding:
    """Embed states, shape (cells, latent_size), by principal components; ``name`` names them."""
    components, shares = principal_components(states)
    first, second = (
        f"principal component {number} of {name} ({share:.0%})"
        for number, share in enumerate(shares, start=1)
    )
    return Embedding(components, (first, second))


def _keep_compiled(module: ModuleType) -> None:
    """Keep the compiled functions of a module on disk: compiling takes longer than a map."""
    for own in vars(module).values():
        if hasattr(own, "enable_caching"):
            with suppress(RuntimeError):  # numba finds no folder that it may write to
                own.enable_caching()


def map_to_plane(states: np.ndarray) -> tuple[str, np.ndarray]:
    """Map states to a plane, by UMAP where umap-learn is installed and otherwise by t-SNE.

    Parameters
    ----------
    states
        Shape (cells, dimensions).

    Returns
    -------
    name
        ``UMAP`` or ``t-SNE``.
    places
        Shape (cells, 2).
    """
    if find_spec("umap"):
        with warnings.catch_warnings():
            # It warns at import, too, of optional packages that are missing.
            warnings.simplefilter("ignore")
            import umap

            _keep_compiled(umap.umap_)
            number = min(_NEIGHBOURS, len(states) - 1)
            neighbours = _neighbours(states, number)
            mapper = umap.UMAP(
                n_neighbors=number,
                n_epochs=_EPOCHS_OF_MANY if len(states) >= _MANY else None,
                random_state=0,
                precomputed_knn=neighbours,
            )
            return "UMAP", mapper.fit_transform(states)
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(states) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(states)
    return "t-SNE", places


def _neighbours(states: np.ndarray, number: int) -> tuple[np.ndarray | None, ...]:
    """Give UMAP the nearest neighbours of many cells: its own search takes five times as long."""
    if len(states) < _MANY:  # it searches exactly
        return None, None, None
    from sklearn.neighbors import NearestNeighbors

    distances, indices = NearestNeighbors(n_neighbors=number).fit(states).kneighbors(states)
    return indices, distances, None


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
    if ax is None:
        ax = new_figure(width=5.6, height=4.2)[1][0, 0]
    if groups is not None and groups.dtype != "category":
        groups = groups.astype("category")
    draw_embedding(embed(states, "z"), groups, ax)
    ax.set_title(f"posterior mean states of {len(states)} cells", fontsize=10)
    return ax


def draw_embedding(embedding: Embedding, colour: pd.Series | None, ax: Axes) -> Axes:
    """Draw cells in a plane.

    Parameters
    ----------
    embedding
        Their places.
    colour
        Groups (categorical) or numbers, shape (cells,), that colour the cells; None colours all
        alike.
    ax
        Where to draw.
    """
    places = embedding.places
    size = dot_size(len(places))
    if colour is None:
        ax.scatter(*places.T, s=size, color=BLUE)
    elif colour.dtype == "category":
        codes = colour.cat.codes.to_numpy()
        for code, (name, style) in enumerate(group_styles(colour.cat.categories).items()):
            ax.scatter(*places[codes == code].T, s=size, label=name, **style)
        _show_groups(ax, str(colour.name), len(colour.cat.categories))
    else:
        draw_values(ax, embedding, colour.to_numpy(float), str(colour.name))
    _frame(ax, embedding)
    return ax


def dot_size(number: int) -> float:
    """Size of each of a number of dots (points squared)."""
    return float(np.clip(4000 / max(number, 1), 2, 14))


def draw_values(
    axis: Axes,
    embedding: Embedding,
    values: np.ndarray,
    name: str,
    *,
    logarithmic: bool = False,
    colours: str = _COLOURS[0],
) -> None:
    """Colour cells by values, shape (cells,), the largest on top; cells without a value are grey.

    A logarithmic scale shows values of 0 in the colour of the least.
    """
    known = np.isfinite(values) & ((values > 0) | (not logarithmic))
    size = dot_size(len(values))
    axis.scatter(*embedding.places[~known].T, s=size, color=LIGHT_GREY)
    order = np.flatnonzero(known)[np.argsort(values[known], kind="stable")]
    low, high = np.quantile(values[known], _COLOURED) if known.any() else (0.1, 1.0)
    high = high if high > low else low + 1.0
    norm = LogNorm(low, high) if logarithmic else Normalize(low, high)
    dots = axis.scatter(
        *embedding.places[order].T, s=size, c=values[order], norm=norm, cmap=colours
    )
    subs = (1.0,) if high > 1e3 * low else (1.0, 2.0, 5.0)
    ticks = LogLocator(subs=subs, numticks=20) if logarithmic else None
    bar = axis.figure.colorbar(
        dots, ax=axis, extend="both", fraction=0.06, pad=0.02, ticks=ticks, format="{x:g}"
    )
    bar.set_label(name, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.minorticks_off()


def draw_uncertainties(
    embedding: Embedding,
    isoforms: Sequence[str],
    mean: np.ndarray,
    spread: np.ndarray,
    names: tuple[str, str],
) -> Figure:
    """Colour cells by the expression of isoforms, and beside by its uncertainty.

    Few isoforms are one below the other; with more, rows hold two or three.

    Parameters
    ----------
    embedding
        Places of the cells.
    isoforms
        Names of the isoforms, each of which gets two axes beside each other.
    mean, spread
        Expression and its relative uncertainty, shape (cells, isoforms).
    names
        Names of both, with units.
    """
    number = len(isoforms)
    pairs = 1 + sum(number > most for most in _MOST_ROWS)
    size = _PAIR_SIZES[pairs - 1]
    rows = -(-number // pairs)
    figure, axes = new_figure(
        rows, 2 * pairs, width=size[0], height=size[1], sharex=True, sharey=True
    )
    hide_unused(axes, 2 * number)
    for place, isoform in enumerate(isoforms):
        own = axes.flat[2 * place : 2 * place + 2]
        values = mean[:, place], spread[:, place]
        for axis, of_cells, name, colours in zip(own, values, names, _COLOURS, strict=True):
            draw_values(axis, embedding, of_cells, name, logarithmic=True, colours=colours)
            _frame(axis, embedding)
            axis.yaxis.label.set_size(8 if pairs == 1 else 7)
            axis.label_outer()
            axis.set_title(isoform, fontsize=9)
            if place + pairs >= number:  # none is drawn below
                axis.set_xlabel(embedding.axes[0], fontsize=8)
                axis.tick_params(labelbottom=True)
    return figure


def _show_groups(axis: Axes, title: str, number: int) -> None:
    columns = -(-number // 20)
    legend = axis.legend(
        frameon=False,
        fontsize=8,
        title=title,
        title_fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        ncols=columns,
    )
    for handle in legend.legend_handles:
        handle.set_sizes([25])


def _frame(axis: Axes, embedding: Embedding) -> None:
    axis.set_xlabel(embedding.axes[0], fontsize=8)
    axis.set_ylabel(embedding.axes[1], fontsize=8)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
