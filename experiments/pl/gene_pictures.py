"""Pictures of a gene: its isoforms in cells and in groups of cells."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...data.errors import DataError
from ..drawing.genes import GeneExpression, count, draw_genes, draw_usage, interval_name, title_of
from ..drawing.group_means import CellIntervals, draw_group_means, draw_intervals
from ..drawing.style import new_figure
from ..isoforms.notes import model_of, notes_of_intervals
from .choosing import (
    bootstrap_layers,
    dense,
    dense_layer,
    expression_of,
    groups_of,
    holds_reads,
    interval_layers,
    nearest,
    quantiles_of,
    unit_of,
)

if TYPE_CHECKING:
    from anndata import AnnData

INTERVAL = (0.025, 0.975)
_NARROW = (0.25, 0.75)
# Cells that are drawn where none are named.
_CELLS = 12


def gene(
    adata: AnnData,
    genes: str | Sequence[str],
    groupby: str | None = None,
    *,
    layer: str = "expression",
    interval: tuple[float, float] | None = INTERVAL,
    max_isoforms: int | None = None,
    estimates: str | None = None,
) -> Figure:
    """Draw the isoforms of genes in every cell, with intervals.

    Cells are sorted once, by group and by the expression of the genes, so that a cell has the same
    place on all axes.

    Parameters
    ----------
    adata
        Cells to which ``IsoformModel.annotate`` or ``exvae isoforms export`` added expression.
    genes
        A gene of ``var["gene"]`` or ``var["gene_name"]``, an isoform, or several.
    groupby
        Column of ``obs`` to group the cells by.
    layer
        Layer of the means.
    interval
        Probabilities of the ends of the interval; None draws none.
    max_isoforms
        Number of isoforms of a gene to draw, the most expressed; the title tells how many are left
        out. None draws all.
    estimates
        Layer of the quantifier's estimates, in the unit of ``layer``, drawn as crosses; None draws
        none.

    Returns
    -------
    matplotlib.figure.Figure
        Axes for each isoform, one below the other.

    Raises
    ------
    DataError
        If there is no such gene, column or layer.

    Examples
    --------
    >>> import anndata, exvae
    >>> adata = anndata.read_h5ad("expression.h5ad")
    >>> figure = exvae.pl.gene(adata, ["gene0", "gene5"], groupby="cell_type")
    >>> len(figure.axes)
    6
    >>> exvae.pl.gene(adata, "gene0", max_isoforms=2).get_suptitle()
    'gene0: 2 isoforms most expressed, 1 more left out; posterior mean and 95 % interval'
    """
    names = [genes] if isinstance(genes, str) else list(genes)
    if not names:
        raise ValueError("genes is empty; give the name of at least one gene")
    found = [expression_of(adata, name, layer, interval, max_isoforms, estimates) for name in names]
    groups = groups_of(adata.obs, groupby)
    shown = None if interval is None else interval_name(interval)
    figure = draw_genes(found, groups, unit_of(layer), shown)
    for note in notes_of_intervals(model_of(adata)):
        figure.suptitle(f"{figure.get_suptitle()}\n{note}", fontsize=9)
    return figure


def usage(
    adata: AnnData,
    gene: str,
    groupby: str | None = None,
    *,
    layer: str = "expression",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw the usage of a gene's isoforms by groups of cells, as stacked bars.

    Usage is the share of an isoform in the expression of its gene. In a group it is the mean over
    cells, weighted by the expression of the gene: reads of the isoform over reads of the gene.

    Parameters
    ----------
    adata, layer
        As for :func:`gene`.
    gene
        A gene.
    groupby
        Column of ``obs`` to group the cells by; None draws one bar.
    ax
        Axes to draw on; a new Figure by default.

    Examples
    --------
    >>> import anndata, exvae
    >>> adata = anndata.read_h5ad("expression.h5ad")
    >>> figure = exvae.pl.usage(adata, "gene0", groupby="cell_type")
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['type0 (12 cells)', 'type1 (12 cells)']
    """
    _require_gene(adata.var, gene)
    found = expression_of(adata, gene, layer)
    groups = groups_of(adata.obs, groupby)
    table = pd.DataFrame(found.mean, index=groups.to_numpy(), columns=found.isoforms, dtype=float)
    sums = table.groupby(groups.to_numpy(), observed=True).sum().loc[groups.cat.categories]
    totals = sums.sum(axis=1)
    shares = sums.div(totals.where(totals > 0), axis=0)
    cells = groups.value_counts().loc[shares.index]
    width, height = 8.0, max(0.36 * len(shares), 0.19 * len(found.isoforms)) + 1.1
    axis = new_figure(width=width, height=height)[1][0, 0] if ax is None else ax
    draw_usage(shares, totals / cells, cells, axis)
    by = "" if groupby is None else f" by {groupby}"
    axis.set_title(f"usage of the isoforms of {gene}{by}; right: mean of the gene", fontsize=10)
    return axis.figure if ax is None else axis


def _require_gene(var: pd.DataFrame, gene: str) -> None:
    """Raise a DataError if a table has no genes of isoforms, or a name is of an isoform."""
    if "gene" not in var:
        raise DataError(
            "adata: var has no column gene (it holds genes, or isoforms of unknown genes), so that "
            "usage is not known; give cells with isoforms and their genes"
        )
    names = [var[name].astype(str).to_numpy() for name in ("gene", "gene_name") if name in var]
    if gene in var.index and not np.isin(gene, names):
        raise DataError(f"adata: {gene!r} is an isoform; give its gene, {var['gene'][gene]!r}")


def groups(
    table_or_adata: pd.DataFrame | AnnData,
    gene: str,
    groupby: str | None = None,
    *,
    layer: str = "expression",
    interval: tuple[float, float] = INTERVAL,
    max_isoforms: int | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw the mean expression of a gene's isoforms in groups of cells, with intervals.

    Parameters
    ----------
    table_or_adata
        Table of ``IsoformModel.group_summary``: ``group``, ``isoform`` or ``gene``, ``mean``,
        ``low``, ``high`` and ``cells``. Or cells as for :func:`gene`: their intervals hold the
        mean of the population of the group, by the variation between its cells and their
        posterior standard deviations, which are taken as independent.
    gene
        A gene, or an isoform.
    groupby
        Column of ``obs`` to group the cells by; for cells only.
    layer
        Layer of the means; for cells only.
    interval
        Probabilities of the ends of the interval; for cells only.
    max_isoforms
        As for :func:`gene`.
    ax
        Axes to draw on; a new Figure by default.

    Examples
    --------
    >>> import anndata, exvae
    >>> adata = anndata.read_h5ad("expression.h5ad")
    >>> exvae.pl.groups(adata, "gene0", groupby="cell_type").axes[0].get_title()
    'gene0: 3 isoforms; means of groups of cells and 95 % intervals'
    """
    if isinstance(table_or_adata, pd.DataFrame):
        table = _rows_of(table_or_adata, gene)
        interval, unit = (table.attrs.get(name) for name in ("interval", "unit"))
        unit = f"mean expression ({unit})" if unit else "mean expression"
    else:
        table = _group_means(table_or_adata, gene, groupby, layer, interval)
        unit = f"mean {unit_of(layer)}"
    shown = "intervals" if interval is None else f"{interval_name(interval)}s"
    isoforms = table["feature"].unique()
    drawn = isoforms[:max_isoforms]
    table = table[table["feature"].isin(drawn)]
    size = len(drawn) * (0.1 * table["group"].nunique() + 0.18) + 1.1
    height = max(size, 0.18 * table["group"].nunique() + 1.1)
    axis = new_figure(width=8.0, height=height)[1][0, 0] if ax is None else ax
    draw_group_means(table, axis, unit)
    title = title_of(gene, drawn, len(isoforms) - len(drawn))
    axis.set_title(f"{title}; means of groups of cells and {shown}", fontsize=10)
    return axis.figure if ax is None else axis


def _rows_of(table: pd.DataFrame, gene: str) -> pd.DataFrame:
    """Rows of a gene or isoform in a table of groups, the largest means first."""
    features = [name for name in ("isoform", "gene") if name in table]
    needed = ["group", "mean", "low", "high", "cells"]
    missing = [name for name in needed if name not in table]
    if missing or not features:
        raise DataError(f"the table has no column {(missing or ['isoform or gene'])[0]!r}")
    chosen = np.logical_or.reduce([table[name].astype(str) == gene for name in features])
    if not chosen.any():
        known = (own for name in features for own in table[name].unique())
        raise DataError(f"the table has no gene or isoform {gene!r}{nearest(gene, known)}")
    own = table[chosen].assign(feature=table.loc[chosen, features[0]].astype(str))
    own["group"] = groups_of(own, "group", "the table")
    order = own.groupby("feature")["mean"].mean().sort_values(ascending=False).index
    own["feature"] = pd.Categorical(own["feature"], order)
    own = own.sort_values("feature", kind="stable").astype({"feature": str})
    own.attrs = dict(table.attrs)
    return own


def _group_means(
    adata: AnnData, gene: str, groupby: str | None, layer: str, interval: tuple[float, float]
) -> pd.DataFrame:
    """Means of groups of cells, with normal intervals of the mean of each population."""
    found = expression_of(adata, gene, layer)
    own = adata.var_names.get_indexer(found.isoforms)
    variance = dense_layer(adata, f"{layer}_sd", own).astype(float) ** 2
    quantiles = [NormalDist().inv_cdf(level) for level in interval]
    groups = groups_of(adata.obs, groupby)
    rows = []
    for name in groups.cat.categories:
        chosen = (groups == name).to_numpy()
        values, cells = found.mean[chosen].astype(float), int(chosen.sum())
        mean = values.mean(0)
        between = values.var(0, ddof=1) if cells > 1 else np.full(len(mean), np.nan)
        error = np.sqrt((between + variance[chosen].mean(0)) / cells)
        low, high = (np.maximum(mean + quantile * error, 0.0) for quantile in quantiles)
        columns = {"feature": found.isoforms, "mean": mean, "low": low, "high": high}
        rows.append(pd.DataFrame({"group": name, **columns, "cells": cells}))
    table = pd.concat(rows, ignore_index=True)
    table["group"] = pd.Categorical(table["group"], groups.cat.categories)
    return table


def intervals(
    adata: AnnData,
    gene: str,
    cells: Sequence[str] | None = None,
    *,
    layer: str = "expression",
    interval: tuple[float, float] = INTERVAL,
    max_isoforms: int | None = None,
) -> Figure:
    """Draw a gene's isoforms in some cells: posteriors beside what the quantifier found.

    Estimates (``X``) and bootstraps (``layers["infRep1"] ...``) are drawn if they are in the unit
    of the layer, reads, and the cells have them. If ``X`` was transformed, as by
    ``scanpy.pp.log1p``, the title tells that estimates are left out.

    Parameters
    ----------
    adata, layer, interval, max_isoforms
        As for :func:`gene`.
    gene
        A gene, or an isoform.
    cells
        Names of cells; by default 12, from the most to the least expression of the gene.

    Returns
    -------
    matplotlib.figure.Figure
        Axes for each isoform.

    Examples
    --------
    >>> import anndata, exvae
    >>> adata = anndata.read_h5ad("expression.h5ad")
    >>> figure = exvae.pl.intervals(adata, "gene0", cells=["cell3", "cell7"])
    >>> [axis.get_title() for axis in figure.axes]
    ['isoform0', 'isoform2', 'isoform1']
    """
    interval_layers(adata.layers, layer, interval)  # None is for pictures without intervals
    found = expression_of(adata, gene, layer, interval, max_isoforms)
    rows = _chosen_cells(adata, cells, found.total)
    is_raw = holds_reads(adata[rows], layer) if _draws_reads(adata, layer) else True
    isoforms = _cell_intervals(adata, found, rows, layer, is_raw=is_raw)
    names = interval_name(interval), interval_name(_NARROW)
    figure = draw_intervals(isoforms, adata.obs_names[rows].tolist(), unit_of(layer), names)
    told = "" if is_raw else "\nX holds no reads (it was transformed), so estimates are left out"
    figure.suptitle(f"{found.title}, in {count(len(rows), 'cell')}{told}", fontsize=10)
    return figure


def _draws_reads(adata: AnnData, layer: str) -> bool:
    """Whether a layer has the unit of X and bootstraps, and the cells have X."""
    return layer == "expression" and layer in adata.layers and adata.X is not None


def _cell_intervals(
    adata: AnnData, found: GeneExpression, rows: np.ndarray, layer: str, *, is_raw: bool
) -> list[CellIntervals]:
    """Take what is drawn of each isoform in the cells at these positions."""
    own = adata[rows, found.isoforms]
    inner, estimate, bootstraps = None, None, []
    if set(_NARROW) <= set(quantiles_of(own.layers, layer)):
        inner = [dense_layer(own, name) for name in interval_layers(own.layers, layer, _NARROW)]
    if layer == "expression" and layer in own.layers:
        names = [name for name in bootstrap_layers(own) if name.startswith("infRep")]
        bootstraps = [dense_layer(own, name) for name in names]
        estimate = dense(own.X) if is_raw and own.X is not None else None
    return [
        CellIntervals(
            isoform,
            found.mean[rows, column],
            None if estimate is None else estimate[:, column],
            tuple(end[rows, column] for end in found.ends),
            None if inner is None else tuple(end[:, column] for end in inner),
            np.array([values[:, column] for values in bootstraps]),
        )
        for column, isoform in enumerate(found.isoforms)
    ]


def _chosen_cells(adata: AnnData, cells: Sequence[str] | None, total: np.ndarray) -> np.ndarray:
    """Positions of named cells, or of some from the most to the least expression."""
    if cells is None:
        order = np.argsort(-total, kind="stable")
        return order[np.linspace(0, len(order) - 1, min(_CELLS, len(order))).round().astype(int)]
    cells = [cells] if isinstance(cells, str) else list(cells)
    places = adata.obs_names.get_indexer(cells)
    if (places < 0).any():
        name = cells[int((places < 0).argmax())]
        raise DataError(f"adata: has no cell {name!r}{nearest(name, adata.obs_names)}")
    return places
