"""Groups of cells, replicates, and the comparisons between groups."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...data.cell_tables import CellTable
from ...data.errors import DataError, DataWarning
from ..fitting.errors import ArgumentError

_LEAST_REPLICATES = 2


class Grouping(NamedTuple):
    """The question about groups of cells.

    Attributes
    ----------
    groupby
        Column of ``obs`` with the group of a cell; cells without a value are left out.
    reference
        Group to compare the others with; None compares each with all others.
    replicate_key
        Column of ``obs`` with the replicate (donor, sample) of a cell; None takes cells as
        replicates.
    as_options
        Whether messages name options of the command line.
    """

    groupby: str
    reference: str | None = None
    replicate_key: str | None = None
    as_options: bool = False

    def name(self, argument: str) -> str:
        """Give the name of an argument for messages."""
        return f"--{argument.replace('_', '-')}" if self.as_options else argument


class Comparison(NamedTuple):
    """Two groups of cells.

    Attributes
    ----------
    group, reference
        Their names.
    own, other
        Which cells are in them, shapes (cells,), bool.
    """

    group: str
    reference: str
    own: np.ndarray
    other: np.ndarray


def labels_of(cells: CellTable, grouping: Grouping, least: int = 2) -> np.ndarray:
    """Find the group of each cell.

    Parameters
    ----------
    cells
        The cells.
    grouping
        The question.
    least
        Least number of groups. Where two are compared and cells are the replicates, groups of one
        cell are left out with a warning.

    Returns
    -------
    numpy.ndarray
        Names of the groups, shape (cells,), strings; empty for cells without one.

    Raises
    ------
    DataError
        If there is no such column, or it has too few groups or not the reference.
    """
    column, reference = grouping.groupby, grouping.reference
    values = cells.column(column, grouping.name("groupby"))
    labels = values.astype(str).where(values.notna(), "").to_numpy(dtype=str)
    if least > 1 and grouping.replicate_key is None:
        labels = _without_single_cells(cells, grouping, labels)
    names = sorted(set(labels) - {""})
    if len(names) < least:
        number = {1: "group", 2: "two groups of several cells"}[least]
        raise DataError(f"{cells.source}: obs[{column!r}] has no {number}; choose another column")
    if reference is not None and reference not in names:
        raise DataError(
            f"{cells.source}: obs[{column!r}] has no group {reference!r}; "
            f"{grouping.name('reference')} must be one of {', '.join(names)}"
        )
    return labels


def _without_single_cells(cells: CellTable, grouping: Grouping, labels: np.ndarray) -> np.ndarray:
    """Take the cell of a group of one out of it, but for the reference; DataWarning if there is."""
    names, sizes = np.unique(labels, return_counts=True)
    single = names[(sizes < _LEAST_REPLICATES) & (names != "") & (names != grouping.reference)]
    if not len(single):
        return labels
    warnings.warn(
        f"{cells.source}: groups of one cell in obs[{grouping.groupby!r}] are left out: "
        f"{', '.join(single)}",
        DataWarning,
        stacklevel=4,
    )
    return np.where(np.isin(labels, single), "", labels)


def replicates_of(cells: CellTable, grouping: Grouping) -> np.ndarray | None:
    """Find the replicate of each cell, shape (cells,), strings; None if cells are replicates.

    Raises
    ------
    DataError
        If there is no such column, or cells lack a replicate.
    """
    column = grouping.replicate_key
    if column is None:
        return None
    argument = grouping.name("replicate_key")
    values = cells.column(column, argument)
    if values.isna().any():
        raise DataError(
            f"{cells.source}: obs[{column!r}], the {argument}, lacks the replicate of "
            f"{values.isna().sum()} cells; fill it in, or leave these cells out"
        )
    return values.astype(str).to_numpy(dtype=str)


def comparisons(labels: np.ndarray, reference: str | None) -> Iterator[Comparison]:
    """Pair each group with the reference or else with all others; two groups only once."""
    names = sorted(set(labels.tolist()) - {""})
    if reference is None and len(names) == 2:
        reference = names[0]
    for name in names:
        own = labels == name
        if reference is None:
            yield Comparison(name, "rest", own, ~own & (labels != ""))
        elif name != reference:
            yield Comparison(name, reference, own, labels == reference)


def require_replicates(
    cells: CellTable, grouping: Grouping, labels: np.ndarray, replicates: np.ndarray | None
) -> None:
    """Require two replicates on both sides of every comparison.

    Parameters
    ----------
    cells
        The cells, for the message.
    grouping
        The question.
    labels, replicates
        Group and replicate of each cell, shapes (cells,), strings; None if cells are replicates.

    Raises
    ------
    DataError
        If a group has fewer than two.
    """
    what = "cells" if replicates is None else "replicates"
    for comparison in comparisons(labels, grouping.reference):
        for name, chosen in zip(comparison[:2], comparison[2:], strict=True):
            number = chosen.sum() if replicates is None else len(set(replicates[chosen]))
            if number < _LEAST_REPLICATES:
                remedy = "leave it out"
                if replicates is not None:
                    remedy = f"{remedy}, or choose another {grouping.name('replicate_key')}"
                raise DataError(
                    f"{cells.source}: group {name!r} of obs[{grouping.groupby!r}] has {number} "
                    f"{what}, but at least {_LEAST_REPLICATES} are needed; {remedy}"
                )


def require_bootstraps(cells: CellTable) -> None:
    """Require several bootstraps of every cell; DataError if there are fewer."""
    if cells.num_layers < 2:
        raise DataError(
            f"{cells.source}: has {cells.num_layers} layers infRep1 ...; at least two "
            "bootstraps must be in the file to tell how sure the estimates are"
        )
    few = cells.num_bootstraps < 2
    if few.any():
        raise DataError(
            f"{cells.source}: cell {cells.names[few][0]} has fewer than two bootstraps; quantify "
            "it with more, or leave it out"
        )


def require_genes(cells: CellTable) -> None:
    """Require genes of several isoforms; DataError if there are none."""
    if cells.genes is None:
        problem = f"{cells.source}: var has no column 'gene'; import the cells with"
        raise ArgumentError(
            f"{problem} t2g=, a table of genes, or add it", f"{problem} --t2g, or add it"
        )
    if len(set(cells.genes)) == len(cells.genes):
        raise DataError(
            f"{cells.source}: no gene has two isoforms; var['gene'] must name the gene of each"
        )
