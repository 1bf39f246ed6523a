"""Pictures of all cells: their states, and the uncertainty of their expression."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...data.errors import DataError
from ...data.row_blocks import blocks
from ..drawing.densities import LEAST_EXPRESSION, Density, draw_densities
from ..drawing.embeddings import Embedding, draw_embedding, draw_uncertainties, embed
from ..drawing.genes import count
from ..drawing.style import new_figure
from .choosing import (
    bootstrap_layers,
    column_of,
    dense_layer,
    expression_of,
    groups_of,
    nearest,
    unit_of,
)

if TYPE_CHECKING:
    from anndata import AnnData

_STATES, _UMAP = "X_exvae", "X_umap"


def states(
    adata: AnnData,
    color: str | None = None,
    *,
    basis: str = _STATES,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw the states of the cells in a plane.

    Parameters
    ----------
    adata
        Cells with ``obsm["X_exvae"]``, which ``IsoformModel.annotate`` adds.
    color
        Column of ``obs`` that colours the cells: groups or numbers.
    basis
        Key of ``obsm``. Of ``X_exvae`` the first two principal components are drawn, of any other,
        such as ``X_umap``, the first two columns.
    ax
        Axes to draw on; a new Figure by default.

    Examples
    --------
    >>> import anndata, exvae
    >>> adata = anndata.read_h5ad("expression.h5ad")
    >>> exvae.pl.states(adata, color="cell_type").axes[0].get_title()
    'states of 24 cells'
    """
    embedding = _embedding(adata, basis)
    colour = None
    if color is not None:
        colour = column_of(adata.obs, color)
        if not pd.api.types.is_numeric_dtype(colour) or pd.api.types.is_bool_dtype(colour):
            colour = groups_of(adata.obs, color)
    axis = new_figure(width=6.4, height=4.4)[1][0, 0] if ax is None else ax
    draw_embedding(embedding, colour, axis)
    axis.set_title(f"states of {count(adata.n_obs, 'cell')}", fontsize=10)
    return axis.figure if ax is None else axis


def _embedding(adata: AnnData, basis: str) -> Embedding:
    """Places of the cells in a plane; DataError if there is no such embedding."""
    key = basis if basis in adata.obsm else f"X_{basis}"
    if key not in adata.obsm:
        advice = "; IsoformModel.annotate adds it" if basis == _STATES else ""
        near = nearest(basis, adata.obsm)
        raise DataError(f"adata: has no obsm[{basis!r}]{near}{advice}")
    values = np.asarray(adata.obsm[key])
    if key == _STATES:
        return embed(values, _STATES)
    name = key.removeprefix("X_")
    return Embedding(values[:, :2], (f"{name} 1", f"{name} 2"))


def uncertainty(
    adata: AnnData,
    gene: str | None = None,
    *,
    basis: str = _UMAP,
    layer: str = "expression",
    max_isoforms: int | None = None,
) -> Figure:
    """Draw how uncertain expression is, relative to its mean.

    Without a gene: the posterior standard deviation over the mean of all entries (isoforms in
    cells) against the mean, with their median and the line of Poisson counts; beside it the same
    of the quantifier's bootstraps, if the cells have them. With a gene: the cells in a plane,
    coloured by the expression of its isoforms and by its relative standard deviation.

    Parameters
    ----------
    adata
        Cells to which ``IsoformModel.annotate`` or ``exvae isoforms export`` added expression.
    gene
        A gene, or an isoform.
    basis
        Key of ``obsm`` with places of the cells; principal components of ``X_exvae`` where there
        is no UMAP.
    layer
        Layer of the means; the standard deviations are in the layer of this name with ``_sd``.
    max_isoforms
        Number of isoforms of the gene to draw, the most expressed; the title tells how many are
        left out. None draws all.

    Examples
    --------
    >>> import anndata, exvae
    >>> adata = anndata.read_h5ad("expression.h5ad")
    >>> [axis.get_title() for axis in exvae.pl.uncertainty(adata).axes[:2]]
    ['posterior of expression', 'bootstraps of the quantifier']
    >>> figure = exvae.pl.uncertainty(adata, "gene0")
    >>> figure.axes[0].get_ylabel()
    'principal component 2 of X_exvae (...%)'
    """
    if gene is not None:
        return _uncertainty_of_gene(adata, gene, basis, layer, max_isoforms)
    densities = {"posterior of expression": _posterior_density(adata, layer)}
    if layer == "expression" and bootstrap_layers(adata):
        densities["bootstraps of the quantifier"] = _bootstrap_density(adata)
    figure = draw_densities(densities, unit_of(layer))
    size = f"{count(adata.n_vars, 'isoform')} in {count(adata.n_obs, 'cell')}"
    above = f"where expression exceeds {LEAST_EXPRESSION:g}"
    figure.suptitle(f"relative uncertainty of {size}, {above}", fontsize=10)
    return figure


def _uncertainty_of_gene(
    adata: AnnData, gene: str, basis: str, layer: str, max_isoforms: int | None
) -> Figure:
    found = expression_of(adata, gene, layer, max_isoforms=max_isoforms)
    columns = adata.var_names.get_indexer(found.isoforms)
    sd = dense_layer(adata, f"{layer}_sd", columns)
    relative = np.divide(sd, found.mean, out=np.full(sd.shape, np.nan), where=found.mean > 0)
    if basis == _UMAP and _UMAP not in adata.obsm:
        basis = _STATES
    names = unit_of(layer), "standard deviation / mean"
    embedding = _embedding(adata, basis)
    figure = draw_uncertainties(embedding, found.isoforms, found.mean, relative, names)
    figure.suptitle(f"{found.title}; posterior mean (left) and uncertainty (right)", fontsize=10)
    return figure


def _posterior_density(adata: AnnData, layer: str) -> Density:
    density = Density()
    for rows in blocks(*adata.shape):
        own = adata[rows]
        density.add(dense_layer(own, layer), dense_layer(own, f"{layer}_sd"))
    return density


def _bootstrap_density(adata: AnnData) -> Density:
    """Count entries by mean and standard deviation of their bootstraps, zeros included."""
    summarised = "bootstrap_mean" in adata.layers
    replicates = [name for name in adata.layers if re.fullmatch(r"infRep\d+", name)]
    number = np.full((adata.n_obs, 1), float(len(replicates)))
    if summarised or "n_bootstraps" in adata.obs:
        number = column_of(adata.obs, "n_bootstraps").to_numpy(float)[:, None]
    density = Density()
    for rows in blocks(*adata.shape):
        own = adata[rows]
        if summarised:
            mean = dense_layer(own, "bootstrap_mean").astype(float)
            positives = number[rows] - dense_layer(own, "bootstrap_zeros")
            total = positives * mean
            squares = dense_layer(own, "bootstrap_ss") + total * mean
        else:
            # A replicate that a cell does not have is zero, and adds nothing.
            values = (dense_layer(own, name).astype(float) for name in replicates)
            total, squares = map(sum, zip(*((each, each**2) for each in values), strict=True))
        mean = total / np.maximum(number[rows], 1)
        variance = (squares - mean * total) / np.maximum(number[rows] - 1, 1)
        density.add(mean, np.sqrt(np.maximum(variance, 0)))
    return density
