"""How probable it is that isoforms are used differently, from differences and their errors.

Some genes change and most do not; how many, and by how much those that do, is learned from all
genes (empirical Bayes, as in Stephens, Biostatistics 18, 2017). In a gene that changes a difference
is zero or a draw from a mixture of normals. A gene's differences depend on one another; but the
mean of their Bayes factors is one of the gene, against that nothing changes, whatever that
dependence is. Where most groups differ from most others the genes that change are overestimated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student

# Standard deviations of differences that are not zero.
EFFECTS = 0.05 * 2.0 ** np.arange(0.0, 4.5, 0.5)
_ITERATIONS = 1000
_CONVERGED = 1e-6
_TINY = 1e-12


class UsageEvidence(NamedTuple):
    """What differences in usage say.

    Attributes
    ----------
    probability
        Posterior probability of each difference that it is beyond the threshold, shape (tests,).
    genes
        A row for each gene: ``gene``, ``gene_probability`` that any of its differences is, and
        ``expected_fdr``, the share of false discoveries to expect among the genes down to this one.
    changed
        Share of genes that change at all.
    """

    probability: np.ndarray
    genes: pd.DataFrame
    changed: float


class Tests(NamedTuple):
    """Differences of all genes.

    Attributes
    ----------
    factors
        Bayes factor of each difference under each normal against zero, divided by the largest of
        the difference, shape (tests, effects).
    log_largest
        Log of that, shape (tests,).
    gene
        Of each test, from 0 on, shape (tests,).
    """

    factors: np.ndarray
    log_largest: np.ndarray
    gene: np.ndarray

    @classmethod
    def of(cls, log_factors: np.ndarray, gene: np.ndarray) -> Tests:
        """Take logs of Bayes factors, shape (tests, effects)."""
        largest = log_factors.max(-1)
        return cls(np.exp(log_factors - largest[:, None]), largest, gene)


class EffectPrior(NamedTuple):
    """What is learned from all genes.

    Attributes
    ----------
    changed
        Probability that a gene changes.
    included
        Probability that a difference in a gene that changes is not zero.
    effects
        Weights of the normals that it is drawn from then, shape (effects,).
    """

    changed: float
    included: float
    effects: np.ndarray

    @classmethod
    def learned(cls, tests: Tests) -> EffectPrior:
        """Maximise the likelihood of all genes by expectation and maximisation."""
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
        """Posterior probability of each gene that it changes, shape (genes,)."""
        return expit(_logit(self.changed) + _log_mean_by_gene(self._evidence(tests), tests.gene))

    def inclusion(self, tests: Tests) -> np.ndarray:
        """Posterior probability of each difference not to be zero if its gene changes."""
        return expit(_logit(self.included) + self._evidence(tests))

    def behind(self, tests: Tests) -> np.ndarray:
        """Probability of each difference to be the one that tells if its gene changes."""
        evidence = self._evidence(tests)
        mean = _log_mean_by_gene(evidence, tests.gene)[tests.gene]
        return np.exp(evidence - mean) / np.bincount(tests.gene)[tests.gene]

    def shares(self, tests: Tests) -> np.ndarray:
        """Probability of each normal if the difference is not zero, shape (tests, effects)."""
        weighted = tests.factors * self.effects
        return weighted / np.maximum(weighted.sum(-1, keepdims=True), _TINY)

    def _evidence(self, tests: Tests) -> np.ndarray:
        """Log Bayes factor of each difference not to be zero."""
        return np.log(np.maximum(tests.factors @ self.effects, _TINY)) + tests.log_largest


def weigh(differences: pd.DataFrame, threshold: float) -> UsageEvidence:
    """Weigh differences against their errors.

    Parameters
    ----------
    differences
        Of :func:`~.usage_differences.usage_differences`.
    threshold
        A difference counts beyond this, in either direction.
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
    # Given that a difference is not zero, which normal it comes from, and where it lies then.
    beyond = (prior.shares(tests) * _beyond(value, error, threshold)).sum(-1)
    of_genes = changed * np.bincount(gene, prior.behind(tests) * beyond)
    table = pd.DataFrame({"gene": names, "gene_probability": of_genes.clip(0, 1)})
    table = table.sort_values(["gene_probability", "gene"], ascending=[False, True])
    ranks = np.arange(1, len(table) + 1)
    table["expected_fdr"] = (1 - table["gene_probability"]).cumsum() / ranks
    probability = changed[gene] * prior.inclusion(tests) * beyond
    return UsageEvidence(probability, table.reset_index(drop=True), prior.changed)


def normal_errors(value: np.ndarray, error: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Give standard errors with which a normal has the tail that Student's t has."""
    ratio = np.abs(value) / error
    score = norm.isf(student.sf(ratio, freedom))
    # Next to zero the two are alike; far out the tail probability underflows.
    usable = (ratio > 1e-3) & np.isfinite(score)
    return np.where(usable, np.abs(value) / np.where(usable, score, 1), error)


def log_bayes_factors(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Log of how much likelier each normal of effects makes a value than zero, (tests, effects)."""
    total = np.sqrt(error[:, None] ** 2 + EFFECTS**2)
    return norm.logpdf(value[:, None], 0, total) - norm.logpdf(value, 0, error)[:, None]


def _beyond(value: np.ndarray, error: np.ndarray, threshold: float) -> np.ndarray:
    """Probability under each normal of effects that one is beyond the threshold."""
    shrinkage = EFFECTS**2 / (EFFECTS**2 + error[:, None] ** 2)
    centre, spread = shrinkage * value[:, None], np.sqrt(shrinkage) * error[:, None]
    return norm.cdf((-threshold - centre) / spread) + norm.sf((threshold - centre) / spread)


def _log_mean_by_gene(log_values: np.ndarray, gene: np.ndarray) -> np.ndarray:
    """Log of the mean over the tests of each gene, shape (genes,)."""
    largest = np.full(gene.max() + 1, -np.inf)
    np.maximum.at(largest, gene, log_values)
    total = np.bincount(gene, np.exp(log_values - largest[gene]))
    return largest + np.log(total / np.bincount(gene))


def _logit(probability: float) -> float:
    return logit(np.clip(probability, _TINY, 1 - _TINY))
