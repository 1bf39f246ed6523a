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
    """Draw the usage of isoforms: their shares of the molecules of a gene, by cell type.

    Parameters
    ----------
    genes
        Number of the gene of each isoform, from 0 without gaps, shape (isoforms,).
    num_types
        Number of cell types.
    generator
        Source of the random numbers.
    concentration
        Concentration of the Dirichlet distribution of a gene's usage, for each isoform.
    switching_share
        Share of the genes of several isoforms whose usage is drawn anew for each cell type; the
        others are used alike in all.

    Returns
    -------
    usage
        Shares, shape (types, isoforms); they sum to one over the isoforms of a gene.
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
        Variance as a share of the largest possible, where each cell uses one isoform only; from 0,
        none, to less than 1.
    generator
        Source of the random numbers.

    Returns
    -------
    numpy.ndarray
        Shares, shape (cells, isoforms); they sum to one over the isoforms of a gene.
    """
    if noise == 0:
        return usage
    return _draw_shares(usage * (1 / noise - 1), genes, generator)


def _draw_shares(
    concentrations: np.ndarray, genes: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Draw from a Dirichlet distribution for each gene, shape (draws, isoforms)."""
    # Logarithms, as gamma variates of a small shape underflow in float64. A gamma variate of shape
    # c is one of shape c + 1 times a uniform variate to the power 1/c.
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
