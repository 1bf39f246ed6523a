"""Probability that isoforms are used differently, from differences and their errors.

Some genes change and most do not. The share of genes that change, and the sizes of their changes,
are learned from all genes: see :mod:`~exvae.experiments.isoforms.effect_prior`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from .effect_prior import EffectPrior, Estimates, expected_false, normal_errors, tails

# Standard deviations of the normals of non-zero differences.
EFFECTS = 0.05 * 2.0 ** np.arange(0.0, 4.5, 0.5)


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
    estimates = Estimates.of(value, error, gene, EFFECTS)
    prior = EffectPrior.learned(estimates)
    changed = prior.changed_units(estimates)
    # For a non-zero difference: its normal, and whether it then exceeds the threshold.
    _, mean, variance = (part[:, 1:] for part in prior.posterior(estimates))
    beyond = (prior.shares(estimates) * tails(mean, variance, threshold)).sum(-1)
    of_genes = changed * np.bincount(gene, prior.behind(estimates) * beyond)
    table = pd.DataFrame({"gene": names, "gene_probability": of_genes.clip(0, 1)})
    table = table.sort_values(["gene_probability", "gene"], ascending=[False, True])
    table["expected_fdr"] = expected_false(table["gene_probability"])
    probability = changed[gene] * prior.inclusion(estimates) * beyond
    return UsageEvidence(probability, table.reset_index(drop=True), prior.changed)
