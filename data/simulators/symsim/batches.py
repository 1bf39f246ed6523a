"""Batch effects as in SymSim (YosefLab/SymSim commit 76a674b, DivideBatches)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...row_blocks import blocks
from .settings import DRAWN_AT_ONCE


class Batches(NamedTuple):
    """Batches of cells, and their effects on genes.

    Attributes
    ----------
    batches
        Batch of each cell, from 0, shape (cells,), int32.
    log2_factors
        Effects, shape (batches, genes), float64; they sum to 0 over batches.
    """

    batches: np.ndarray
    log2_factors: np.ndarray


class BatchEffects(NamedTuple):
    """Cells in batches.

    Attributes
    ----------
    counts
        Counts with the effects, shape (cells, genes), int32.
    batches, log2_factors
        See :class:`Batches`.
    """

    counts: np.ndarray
    batches: np.ndarray
    log2_factors: np.ndarray


def draw_batches(
    num_cells: int,
    num_genes: int,
    num_batches: int,
    effect_size: float,
    generator: np.random.Generator,
) -> Batches:
    """Assign cells to batches at random, and draw the effect of each batch on each gene.

    The log2 of the factor is uniform within ``effect_size`` of a centre of the gene. SymSim draws
    the centre from a standard normal distribution, which rescales every gene in all batches alike,
    even if there is only one. That is no batch effect and is left out: the factors of a gene have
    a geometric mean of 1 over batches, differences between batches are distributed as in SymSim,
    and one batch changes nothing.
    """
    batches = generator.integers(num_batches, size=num_cells, dtype=np.int32)
    factors = generator.uniform(-effect_size, effect_size, (num_batches, num_genes))
    return Batches(batches, factors - factors.mean(0))


def add_batch_effects(
    counts: np.ndarray, num_batches: int, effect_size: float, generator: np.random.Generator
) -> BatchEffects:
    """Scale counts by the effects of batches, see :func:`draw_batches`.

    The log2 of the factor has noise of standard deviation 0.01 for each cell; the product is
    rounded, and zeros stay zero.

    Parameters
    ----------
    counts
        Reads or molecules, shape (cells, genes).
    """
    batches, factors = draw_batches(*counts.shape, num_batches, effect_size, generator)
    if num_batches == 1:
        return BatchEffects(counts, batches, factors)
    scaled = np.empty(counts.shape, np.int32)
    for rows in blocks(*counts.shape, DRAWN_AT_ONCE):
        noise = 0.01 * generator.standard_normal(counts[rows].shape)
        scaled[rows] = np.rint(counts[rows] * np.exp2(factors[batches[rows]] + noise))
    return BatchEffects(scaled, batches, factors)
