"""Parameters of each cell and gene that SymSim draws before it observes them.

Formulas of YosefLab/SymSim commit 76a674b (True2ObservedCounts).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .settings import LEAST_CAPTURE, LEAST_DEPTH, ObservationSettings


@dataclass(frozen=True, eq=False)
class LibraryPreparation:
    """Parameters of cells and genes in one experiment.

    Attributes
    ----------
    gene_lengths
        Lengths of the genes (bases), shape (genes,), int32.
    amplification_bias
        Addition to the efficiency of the first amplification, shape (genes,), float64.
    capture_efficiency
        Share of the molecules captured, shape (cells,), float64.
    depth
        Mean reads of each cell, shape (cells,), float64.
    """

    gene_lengths: np.ndarray
    amplification_bias: np.ndarray
    capture_efficiency: np.ndarray
    depth: np.ndarray


def draw_library(
    num_cells: int,
    gene_lengths: np.ndarray,
    settings: ObservationSettings,
    generator: np.random.Generator,
) -> LibraryPreparation:
    """Draw capture efficiency and depth of cells, and amplification bias of genes.

    ``gene_lengths`` (bases) has shape (genes,).
    """
    return LibraryPreparation(
        np.asarray(gene_lengths, np.int32),
        _draw_amplification_bias(gene_lengths, settings, generator),
        _draw_truncated_normal(
            settings.capture_mean, settings.capture_sd, LEAST_CAPTURE, 1.0, num_cells, generator
        ),
        _draw_truncated_normal(
            settings.depth_mean, settings.depth_sd, LEAST_DEPTH, np.inf, num_cells, generator
        ),
    )


def _draw_truncated_normal(
    mean: float,
    sd: float,
    low: float,
    high: float,
    size: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Draw from a normal distribution between bounds, or its mean if it does not vary."""
    if sd == 0:
        return np.full(size, mean)
    bounds = (low - mean) / sd, (high - mean) / sd
    return stats.truncnorm.rvs(*bounds, mean, sd, size, random_state=generator)


def _draw_amplification_bias(
    gene_lengths: np.ndarray, settings: ObservationSettings, generator: np.random.Generator
) -> np.ndarray:
    """Draw the bias of genes, shape (genes,), from bins of about equal size by length."""
    num_genes, num_bins = len(gene_lengths), settings.num_length_bins
    if num_genes < num_bins:
        raise ValueError(
            f"{num_genes} genes cannot be put into {num_bins} bins by length; lower num_length_bins"
        )
    ranks = np.empty(num_genes, np.int64)
    ranks[np.argsort(gene_lengths, kind="stable")] = np.arange(num_genes)
    bins = np.minimum(ranks // (num_genes // num_bins), num_bins - 1)
    middle = (num_bins - 1) / 2
    # Noise has the standard deviation at which it is cut.
    scale = settings.amplification_bias_limit - settings.length_bias_slope * middle
    noise = scale * generator.standard_normal(num_genes).clip(-1, 1)
    return settings.length_bias_slope * (middle - bins) + noise
