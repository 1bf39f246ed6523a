"""What pictures take from an AnnData: isoforms of a gene, layers, and groups of cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from ...data.errors import DataError
from ...data.row_blocks import blocks
from ..drawing.genes import GeneExpression

if TYPE_CHECKING:
    from anndata import AnnData

# Names that a message lists.
_LISTED = 3
# Relative difference of totals between estimates of a cell and its bootstraps or its posterior.
_SAME_AS_BOOTSTRAPS, _SAME_AS_POSTERIOR = 0.1, 0.5


def nearest(name: str, known: Iterable[object]) -> str:
    """Write which known names come nearest to one that is not known; nothing if none is near."""
    by_lower = {str(own).lower(): str(own) for own in known}
    name = str(name).lower()
    found = get_close_matches(name, by_lower, _LISTED)
    found += [own for own in by_lower if name in own and own not in found]
    found = [by_lower[own] for own in found[:_LISTED]]
    return f"; the nearest: {', '.join(found)}" if found else ""


def isoforms_of(var: pd.DataFrame, gene: str, source: str = "adata") -> np.ndarray:
    """Positions of a gene's isoforms, shape (chosen,).

    Parameters
    ----------
    var
        Table of the isoforms, with columns ``gene`` and ``gene_name`` where they are known.
    gene
        A gene of either column, or an isoform.
    source
        Origin of the table, for messages.

    Raises
    ------
    DataError
        If there is no such gene or isoform; the message names the nearest ones.
    """
    columns = [var[name].astype(str) for name in ("gene", "gene_name") if name in var]
    chosen = np.logical_or.reduce([names == gene for names in (*columns, var.index)])
    if not chosen.any():
        known = (own for names in (*columns, var.index) for own in pd.unique(names))
        raise DataError(f"{source}: has no gene or isoform {gene!r}{nearest(gene, known)}")
    return np.flatnonzero(chosen)


def groups_of(obs: pd.DataFrame, groupby: str | None, source: str = "adata: obs") -> pd.Series:
    """Group of each cell, categorical, shape (cells,), all its categories in use.

    Parameters
    ----------
    obs
        Table of the cells.
    groupby
        Its column; None puts all cells in one group.
    source
        Origin of the table, for messages.

    Raises
    ------
    DataError
        If there is no such column; the message names the nearest ones.
    """
    if groupby is None:
        return pd.Series("all cells", obs.index, dtype="category")
    values = column_of(obs, groupby, source)
    values = values.mask(values.astype(str) == "")
    if values.dtype != "category":
        values = values.astype("category")
        values = values.cat.reorder_categories(sorted(values.cat.categories, key=_by_numbers))
    names = values.cat.categories.astype(str)
    named = values.cat.rename_categories(names).cat.remove_unused_categories()
    if named.isna().any():
        unknown = f"no {groupby}"
        named = named.cat.add_categories(unknown).fillna(unknown)
    return named.rename(groupby)


def _by_numbers(name: object) -> list[tuple[float, str]]:
    """Key by which ``type 2`` comes before ``type 10``."""
    parts = re.split(r"(\d+)", str(name))
    return [(float(own), "") if own.isdigit() else (np.inf, own) for own in parts]


def column_of(obs: pd.DataFrame, name: str, source: str = "adata: obs") -> pd.Series:
    """Give a column of a table; DataError naming the nearest columns if there is none."""
    if name not in obs:
        raise DataError(f"{source} has no column {name!r}{nearest(name, obs.columns)}")
    return obs[name]


def dense_layer(adata: AnnData, name: str, columns: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Give a layer of chosen isoforms, dense, shape (cells, chosen).

    The expression that ``get_expression`` returns has its means in ``X``.

    Raises
    ------
    DataError
        If there is no such layer.
    """
    if name in adata.layers:
        values = adata.layers[name]
    elif f"{name}_log1p" in adata.layers:
        _require_means(adata, f"{name}_log1p")
        values = adata.X
    else:
        raise DataError(
            f"adata: has no layer {name!r}{nearest(name, adata.layers)}; IsoformModel.annotate "
            "adds expression"
        )
    return dense(values[:, columns])


def _require_means(adata: AnnData, log1p: str) -> None:
    """Raise a DataError if X is less than means can be whose mean of log(1 + x) is in a layer."""
    for rows in blocks(*adata.shape):
        least = np.expm1(dense(adata.layers[log1p][rows]).astype(float))
        if (dense(adata.X[rows]) < 0.99 * least - 1e-3).any():
            raise DataError(
                f"adata: X no longer holds the posterior means to which its layer {log1p} belongs, "
                "but something smaller, such as logarithms; transform a copy of them"
            )


def holds_reads(cells: AnnData, layer: str = "expression") -> bool:
    """Tell whether X holds estimates in reads, and not what scanpy makes of them.

    Parameters
    ----------
    cells
        Some cells. The total of their estimates is near the total of their bootstraps or, without
        bootstraps, of their posterior means.
    layer
        Layer of the posterior means (reads).
    """
    if cells.X is None or "log1p" in cells.uns:
        return False
    names = [name for name in bootstrap_layers(cells) if name.startswith("infRep")]
    tolerance = _SAME_AS_BOOTSTRAPS if names else _SAME_AS_POSTERIOR
    totals = np.array([dense(cells.layers[name]).sum(1) for name in names or [layer]], float)
    # Cells with fewer bootstraps than others have empty ones.
    expected = totals.sum(0) / np.maximum((totals > 0).sum(0), 1)
    allowed = tolerance * expected + 3 * np.sqrt(expected)
    differ = np.abs(dense(cells.X).sum(1) - expected) > allowed
    return bool(differ.mean() <= 0.25)


def dense(matrix: Any) -> np.ndarray:
    """Give a matrix, sparse or not, as a dense array of the same shape."""
    return matrix.toarray() if issparse(matrix) else np.asarray(matrix)


def expression_of(
    adata: AnnData,
    gene: str,
    layer: str,
    interval: tuple[float, float] | None = None,
    max_isoforms: int | None = None,
    estimates: str | None = None,
) -> GeneExpression:
    """Take the expression of a gene's isoforms, the most expressed first.

    Parameters
    ----------
    adata
        The cells.
    gene
        A gene, or an isoform.
    layer
        Layer of the means.
    interval
        Probabilities of the ends of the intervals to take; None takes none.
    max_isoforms
        Number of isoforms to take; None takes all.
    estimates
        Layer of the quantifier's estimates; None takes none.

    Raises
    ------
    DataError
        If there is no such gene or layer.
    """
    if max_isoforms is not None and max_isoforms < 1:
        raise ValueError(f"max_isoforms is {max_isoforms}; give at least 1")
    columns = isoforms_of(adata.var, gene)
    mean = dense_layer(adata, layer, columns)
    order = np.argsort(-mean.sum(0), kind="stable")[:max_isoforms]
    chosen = columns[order]
    ends = None
    if interval is not None:
        names = interval_layers(adata.layers, layer, interval)
        ends = tuple(dense_layer(adata, name, chosen) for name in names)
    isoforms, left_out = adata.var_names[chosen].tolist(), len(columns) - len(chosen)
    crosses = None if estimates is None else dense_layer(adata, estimates, chosen)
    return GeneExpression(gene, isoforms, left_out, mean[:, order], ends, mean.sum(1), crosses)


def interval_layers(
    names: Iterable[str], layer: str, interval: tuple[float, float], source: str = "adata"
) -> tuple[str, str]:
    """Name the layers of the ends of an interval.

    Parameters
    ----------
    names
        Names of all layers.
    layer
        Layer of the means.
    interval
        Probabilities of its ends.
    source
        Origin of the layers, for messages.

    Raises
    ------
    DataError
        If one of them is missing; the message names the quantiles that there are.
    """
    if np.shape(interval) != (2,):
        raise ValueError(f"interval is {interval!r}; give the probabilities of its two ends")
    low, high = (f"{layer}_q{level:g}" for level in interval)
    known = quantiles_of(names, layer)
    if not known:
        raise DataError(
            f"{source}: has no quantiles of {layer} (layer {low!r}), which intervals need; "
            "IsoformModel.annotate adds quantiles of expression, and pl.gene draws "
            f"{layer} without them (interval=None)"
        )
    for level, name in zip(interval, (low, high), strict=True):
        if level not in known:
            there = ", ".join(f"{own:g}" for own in known)
            raise DataError(
                f"{source}: has no layer {name!r}; choose an interval between two of the quantiles "
                f"in it ({there})"
            )
    return low, high


def quantiles_of(names: Iterable[str], layer: str) -> list[float]:
    """Probabilities, sorted, of the quantiles of a layer among the names of all layers."""
    pattern = re.compile(rf"{re.escape(layer)}_q([\d.e-]+)")
    return sorted(float(found.group(1)) for found in map(pattern.fullmatch, names) if found)


def widest_interval(names: Sequence[str], layer: str, source: str) -> tuple[float, float]:
    """Probabilities of the outermost quantiles; DataError unless 0.5 lies between them."""
    known = quantiles_of(names, layer)
    if not known or not known[0] < 0.5 < known[-1]:
        raise DataError(f"{source}: has no quantiles on both sides of 0.5; export it with some")
    return known[0], known[-1]


def unit_of(layer: str) -> str:
    """Quantity and unit of a layer of expression."""
    known = {"expression": "expression (reads)", "expression_normalised": "normalised expression"}
    return known.get(layer, layer.replace("_", " "))


def bootstrap_layers(adata: AnnData) -> list[str]:
    """Name the layers of the quantifier's bootstraps; none if they hold posterior draws."""
    if adata.uns.get("exvae", {}).get("inferential_replicates") == "posterior draws":
        return []
    return [name for name in adata.layers if re.fullmatch(r"infRep\d+|bootstrap_mean", name)]
