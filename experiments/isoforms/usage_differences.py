"""Differences between groups of cells in isoform usage, the share of a gene's reads.

Quantifiers find fewer isoforms where a gene has few reads in a cell. Groups that express a gene at
different levels therefore seem to use its isoforms differently. To avoid this, cells are compared
with cells of the same coverage, and the differences within strata of coverage are averaged with the
weights of Mantel and Haenszel (J. Natl. Cancer Inst. 22, 1959).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from scipy.stats import t as student

from ...data.cell_tables import CellTable
from .gene_blocks import GeneColumns, bootstraps, gene_columns, mean_bootstraps
from .groups import Comparison, comparisons
from .moderation import moderate

# Strata end at 1, 2, 4 ... reads; with fewer reads than the first number usage is unknown.
_LEAST_COVERAGE, _STRATA = 1 / 16, 24
# Least information (reads) of a test.
_LEAST_INFORMATION = 1.0
# Least distance of a usage from 0 and 1 in formulas of its variance.
_USAGE_BOUND = 0.02
_COVERAGE = 0.95
_NAMES = ("gene", "isoform", "group", "reference")
_ERRORS = ("standard_error", "degrees_of_freedom")
# Keeps quotients of zero by zero finite.
_NOTHING = 1e-30


class Sums(NamedTuple):
    """Reads summed over the cells of a group, each of shape (strata, isoforms).

    Attributes
    ----------
    counts
        Reads of the isoform.
    totals
        Reads of its gene.
    """

    counts: np.ndarray
    totals: np.ndarray


class Difference(NamedTuple):
    """Usage in one group less that in the other, each of shape (isoforms,).

    Attributes
    ----------
    value
        Mean over strata.
    information
        Information (reads): the sum over strata of N1 N0 / (N1 + N0).
    """

    value: np.ndarray
    information: np.ndarray


class Uncertainty(NamedTuple):
    """Uncertainty of a difference from the variation between cells or replicates.

    Attributes
    ----------
    variance
        Variance by the jackknife, shape (isoforms,).
    degrees_of_freedom
        Degrees of freedom of that variance, by Welch and Satterthwaite from the effective numbers
        of cells or the numbers of replicates, shape (isoforms,); at least 1.
    """

    variance: np.ndarray
    degrees_of_freedom: np.ndarray


class GeneBlock:
    """All isoforms of some genes in all cells.

    Parameters
    ----------
    coverage
        Mean bootstraps (reads), shape (cells, isoforms).
    genes
        Gene of each isoform, shape (isoforms,), int64, from 0 on.
    """

    def __init__(self, coverage: np.ndarray, genes: np.ndarray) -> None:
        self.genes = genes
        self._members = csr_matrix((np.ones(len(genes)), (np.arange(len(genes)), genes)))
        totals = self.totals(coverage)
        stratum = np.frexp(totals)[1].clip(0, _STRATA - 1)
        # Cells that do not express a gene are in a stratum of their own, which is left out.
        self.strata = np.where(totals < _LEAST_COVERAGE, _STRATA, stratum)

    def totals(self, counts: np.ndarray) -> np.ndarray:
        """Sum reads of isoforms over the gene of each isoform; both shapes (cells, isoforms)."""
        return (counts @ self._members)[:, self.genes]

    def sums(self, counts: np.ndarray, totals: np.ndarray, chosen: np.ndarray) -> Sums:
        """Sum reads, shapes (cells, isoforms), over the chosen cells, shape (cells,), bool."""
        isoforms = len(self.genes)
        places = (self.strata[chosen] * isoforms + np.arange(isoforms)).ravel()
        size = (_STRATA + 1) * isoforms
        return Sums(
            *(
                np.bincount(places, values[chosen].ravel(), size).reshape(-1, isoforms)[:_STRATA]
                for values in (counts, totals)
            )
        )

    def difference(self, counts: np.ndarray, group: np.ndarray, other: np.ndarray) -> Difference:
        """Compare two groups of cells.

        Parameters
        ----------
        counts
            Reads, shape (cells, isoforms).
        group, other
            Which cells are in the groups, shapes (cells,), bool.
        """
        totals = self.totals(counts)
        top, information = _contrast(
            self.sums(counts, totals, group), self.sums(counts, totals, other)
        )
        information = information.sum(0)
        return Difference(_average(top.sum(0), information), information)

    def uncertainty(self, counts: np.ndarray, group: np.ndarray, other: np.ndarray) -> Uncertainty:
        """Jackknife over cells; arguments and shapes as for :meth:`difference`."""
        totals = self.totals(counts)
        sums = [self.sums(counts, totals, chosen) for chosen in (group, other)]
        whole = [part.sum(0) for part in _contrast(*sums)]
        variances, sizes = [], []
        for side, chosen in enumerate((group, other)):
            known = self.strata[chosen] < _STRATA
            # Sums of each cell's stratum.
            places = np.minimum(self.strata[chosen], _STRATA - 1), np.arange(len(self.genes))
            around = [Sums(*(field[places] for field in of_side)) for of_side in sums]
            own = Sums(counts[chosen], totals[chosen])
            left = around.copy()
            left[side] = Sums(
                *(np.maximum(a - b, 0) for a, b in zip(around[side], own, strict=True))
            )
            parts = zip(whole, _contrast(*around), _contrast(*left), strict=True)
            change = _average(*(all_ - old + new for all_, old, new in parts)) - _average(*whole)
            variances.append((np.where(known, change, 0) ** 2).sum(0))
            both = np.maximum(around[0].totals + around[1].totals, _NOTHING)
            weight = np.where(known, own.totals * around[1 - side].totals / both, 0)
            sizes.append(weight.sum(0) ** 2 / np.maximum((weight**2).sum(0), _NOTHING))
        return added(variances, sizes)

    def replicate_uncertainty(
        self, counts: np.ndarray, group: np.ndarray, other: np.ndarray, replicates: np.ndarray
    ) -> Uncertainty:
        """Jackknife over replicates, of which each group has several.

        Parameters
        ----------
        counts, group, other
            As for :meth:`difference`.
        replicates
            Replicate of each cell, shape (cells,).
        """
        variances, sizes = [], []
        for side, chosen in enumerate((group, other)):
            names = np.unique(replicates[chosen])
            left = []
            for name in names:
                pair = [group, other]
                pair[side] = chosen & (replicates != name)
                left.append(self.difference(counts, *pair).value)
            size = len(names)
            variances.append((size - 1) * np.var(left, axis=0))
            sizes.append(np.full(len(self.genes), size))
        return added(variances, sizes)


def added(variances: Sequence[np.ndarray], sizes: Sequence[np.ndarray]) -> Uncertainty:
    """Add the variances of both groups; sizes are numbers of cells or replicates; (isoforms,)."""
    variance = sum(variances)
    squares = sum(
        part**2 / np.maximum(size - 1, 0.5) for part, size in zip(variances, sizes, strict=True)
    )
    freedom = variance**2 / np.maximum(squares, _NOTHING)
    return Uncertainty(variance, np.maximum(freedom, 1.0))


def _contrast(group: Sums, other: Sums) -> tuple[np.ndarray, np.ndarray]:
    """Difference of usage in each stratum times its information, and the information (reads)."""
    both = np.maximum(group.totals + other.totals, _NOTHING)
    top = (group.counts * other.totals - other.counts * group.totals) / both
    return top, group.totals * other.totals / both


def _average(top: np.ndarray, information: np.ndarray) -> np.ndarray:
    return top / np.maximum(information, _NOTHING)


def usage_differences(
    cells: CellTable,
    groups: np.ndarray,
    reference: str | None,
    replicates: np.ndarray | None = None,
) -> pd.DataFrame:
    """Compare the usage of every isoform between groups of cells.

    The mean bootstraps give the estimate. Its variance is the jackknife variance over cells or
    replicates, but at least the variance of counting as many reads, plus the variance between
    bootstraps: quantifier errors common to all cells do not show as differences between cells.

    Parameters
    ----------
    cells
        Cells with bootstraps and genes.
    groups
        Group of each cell, shape (cells,), strings; cells without one have the empty string.
    reference
        The group to compare the others with; None compares each with all others.
    replicates
        Replicate (donor, sample) of each cell, shape (cells,), strings; None takes cells as
        replicates. The variances of replicates are moderated between isoforms.

    Returns
    -------
    pandas.DataFrame
        A row for each isoform of a gene with several, and group: ``gene``, ``isoform``, ``group``,
        ``reference``, ``usage`` (over both), ``difference``, ``standard_error``,
        ``degrees_of_freedom``, ``low`` and ``high``, the ends of the 95 % interval,
        ``information`` (reads). Differences with too little information have no row.
    """
    pairs = list(comparisons(groups, reference))
    parts = [
        table
        for block in gene_columns(cells, least_isoforms=2)
        for table in _compare(block, pairs, replicates)
    ]
    return with_intervals(pd.concat(parts, ignore_index=True), moderated=replicates is not None)


def with_intervals(table: pd.DataFrame, moderated: bool) -> pd.DataFrame:
    """Turn variances of differences into standard errors and intervals.

    Parameters
    ----------
    table
        A row for each isoform and group: ``variance``, between cells or replicates, with its
        ``degrees_of_freedom``; ``counting``, the least variance; ``between``, what is added; and
        all other columns of :func:`usage_differences`.
    moderated
        Whether variances are moderated between isoforms.
    """
    table = table[table["information"] >= _LEAST_INFORMATION].reset_index(drop=True)
    if moderated:
        ratio = (table["variance"] / table["counting"]).to_numpy()
        freedom = table["degrees_of_freedom"].to_numpy()
        shrunken, more = moderate(ratio, freedom, table["information"].to_numpy())
        table["variance"] = shrunken * table["counting"]
        table["degrees_of_freedom"] = freedom + more
    sampling = np.maximum(table["variance"], table["counting"])
    table["standard_error"] = np.sqrt(sampling + table["between"])
    half = student.ppf(0.5 + _COVERAGE / 2, table["degrees_of_freedom"]) * table["standard_error"]
    table["low"] = np.maximum(table["difference"] - half, -1)
    table["high"] = np.minimum(table["difference"] + half, 1)
    return table[[*_NAMES, "usage", "difference", *_ERRORS, "low", "high", "information"]]


def _compare(
    columns: GeneColumns,
    pairs: Sequence[Comparison],
    replicates: np.ndarray | None,
) -> Iterator[pd.DataFrame]:
    """Compare groups in the isoforms in some columns."""
    cells, chosen, genes = columns
    mean = mean_bootstraps(cells, chosen)
    block = GeneBlock(mean, genes)
    # One dense bootstrap serves all comparisons.
    values = np.stack(
        [
            [block.difference(bootstrap, pair.own, pair.other).value for pair in pairs]
            for bootstrap in bootstraps(cells, chosen)
        ]
    )
    names = pd.DataFrame({"gene": cells.genes[chosen], "isoform": cells.isoforms[chosen]})
    for pair, between in zip(pairs, values.var(0, ddof=1), strict=True):
        if replicates is None:
            uncertainty = block.uncertainty(mean, pair.own, pair.other)
        else:
            uncertainty = block.replicate_uncertainty(mean, pair.own, pair.other, replicates)
        table = names.assign(group=pair.group, reference=pair.reference, between=between)
        yield _with_difference(table, block, mean, pair, uncertainty)


def _with_difference(
    table: pd.DataFrame,
    block: GeneBlock,
    mean: np.ndarray,
    pair: Comparison,
    uncertainty: Uncertainty,
) -> pd.DataFrame:
    """Add the difference between two groups by the mean bootstraps, and its variances."""
    difference = block.difference(mean, pair.own, pair.other)
    both = pair.own | pair.other
    usage = mean[both].sum(0) / np.maximum(block.totals(mean)[both].sum(0), _NOTHING)
    return table.assign(
        usage=usage,
        difference=difference.value,
        variance=uncertainty.variance,
        counting=counting_variance(usage, difference.information),
        degrees_of_freedom=uncertainty.degrees_of_freedom,
        information=difference.information,
    )


def counting_variance(usage: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Variance of a difference of usages if the reads are as many and tell their isoform.

    ``usage`` is that of both groups, ``information`` as in :class:`Difference`; all shapes
    (isoforms,).
    """
    bounded = np.clip(usage, _USAGE_BOUND, 1 - _USAGE_BOUND)
    return bounded * (1 - bounded) / np.maximum(information, _NOTHING)
