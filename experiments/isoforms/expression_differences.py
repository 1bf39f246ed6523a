"""Log fold changes of expression between groups of cells.

Every cell is normalised to the same number of reads, and the means of the groups are compared. The
mean bootstraps give the estimates. The posterior of a model shares information between cells of a
state: its group means are no more accurate, and their errors are not independent between cells.

A log fold change of an isoform is the one of its gene plus one of its share in the gene:

    log2 m_i / m'_i  =  log2 M_j / M'_j  +  log2 (m_i / M_j) / (m'_i / M'_j)

The first part is known well. The second one has the errors of the split of reads between isoforms.
An error common to all cells cancels in a difference between groups unless the groups use their
isoforms differently; the variance between bootstraps allows for the rest.

Few cells may have all reads of an isoform in a group, and their sample variance then says little.
With phi, the variance of both groups together divided by their mean, the mean of N cells counts
N m / phi independent events. Variances are averages of the sample variance and phi m, as if four
further events had shown the latter, and half an event more in the smaller group keeps log fold
changes finite.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack
from scipy.stats import t as student

from ...data.cell_tables import CellTable
from ...data.errors import DataError
from .gene_blocks import bootstraps, gene_columns, mean_bootstraps, sum_genes
from .groups import Comparison, comparisons
from .moderation import moderate
from .settings import LIBRARY_SIZE

# Events of prior knowledge of a variance, and events added to a mean.
_PRIOR_EVENTS, _ADDED_EVENTS = 4.0, 0.5
# Least number of reads in both groups together.
_LEAST_READS = 1.0
_COVERAGE = 0.95
_NAMES = ("gene", "isoform", "group", "reference")
# Keeps quotients of zero by zero finite.
_NOTHING = 1e-30


class Units(NamedTuple):
    """Cells, or replicates, whose normalised expression is averaged in two groups.

    Attributes
    ----------
    own, other
        Weight of each cell in each unit of a group, shapes (units, cells).
    read
        Normalised expression of one read of a unit, on average.
    """

    own: csr_matrix
    other: csr_matrix
    read: float

    @classmethod
    def of(cls, pair: Comparison, factors: np.ndarray, replicates: np.ndarray | None) -> Units:
        """Make units of cells, given factors that normalise reads, and replicates, (cells,)."""
        sides = [_means_of(chosen, replicates) for chosen in (pair.own, pair.other)]
        reads = np.concatenate([side @ factors for side in sides])
        # A read of a unit of n cells adds its normalised value / n to the mean over these.
        sizes = np.concatenate([side.getnnz(1) for side in sides])
        return cls(*sides, float((reads / sizes).mean()))

    @property
    def numbers(self) -> tuple[int, int]:
        """Numbers of units in the two groups."""
        return self.own.shape[0], self.other.shape[0]


class Sides(NamedTuple):
    """Expression of a feature in both groups, each of shape (2, isoforms).

    Attributes
    ----------
    mean, variance
        Mean and sample variance over units.
    """

    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, own: np.ndarray, other: np.ndarray) -> Sides:
        """Summarise values of units, shapes (units, isoforms)."""
        mean = np.stack([own.mean(0), other.mean(0)])
        return cls(mean, np.stack([own.var(0, ddof=1), other.var(0, ddof=1)]))

    def dispersion(self, numbers: np.ndarray, read: float) -> np.ndarray:
        """Variance divided by mean within groups of ``numbers`` units, shape (isoforms,).

        At least the variance of counts, of which one is worth ``read``.
        """
        weights = (numbers - 1)[:, None]
        variance, mean = (weights * self.variance).sum(0), (weights * self.mean).sum(0)
        return np.maximum(variance / np.maximum(mean, _NOTHING), read)


class Part(NamedTuple):
    """A log2 fold change with its variance and degrees of freedom, each of shape (isoforms,)."""

    change: np.ndarray
    variance: np.ndarray
    freedom: np.ndarray


def expression_differences(
    cells: CellTable,
    groups: np.ndarray,
    reference: str | None,
    level: str = "isoform",
    replicates: np.ndarray | None = None,
) -> pd.DataFrame:
    """Compare the expression of every isoform or gene between groups of cells.

    Parameters
    ----------
    cells
        Cells with bootstraps.
    groups
        Group of each cell, shape (cells,), strings; cells without one have the empty string.
    reference
        The group to compare the others with; None compares each with all others.
    level
        ``isoform`` or ``gene``.
    replicates
        Replicate (donor, sample) of each cell, shape (cells,), strings; None takes cells as
        replicates. The variances of replicates are moderated between isoforms.

    Returns
    -------
    pandas.DataFrame
        A row for each isoform or gene, and group: ``gene``, ``isoform`` (of isoforms), ``group``,
        ``reference``, ``mean`` and ``reference_mean`` (reads in a cell of :data:`LIBRARY_SIZE`),
        ``log2_fold_change``, ``standard_error``, ``degrees_of_freedom``, ``low`` and ``high``, the
        ends of the 95 % interval; and of both parts of the fold change, ``gene_`` and ``share_``
        ``change``, ``error`` and ``freedom``. Without a read in both groups there is no row.
    """
    factors = _factors(cells)
    pairs = list(comparisons(groups, reference))
    units = [Units.of(pair, factors, replicates) for pair in pairs]
    of_groups = vstack([csr_matrix(side.mean(0)) for each in units for side in each[:2]])
    parts: list[list[pd.DataFrame]] = [[] for _ in pairs]
    for held, columns, genes in gene_columns(cells):
        names, codes = _features(held, columns, genes, level)
        scaled = partial(_at_level, genes=genes, level=level, factors=factors)
        values = scaled(mean_bootstraps(held, columns))
        drawn = np.stack([of_groups @ scaled(own) for own in bootstraps(held, columns)])
        drawn = drawn.reshape(len(drawn), len(pairs), 2, -1)
        for number, (pair, unit) in enumerate(zip(pairs, units, strict=True)):
            named = names.assign(group=pair.group, reference=pair.reference)
            parts[number].append(_compare(named, unit, values, drawn[:, number], codes))
    tables = [
        _with_errors(pd.concat(own, ignore_index=True), unit.numbers, replicates is not None)
        for own, unit in zip(parts, units, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def _factors(cells: CellTable) -> np.ndarray:
    """Factors that normalise the reads of each cell, shape (cells,)."""
    cells.require_bootstraps()
    means = (cells.estimates_of(*block) for block in cells.blocks(("summary",)))
    depths = np.concatenate([np.asarray(own.sum(1)).ravel() for own in means]).astype(np.float64)
    if not (depths > 0).all():
        name = cells.names[depths <= 0][0]
        raise DataError(f"{cells.source}: cell {name} has no reads in its bootstraps; leave it out")
    return LIBRARY_SIZE / depths


def _at_level(reads: np.ndarray, genes: np.ndarray, level: str, factors: np.ndarray) -> np.ndarray:
    """Normalise the reads of isoforms, (cells, isoforms); shape (cells, features)."""
    return (sum_genes(reads, genes) if level == "gene" else reads) * factors[:, None]


def _means_of(chosen: np.ndarray, replicates: np.ndarray | None) -> csr_matrix:
    """Weights of the chosen cells, (cells,), in means over replicates; shape (units, cells)."""
    rows = np.flatnonzero(chosen)
    units = np.arange(len(rows))
    if replicates is not None:
        units = np.unique(replicates[rows], return_inverse=True)[1]
    weights = 1 / np.bincount(units)[units]
    return csr_matrix((weights, (units, rows)), shape=(units.max() + 1, len(chosen)))


def _features(
    cells: CellTable, columns: np.ndarray, genes: np.ndarray, level: str
) -> tuple[pd.DataFrame, np.ndarray]:
    """Names of the isoforms at positions, or of their genes, and the gene of each, from 0 on."""
    named = cells.isoforms if cells.genes is None else cells.genes
    table = pd.DataFrame({"gene": named[columns], "isoform": cells.isoforms[columns]})
    if level == "isoform":
        return table, genes
    first = np.unique(genes, return_index=True)[1]
    return table.iloc[first][["gene"]].reset_index(drop=True), np.arange(len(first))


def _compare(
    names: pd.DataFrame,
    units: Units,
    values: np.ndarray,
    drawn: np.ndarray,
    genes: np.ndarray,
) -> pd.DataFrame:
    """Summarise the features in some columns in both groups.

    Parameters
    ----------
    names
        Their names, a row for each.
    units
        Units of the groups.
    values
        Normalised expression, shape (cells, features).
    drawn
        Group means of the bootstraps, shape (bootstraps, 2, features).
    genes
        Gene of each feature, shape (features,).
    """
    numbers = np.array(units.numbers)
    own = [side @ values for side in (units.own, units.other)]
    totals = [sum_genes(side, genes)[:, genes] for side in own]
    sides, of_genes = Sides.of(*own), Sides.of(*totals)
    shares = sides.mean / np.maximum(of_genes.mean, _NOTHING)
    rest = [side - share * total for side, share, total in zip(own, shares, totals, strict=True)]
    of_shares = Sides(sides.mean * (1 - shares), Sides.of(*rest).variance)
    dispersion = sides.dispersion(numbers, units.read)
    added = _ADDED_EVENTS * dispersion / numbers.min()
    gene_added = sum_genes(added, genes)[genes]
    logs = np.log2(drawn + added) - np.log2(sum_genes(drawn, genes)[..., genes] + gene_added)
    table = names.assign(
        dispersion=dispersion,
        gene_dispersion=of_genes.dispersion(numbers, units.read),
        share_dispersion=of_shares.dispersion(numbers, units.read),
        added=added,
        gene_added=gene_added,
        between=(logs[:, 0] - logs[:, 1]).var(0, ddof=1),
        alone=np.bincount(genes)[genes] == 1,
    )
    for side, own_number in enumerate(numbers):
        table[f"mean{side}"], table[f"variance{side}"] = sides.mean[side], sides.variance[side]
        table[f"gene_mean{side}"] = of_genes.mean[side]
        table[f"gene_variance{side}"] = of_genes.variance[side]
        table[f"share_variance{side}"] = of_shares.variance[side]
        table[f"reads{side}"] = own_number * sides.mean[side] / units.read
    return table[table["reads0"] + table["reads1"] >= _LEAST_READS]


def _with_errors(table: pd.DataFrame, numbers: tuple[int, int], moderated: bool) -> pd.DataFrame:
    """Turn summaries of two groups of units into log2 fold changes and their errors."""
    most = np.inf
    if moderated:
        freedom = np.full(len(table), float(sum(numbers) - 2))
        for name in ("dispersion", "gene_dispersion", "share_dispersion"):
            mean = "gene_mean" if name == "gene_dispersion" else "mean"
            level = (table[f"{mean}0"] + table[f"{mean}1"]).to_numpy()
            table[name], more = moderate(table[name].to_numpy(), freedom, level)
            most = min(most, freedom[0] + more)
    isoform = _part(table, numbers)
    gene = _part(table, numbers, "gene_")
    share = _part(table, numbers, "share_")
    alone = table["alone"].to_numpy()
    between = np.where(alone, 0.0, table["between"])
    share_error = np.sqrt(np.where(alone, 0.0, share.variance + between))
    named = table[[name for name in _NAMES if name in table]]
    result = named.assign(
        mean=table["mean0"],
        reference_mean=table["mean1"],
        log2_fold_change=isoform.change,
        standard_error=np.sqrt(isoform.variance + between),
        degrees_of_freedom=np.minimum(isoform.freedom, most),
        gene_change=gene.change,
        gene_error=np.sqrt(gene.variance),
        gene_freedom=np.minimum(gene.freedom, most),
        share_change=np.where(alone, 0.0, isoform.change - gene.change),
        share_error=share_error,
        share_freedom=np.minimum(np.where(alone, isoform.freedom, share.freedom), most),
    )
    half = student.ppf(0.5 + _COVERAGE / 2, result["degrees_of_freedom"])
    half = half * result["standard_error"]
    result["low"] = result["log2_fold_change"] - half
    result["high"] = result["log2_fold_change"] + half
    return result


def _part(table: pd.DataFrame, numbers: tuple[int, int], of: str = "") -> Part:
    """Log2 fold change of isoforms, of their genes (``of`` is ``gene_``) or shares (``share_``).

    The fold change of a share has the value of the isoform's.
    """
    level_of = of if of == "gene_" else ""
    added = table[f"{level_of}added"].to_numpy()
    dispersion = table[f"{of}dispersion"].to_numpy()
    logs, variances, freedoms = [], [], []
    for side, number in enumerate(numbers):
        mean = table[f"{level_of}mean{side}"].to_numpy()
        level = mean + added
        expected = dispersion * level
        if of == "share_":
            gene = table[f"gene_mean{side}"] + table["gene_added"]
            expected = expected * (1 - level / gene.to_numpy())
        events = np.minimum(number * mean / dispersion, number - 1)
        sample = table[f"{of}variance{side}"].to_numpy()
        sample = (_PRIOR_EVENTS * expected + events * sample) / (_PRIOR_EVENTS + events)
        logs.append(np.log2(level))
        variances.append(sample / number / (level * np.log(2)) ** 2)
        freedoms.append(_PRIOR_EVENTS + events)
    total = sum(variances)
    squares = sum(own**2 / freedom for own, freedom in zip(variances, freedoms, strict=True))
    freedom = total**2 / np.maximum(squares, _NOTHING**2)
    return Part(logs[0] - logs[1], total, np.maximum(freedom, 1.0))
