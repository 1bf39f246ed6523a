"""Tables of differential expression and usage, as the notebooks and the commands give them."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from ...data.arguments import require
from ...data.cell_tables import CellTable
from ...data.errors import DataError
from .effect_prior import expected_false
from .expression import LEVELS
from .expression_differences import expression_differences
from .expression_evidence import weigh_expression
from .groups import (
    Grouping,
    labels_of,
    replicates_of,
    require_bootstraps,
    require_genes,
    require_replicates,
)
from .read_usage import read_usage_differences
from .settings import EXPRESSION_THRESHOLD, USAGE_THRESHOLD
from .usage_differences import usage_differences
from .usage_evidence import weigh

_EXPRESSION_COLUMNS = (
    *("gene", "isoform", "group", "reference", "mean", "reference_mean", "log2_fold_change"),
    *("low", "high", "standard_error", "degrees_of_freedom", "shrunken_log2_fold_change"),
    *("probability", "expected_fdr"),
)


def differential_expression(
    cells: CellTable,
    grouping: Grouping,
    level: str = "isoform",
    threshold: float = EXPRESSION_THRESHOLD,
) -> pd.DataFrame:
    """Compare the expression of isoforms or genes between groups of cells.

    Parameters
    ----------
    cells
        Cells with bootstraps.
    grouping
        Groups, reference and replicates.
    level
        ``isoform`` or ``gene``.
    threshold
        Least absolute log2 fold change that counts.

    Returns
    -------
    pandas.DataFrame
        See :meth:`exvae.IsoformModel.differential_expression`.

    Raises
    ------
    DataError
        If the cells, groups or replicates do not allow it.
    """
    require("level", level, LEVELS)
    _require_positive(threshold)
    labels, replicates = labels_of(cells, grouping), replicates_of(cells, grouping)
    require_bootstraps(cells)
    require_replicates(cells, grouping, labels, replicates)
    table = expression_differences(cells, labels, grouping.reference, level, replicates)
    evidence = weigh_expression(table, threshold)
    table = table.assign(probability=evidence.probability, shrunken_log2_fold_change=evidence.mean)
    names = [name for name in ("gene", "isoform", "group") if name in table]
    order = ["probability", *names]
    table = table.sort_values(order, ascending=[False] + [True] * len(names), ignore_index=True)
    table["expected_fdr"] = expected_false(table["probability"])
    return table[[name for name in _EXPRESSION_COLUMNS if name in table]]


class UsageTable(NamedTuple):
    """Differential usage.

    Attributes
    ----------
    table
        See :meth:`exvae.IsoformModel.differential_usage`.
    share_changed
        Share of genes that change, learned from all.
    """

    table: pd.DataFrame
    share_changed: float


def differential_usage(
    cells: CellTable,
    grouping: Grouping,
    threshold: float = USAGE_THRESHOLD,
    *,
    by_reads: bool = False,
) -> UsageTable:
    """Compare isoforms' shares of their gene's reads between groups of cells.

    Parameters
    ----------
    cells
        Cells with genes, and with bootstraps or reads by class.
    grouping
        Groups, reference and replicates.
    threshold
        Least absolute difference of usage that counts.
    by_reads
        Whether reads by class are compared, and not bootstraps.

    Raises
    ------
    DataError
        If the cells, groups or replicates do not allow it.
    """
    _require_positive(threshold)
    labels, replicates = labels_of(cells, grouping), replicates_of(cells, grouping)
    require_genes(cells)
    if by_reads:
        cells.require_class_counts()
    else:
        require_bootstraps(cells)
    if replicates is not None:
        require_replicates(cells, grouping, labels, replicates)
    compare = read_usage_differences if by_reads else usage_differences
    differences = compare(cells, labels, grouping.reference, replicates)
    if differences.empty:
        raise DataError(
            f"{cells.source}: no gene of several isoforms has reads in two groups; try another "
            f"{grouping.name('groupby')}"
        )
    evidence = weigh(differences, threshold)
    table = differences.assign(probability=evidence.probability).merge(evidence.genes, on="gene")
    table = table.sort_values(
        ["gene_probability", "gene", "isoform", "group"],
        ascending=[False, True, True, True],
        ignore_index=True,
    )
    return UsageTable(table, evidence.changed)


def _require_positive(threshold: float) -> None:
    if not threshold >= 0:
        raise ValueError(f"threshold is {threshold}; give a number that is not negative")
