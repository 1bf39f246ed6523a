"""A simulator of usage: how isoforms share the molecules of genes in each cell type."""

from __future__ import annotations

import numpy as np


def draw_usage(
    genes: np.ndarray,
    num_types: int,
    generator: np.random.Generator,
    *,
    concentration: float = 1.0,
    switching_share: float = 0.35,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw which share of the molecules of its gene each isoform has in each cell type.

    Parameters
    ----------
    genes
        Number of the gene of each isoform, from 0 without gaps, shape (isoforms,).
    num_types
        How many cell types there are.
    generator
        Source of the random numbers.
    concentration
        Of the Dirichlet distribution of the usage of a gene, for each isoform.
    switching_share
        Share of the genes of several isoforms whose usage is drawn anew for each cell type; the
        others are used alike in all.

    Returns
    -------
    usage
        Shape (types, isoforms); sums to one over the isoforms of a gene.
    switching
        Whether the gene of an isoform switches, shape (isoforms,), bool.
    """
    several = np.flatnonzero(np.bincount(genes) > 1)
    chosen = generator.choice(several, round(switching_share * len(several)), replace=False)
    switching = np.isin(genes, chosen)
    concentrations = np.full((num_types, len(genes)), concentration)
    usage = _draw_shares(concentrations, genes, generator)
    return np.where(switching, usage, usage[0]), switching


def vary_usage(
    usage: np.ndarray, genes: np.ndarray, noise: float, generator: np.random.Generator
) -> np.ndarray:
    """Draw usage around its mean, for each cell on its own.

    Parameters
    ----------
    usage
        Mean share of each isoform, shape (cells, isoforms).
    genes
        Number of the gene of each isoform, shape (isoforms,).
    noise
        Variance as a share of the largest that there can be, that of cells which use one isoform
        each; from 0, none, to less than 1.
    generator
        Source of the random numbers.

    Returns
    -------
    numpy.ndarray
        Shape (cells, isoforms); sums to one over the isoforms of a gene.
    """
    if noise == 0:
        return usage
    return _draw_shares(usage * (1 / noise - 1), genes, generator)


def _draw_shares(
    concentrations: np.ndarray, genes: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Draw from a Dirichlet distribution for each gene, shape (draws, isoforms)."""
    # Logarithms of gamma variates: small concentrations give some that are zero in float64. Gamma
    # of shape c is that of shape c + 1 times a power 1/c of a uniform variate.
    concentrations = np.maximum(concentrations, 1e-300)  # of an isoform never used
    logs = np.log(generator.standard_gamma(concentrations + 1))
    logs -= generator.standard_exponential(concentrations.shape) / concentrations
    largest = np.full((len(logs), genes.max() + 1), -np.inf)
    np.maximum.at(largest, (slice(None), genes), logs)
    values = np.exp(logs - largest[:, genes])
    return values / sums_of_genes(values, genes)[:, genes]


def sums_of_genes(values: np.ndarray, genes: np.ndarray) -> np.ndarray:
    """Sum over the isoforms of each gene, shape (rows, isoforms) to (rows, genes)."""
    sums = np.zeros((len(values), genes.max() + 1))
    np.add.at(sums, (slice(None), genes), values)
    return sums
