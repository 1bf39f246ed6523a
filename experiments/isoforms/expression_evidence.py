"""Probability that expression differs, from log fold changes and their errors.

The change of a gene and the changes of its isoforms' shares have each a prior that is learned from
all of them (:mod:`~exvae.experiments.isoforms.effect_prior`). An isoform of few reads thus has the
change of its gene unless its share shows otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from .effect_prior import EffectPrior, Estimates, Mixture, normal_errors, tails

# Standard deviations of the normals of log2 fold changes that are not zero.
EFFECTS = 0.1 * 2.0 ** np.arange(0.0, 5.5, 0.5)
# Between cell types most genes change, and few by little. Their changes may therefore also have
# normals on either side of zero, whose standard deviations are so many times their means.
_CENTRES = np.array([0.2, 0.35, 0.6, 1.0, 1.7, 2.8])
_RELATIVE_DEVIATION = 0.35
# Genes without a change that are added to those of the cells, as in adaptive shrinkage.
_NULL_GENES = 10.0
# Least standard error: rounding alone may differ where a share is one.
_LEAST_ERROR = 1e-3


class ExpressionEvidence(NamedTuple):
    """Evidence for differences in expression, each of shape (tests,).

    Attributes
    ----------
    probability
        Posterior probability that the absolute log2 fold change exceeds the threshold.
    mean
        Posterior mean of the log2 fold change.
    """

    probability: np.ndarray
    mean: np.ndarray


def weigh_expression(differences: pd.DataFrame, threshold: float) -> ExpressionEvidence:
    """Weigh log fold changes against their errors.

    Parameters
    ----------
    differences
        Table of :func:`~.expression_differences.expression_differences`.
    threshold
        Least absolute log2 fold change that counts.
    """
    of_gene = differences.groupby(["group", "gene"], sort=False).ngroup().to_numpy()
    first = np.unique(of_gene, return_index=True)[1]
    genes = _genes(differences.iloc[first]).take(of_gene)
    shares = Mixture.zeros(len(differences), len(EFFECTS))
    several = np.flatnonzero(differences["share_error"] > 0)
    if several.size:
        rows = differences.iloc[several]
        for part, values in zip(shares, _shares(rows), strict=True):
            part[several] = values
    probability, mean = np.zeros(len(differences)), np.zeros(len(differences))
    # The sum of two mixtures has a component for each pair of theirs.
    for weights, means, variances in zip(*(part.T[..., None] for part in genes), strict=True):
        together = weights * shares.weights
        centre = means + shares.mean
        beyond = tails(centre, variances + shares.variance, threshold)
        probability += (together * beyond).sum(-1)
        mean += (together * centre).sum(-1)
    return ExpressionEvidence(probability.clip(0, 1), mean)


def _genes(rows: pd.DataFrame) -> Mixture:
    """Posteriors of the changes of genes, a row for each gene and group."""
    sides = np.concatenate([-_CENTRES, _CENTRES])
    estimates = Estimates.of(
        *_values(rows, "gene"),
        np.arange(len(rows)),
        np.concatenate([EFFECTS, _RELATIVE_DEVIATION * np.abs(sides)]),
        np.concatenate([np.zeros_like(EFFECTS), sides]),
    )
    return EffectPrior.learned(estimates, _NULL_GENES).posterior(estimates)


def _shares(rows: pd.DataFrame) -> Mixture:
    """Posteriors of the changes of isoforms' shares; the isoforms of a gene are a unit."""
    unit = np.unique(rows["gene"].to_numpy(), return_inverse=True)[1]
    estimates = Estimates.of(*_values(rows, "share"), unit, EFFECTS)
    return EffectPrior.learned(estimates).posterior(estimates)


def _values(rows: pd.DataFrame, part: str) -> tuple[np.ndarray, np.ndarray]:
    """One part of the fold changes, and errors for which it is normal, shapes (tests,)."""
    value = rows[f"{part}_change"].to_numpy()
    error = np.maximum(rows[f"{part}_error"].to_numpy(), _LEAST_ERROR)
    return value, normal_errors(value, error, rows[f"{part}_freedom"].to_numpy())
