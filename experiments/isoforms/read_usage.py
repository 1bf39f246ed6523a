"""Differences between groups of cells in isoform usage, from reads counted by class.

The reads of all cells of a group are one sample. A read of gene j and class c has probability
sum_{g in c} p_g w_cg up to a factor, so that the classes determine the usage p of the group by
maximum likelihood (w of :class:`~exvae.data.reads.classes.ClassCounts`). No cell is quantified
alone: the bias of quantifiers in cells of few reads does not arise, and no bootstrap is needed.

Some isoforms hardly differ in their classes. A weak prior, :data:`PRIOR` reads with the usage of
all cells, keeps both groups alike where their reads do not tell, and the information that the
classes hold tells how little is known there. Genes that share classes are divided once, by the
rates of the group, and are then compared one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csc_matrix, csr_matrix

from ...data.cell_tables import CellTable
from ...data.reads.classes import ClassCounts
from .groups import comparisons
from .usage_differences import added, counting_variance, with_intervals

# Weight (reads) of the prior of a gene's usage.
PRIOR = 1.0
# Rounds of expectation maximisation, and the change of a usage at which they end.
_ROUNDS, _SETTLED = 2000, 1e-5
# Least share of the reads that is left without a unit, in changes to first order.
_LEAST_LEFT = 0.1
# Keeps quotients of zero by zero finite.
_NOTHING = 1e-30


class GroupUsage(NamedTuple):
    """Usage in a group of cells, each of shape (isoforms,).

    Attributes
    ----------
    usage
        Share of the gene's reads.
    totals
        Reads of the gene.
    jackknife
        Variance of the usage by the jackknife over cells or replicates.
    counting
        Variance of the usage given that cells are alike, by the information of the classes.
    sizes
        Effective number of cells or replicates.
    """

    usage: np.ndarray
    totals: np.ndarray
    jackknife: np.ndarray
    counting: np.ndarray
    sizes: np.ndarray


class ReadUsage:
    """Estimates the usage of groups of cells.

    Parameters
    ----------
    classes
        Reads of all cells.
    genes
        Gene of each isoform, shape (isoforms,), int64, from 0 on.
    units
        Cell or replicate that is left out at once, shape (cells,), int64, from 0 on.
    """

    def __init__(self, classes: ClassCounts, genes: np.ndarray, units: np.ndarray) -> None:
        self._counts, self._units = classes.counts.astype(np.float64), units
        shape = (self._counts.shape[1], len(genes))
        self._weights = csr_matrix((classes.weights, classes.members, classes.starts), shape)
        self._of_genes = csr_matrix((np.ones(len(genes)), (np.arange(len(genes)), genes)))
        order = np.argsort(genes, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(genes[order])) + 1)
        self._genes = [columns for columns in members if len(columns) > 1]
        alike = 1 / self._sums(np.ones(len(genes)))
        everything = np.ones(len(units), bool)
        self._prior = self._shares(self._rates(everything, alike))

    def of_group(self, chosen: np.ndarray) -> GroupUsage:
        """Estimate the usage of the chosen cells, shape (cells,), bool."""
        rates = self._rates(chosen, self._prior)
        usage, responsibilities = self._shares(rates), self._responsibilities(rates)
        counts = self._of_units(chosen)
        expected, reads = csc_matrix(counts @ responsibilities), np.asarray(counts.sum(0)).ravel()
        totals, jackknife, counting, sizes = np.zeros((4, len(rates)))
        for columns in self._genes:
            own, of_units = usage[columns], expected[:, columns].toarray()
            of_gene = of_units.sum(1)
            total = of_gene.sum()
            if total == 0:
                continue
            covariance = np.diag(own) - np.outer(own, own)
            information = _information(responsibilities[:, columns], reads, own)
            gain = covariance @ _inverse(information + PRIOR * _spread(self._prior[columns], own))
            # Reads of the prior whose isoform is missing here would make a group too sure of it.
            likely = covariance @ _inverse(information + PRIOR * covariance)
            # What leaving out a unit changes, to first order.
            changes = (of_units - np.outer(of_gene, own)) @ gain.T
            changes /= np.maximum(1 - of_gene / total, _LEAST_LEFT)[:, None]
            totals[columns], sizes[columns] = total, total**2 / np.square(of_gene).sum()
            jackknife[columns] = np.square(changes).sum(0)
            counting[columns] = np.diag(likely @ covariance)
        return GroupUsage(usage, totals, jackknife, counting, sizes)

    def _of_units(self, chosen: np.ndarray) -> csr_matrix:
        """Sum reads of each class over the units of the chosen cells, shape (units, classes)."""
        units = np.unique(self._units[chosen], return_inverse=True)[1]
        ones = np.ones(len(units))
        return csr_matrix((ones, (units, np.arange(len(units))))) @ self._counts[chosen]

    def _rates(self, chosen: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Maximise the posterior of the rates of the chosen cells, shape (isoforms,), in reads."""
        reads = np.asarray(self._counts[chosen].sum(0)).ravel()
        weights = self._weights[reads > 0]
        transposed, reads = weights.T.tocsr(), reads[reads > 0]
        rates, usage = prior, prior
        for _ in range(_ROUNDS):
            share = reads / np.maximum(weights @ rates, _NOTHING)
            rates = rates * (transposed @ share) + PRIOR * prior
            before, usage = usage, self._shares(rates)
            if np.abs(usage - before).max() < _SETTLED:
                break
        return rates

    def _responsibilities(self, rates: np.ndarray) -> csc_matrix:
        """Probability of each isoform given a class, shape (classes, isoforms)."""
        joint = self._weights.multiply(rates).tocsr()
        whole = np.asarray(joint.sum(1)).ravel()
        joint.data /= np.repeat(np.maximum(whole, _NOTHING), np.diff(joint.indptr))
        return joint.tocsc()

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """Sum over the gene of each isoform; both of shape (isoforms,)."""
        return self._of_genes @ (self._of_genes.T @ values)

    def _shares(self, rates: np.ndarray) -> np.ndarray:
        return rates / np.maximum(self._sums(rates), _NOTHING)


def _inverse(information: np.ndarray) -> np.ndarray:
    return np.linalg.pinv(information, hermitian=True)  # shares sum to one


def _spread(shares: np.ndarray, usage: np.ndarray) -> np.ndarray:
    """Information of a read that tells its isoform; both shapes (isoforms,)."""
    apart = np.eye(len(usage)) - usage
    return (apart.T * shares) @ apart


def _information(responsibilities: csc_matrix, reads: np.ndarray, usage: np.ndarray) -> np.ndarray:
    """Information of the classes on the logarithms of a gene's usage.

    Parameters
    ----------
    responsibilities
        Probability of its isoforms given a class, shape (classes, isoforms).
    reads
        Reads of each class, shape (classes,).
    usage
        Usage of the isoforms, shape (isoforms,).
    """
    used = np.unique(responsibilities.indices)
    of_isoforms = responsibilities[used].toarray()
    of_gene = of_isoforms.sum(1)
    deviation = of_isoforms / np.maximum(of_gene, _NOTHING)[:, None] - usage
    return deviation.T @ (deviation * (reads[used] * of_gene)[:, None])


def read_usage_differences(
    cells: CellTable,
    groups: np.ndarray,
    reference: str | None,
    replicates: np.ndarray | None = None,
) -> pd.DataFrame:
    """Compare the usage of every isoform between groups of cells, by reads.

    The variance of a difference is the jackknife variance over cells or replicates, but at least
    the variance of counting as many reads of these classes.

    Parameters
    ----------
    cells
        Cells with reads by class and genes.
    groups, reference, replicates
        As for :func:`.usage_differences.usage_differences`.

    Returns
    -------
    pandas.DataFrame
        As by :func:`.usage_differences.usage_differences`.
    """
    units = cells.names if replicates is None else replicates
    genes, units = (np.unique(names, return_inverse=True)[1] for names in (cells.genes, units))
    estimator = ReadUsage(cells.read(("reads",)).reads, genes, units)
    parts = []
    for pair in comparisons(groups, reference):
        one, other = (estimator.of_group(chosen) for chosen in (pair.own, pair.other))
        both = np.maximum(one.totals + other.totals, _NOTHING)
        usage = (one.usage * one.totals + other.usage * other.totals) / both
        information = one.totals * other.totals / both
        variance, freedom = added((one.jackknife, other.jackknife), (one.sizes, other.sizes))
        least = counting_variance(usage, information)
        part = {
            "gene": cells.genes,
            "isoform": cells.isoforms,
            "group": pair.group,
            "reference": pair.reference,
            "usage": usage,
            "difference": one.usage - other.usage,
            "variance": variance,
            "degrees_of_freedom": freedom,
            "counting": np.maximum(one.counting + other.counting, least),
            "between": 0.0,
            "information": information,
        }
        parts.append(pd.DataFrame(part))
    return with_intervals(pd.concat(parts, ignore_index=True), moderated=replicates is not None)
