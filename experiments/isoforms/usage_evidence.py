"""Probability that isoforms are used differently, from differences and their errors.

Some genes change and most do not. The share of genes that change, and the sizes of their changes,
are learned from all genes (empirical Bayes, as in Stephens, Biostatistics 18, 2017). In a gene that
changes a difference is zero or a draw from a mixture of normals. A gene's differences depend on one
another, but for any dependence the mean of their Bayes factors is a Bayes factor of the gene
against no change. If most groups differ from most others the share of genes is overestimated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student

# Standard deviations of the normals of non-zero differences.
EFFECTS = 0.05 * 2.0 ** np.arange(0.0, 4.5, 0.5)
_ITERATIONS = 1000
_CONVERGED = 1e-6
_TINY = 1e-12


class UsageEvidence(NamedTuple):
    """Evidence for differences in usage.

    Attributes
    ----------
    probability
        Posterior probability that each difference exceeds the threshold, shape (tests,).
    genes
        A row for each gene: ``gene``, ``gene_probability`` that any of its differences exceeds the
        threshold, and ``expected_fdr``, the expected share of false discoveries among the genes
        down to this one.
    changed
        Share of genes that change.
    """

    probability: np.ndarray
    genes: pd.DataFrame
    changed: float


class Tests(NamedTuple):
    """Differences of all genes.

    Attributes
    ----------
    factors
        Bayes factor of each difference under each normal against zero, divided by the difference's
        largest factor, shape (tests, effects).
    log_largest
        Log of the largest factor, shape (tests,).
    gene
        Gene of each test, numbered from 0, shape (tests,).
    """

    factors: np.ndarray
    log_largest: np.ndarray
    gene: np.ndarray

    @classmethod
    def of(cls, log_factors: np.ndarray, gene: np.ndarray) -> Tests:
        """Make tests from log Bayes factors, (tests, effects), and genes, (tests,)."""
        largest = log_factors.max(-1)
        return cls(np.exp(log_factors - largest[:, None]), largest, gene)


class EffectPrior(NamedTuple):
    """Prior of differences, learned from all genes.

    Attributes
    ----------
    changed
        Probability that a gene changes.
    included
        Probability that a difference in a gene that changes is not zero.
    effects
        Weights of the normals of non-zero differences, shape (effects,).
    """

    changed: float
    included: float
    effects: np.ndarray

    @classmethod
    def learned(cls, tests: Tests) -> EffectPrior:
        """Maximise the likelihood of all genes by expectation maximisation."""
        prior = cls(0.5, 0.5, np.full(len(EFFECTS), 1 / len(EFFECTS)))
        for _ in range(_ITERATIONS):
            changed = prior.changed_genes(tests)
            possible = changed[tests.gene]
            inclusion = possible * prior.inclusion(tests)
            share = (possible * prior.behind(tests)) @ prior.shares(tests)
            new = cls(
                changed.mean(),
                inclusion.sum() / np.maximum(possible.sum(), _TINY),
                share / np.maximum(share.sum(), _TINY),
            )
            settled = abs(new.changed - prior.changed) + abs(new.included - prior.included)
            prior = new
            if settled < _CONVERGED:
                break
        return prior

    def changed_genes(self, tests: Tests) -> np.ndarray:
        """Posterior probability that each gene changes, shape (genes,)."""
        return expit(_logit(self.changed) + _log_mean_by_gene(self._evidence(tests), tests.gene))

    def inclusion(self, tests: Tests) -> np.ndarray:
        """Posterior probability that a difference is not zero if its gene changes, (tests,)."""
        return expit(_logit(self.included) + self._evidence(tests))

    def behind(self, tests: Tests) -> np.ndarray:
        """Share of each difference in the Bayes factor of its gene, shape (tests,)."""
        evidence = self._evidence(tests)
        mean = _log_mean_by_gene(evidence, tests.gene)[tests.gene]
        return np.exp(evidence - mean) / np.bincount(tests.gene)[tests.gene]

    def shares(self, tests: Tests) -> np.ndarray:
        """Probability of each normal if a difference is not zero, shape (tests, effects)."""
        weighted = tests.factors * self.effects
        return weighted / np.maximum(weighted.sum(-1, keepdims=True), _TINY)

    def _evidence(self, tests: Tests) -> np.ndarray:
        """Log Bayes factor of each difference against zero, shape (tests,)."""
        return np.log(np.maximum(tests.factors @ self.effects, _TINY)) + tests.log_largest


def weigh(differences: pd.DataFrame, threshold: float) -> UsageEvidence:
    """Weigh differences against their errors.

    Parameters
    ----------
    differences
        Table of :func:`~.usage_differences.usage_differences`.
    threshold
        Least absolute difference of usage that counts.
    """
    names, gene = np.unique(differences["gene"].to_numpy(), return_inverse=True)
    value = differences["difference"].to_numpy()
    error = normal_errors(
        value,
        differences["standard_error"].to_numpy(),
        differences["degrees_of_freedom"].to_numpy(),
    )
    tests = Tests.of(log_bayes_factors(value, error), gene)
    prior = EffectPrior.learned(tests)
    changed = prior.changed_genes(tests)
    # For a non-zero difference: its normal, and whether it then exceeds the threshold.
    beyond = (prior.shares(tests) * _beyond(value, error, threshold)).sum(-1)
    of_genes = changed * np.bincount(gene, prior.behind(tests) * beyond)
    table = pd.DataFrame({"gene": names, "gene_probability": of_genes.clip(0, 1)})
    table = table.sort_values(["gene_probability", "gene"], ascending=[False, True])
    ranks = np.arange(1, len(table) + 1)
    table["expected_fdr"] = (1 - table["gene_probability"]).cumsum() / ranks
    probability = changed[gene] * prior.inclusion(tests) * beyond
    return UsageEvidence(probability, table.reset_index(drop=True), prior.changed)


def normal_errors(value: np.ndarray, error: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Find standard errors for which a normal has the tail probability of Student's t, (tests,).

    ``value``, ``error`` and degrees of ``freedom`` have shape (tests,).
    """
    ratio = np.abs(value) / error
    score = norm.isf(student.sf(ratio, freedom))
    # Near zero the two agree; far out the tail probability underflows.
    usable = (ratio > 1e-3) & np.isfinite(score)
    return np.where(usable, np.abs(value) / np.where(usable, score, 1), error)


def log_bayes_factors(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Log Bayes factors of the normals against zero, (tests, effects), for values, (tests,)."""
    total = np.sqrt(error[:, None] ** 2 + EFFECTS**2)
    return norm.logpdf(value[:, None], 0, total) - norm.logpdf(value, 0, error)[:, None]


def _beyond(value: np.ndarray, error: np.ndarray, threshold: float) -> np.ndarray:
    """Probability under each normal that a difference exceeds the threshold, (tests, effects)."""
    shrinkage = EFFECTS**2 / (EFFECTS**2 + error[:, None] ** 2)
    centre, spread = shrinkage * value[:, None], np.sqrt(shrinkage) * error[:, None]
    return norm.cdf((-threshold - centre) / spread) + norm.sf((threshold - centre) / spread)


def _log_mean_by_gene(log_values: np.ndarray, gene: np.ndarray) -> np.ndarray:
    """Log of each gene's mean over its tests, shape (genes,), of log values, shape (tests,)."""
    largest = np.full(gene.max() + 1, -np.inf)
    np.maximum.at(largest, gene, log_values)
    total = np.bincount(gene, np.exp(log_values - largest[gene]))
    return largest + np.log(total / np.bincount(gene))


def _logit(probability: float) -> float:
    return logit(np.clip(probability, _TINY, 1 - _TINY))
