"""Cells of several populations, expressed and observed as in SymSim.

After Zhang, Xu & Yosef, "Simulating multiple faceted variability in single cell RNA sequencing",
Nature Communications 10, 2611 (2019), and YosefLab/SymSim commit 76a674b (SimulateTrueCounts with
``evf_type = "discrete"``, True2ObservedCounts, DivideBatches), whose names are given where ours
differ. Gene modules and continuous trajectories are left out.

Kept, though the paper does not say so: population means of EVFs have the tree's correlation but a
variance of 1 whatever its height; genes of high expression are always on, without bursts; the
efficiency of the first amplification is halved on average after its first cycle; transcripts of 101
bases are never seen in full-length protocols.

Put right, where SymSim

* rescales every gene by a common random factor when it makes batches, even a single one
  (:func:`~exvae.data.simulators.symsim.batches.draw_batches`);
* fails with a single gene of high expression, that is with up to 66 genes;
* needs an even number of genes if some are bimodal: here the first half, rounded down;
* returns a malformed matrix of UMIs if a cell captures nothing: here it has zeros;
* runs cycles backwards if asked for one cycle of the first amplification, or two of the second;
* does not return the genes of high expression, nor the bias of amplification.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...row_blocks import blocks
from .kinetics import (
    PerParameter,
    draw_evfs,
    draw_gene_effects,
    draw_populations,
    match_kinetics,
)
from .observation import Observation, observe
from .population_tree import parse_newick
from .settings import DRAWN_AT_ONCE, ExpressionSettings, ObservationSettings, require
from .tables import draw_gene_lengths


@dataclass(frozen=True, eq=False)
class TrueExpression:
    """Molecules in cells, and the parameters that they were drawn with.

    Attributes
    ----------
    counts
        Molecules, shape (cells, genes), int32.
    rates
        Poisson mean of each count (molecules), the transcription rate times the share of time that
        the gene was on in this cell, shape (cells, genes), float32.
    kinetics
        Arrays of shape (cells, genes), float32; ``s`` includes the factors of high expression.
    evfs
        Extrinsic variability factors, shape (cells, EVFs), float64; factors that differ between
        populations come last.
    gene_effects
        Effects of EVFs on genes, shape (genes, EVFs), float64.
    populations
        Population of each cell, ascending positions in ``population_names``, shape (cells,),
        int32.
    population_names
        Tips of the tree.
    high_expression_genes
        Positions of genes that are always on, shape (such genes,), int64.
    high_expression_log2_factors
        Log2 factors of their transcription, shape (such genes,), float64.
    """

    counts: np.ndarray
    rates: np.ndarray
    kinetics: PerParameter
    evfs: PerParameter
    gene_effects: PerParameter
    populations: np.ndarray
    population_names: tuple[str, ...]
    high_expression_genes: np.ndarray
    high_expression_log2_factors: np.ndarray

    @property
    def mean_counts(self) -> np.ndarray:
        """Mean count over bursts (molecules), shape (cells, genes), float32."""
        kon, koff, s = self.kinetics
        means = s * kon / (kon + koff)
        means[:, self.high_expression_genes] = s[:, self.high_expression_genes]
        return means


@dataclass(frozen=True, eq=False)
class SimulatedCells:
    """Cells and their observation.

    Attributes
    ----------
    expression
        The truth.
    observation
        Counts, and the parameters of the experiment.
    """

    expression: TrueExpression
    observation: Observation


def simulate_cells(
    num_cells: int,
    num_genes: int,
    *,
    expression: ExpressionSettings = ExpressionSettings(),  # noqa: B008 - it is frozen
    observation: ObservationSettings = ObservationSettings(),  # noqa: B008
    gene_lengths: np.ndarray | None = None,
    seed: int = 0,
) -> SimulatedCells:
    """Simulate cells and their observation.

    Parameters
    ----------
    num_cells, num_genes
        At least one cell for each population and one gene for each bin of lengths.
    expression, observation
        Settings of both.
    gene_lengths
        Lengths of the genes (bases), shape (genes,); drawn from SymSim's pool without
        replacement if None.
    seed
        Seed of all draws. Expression does not depend on the settings of the observation.

    Raises
    ------
    ValueError
        If there are too few cells or genes for the settings.
    """
    for_expression, for_lengths, for_observation = np.random.default_rng(seed).spawn(3)
    truth = simulate_true_counts(num_cells, num_genes, expression, for_expression)
    if gene_lengths is None:
        gene_lengths = draw_gene_lengths(num_genes, for_lengths)
    observed = observe(truth.counts, gene_lengths, observation, for_observation)
    return SimulatedCells(truth, observed)


def simulate_true_counts(
    num_cells: int, num_genes: int, settings: ExpressionSettings, generator: np.random.Generator
) -> TrueExpression:
    """Simulate the molecules of cells.

    Raises
    ------
    ValueError
        If there are fewer cells than populations, or no gene.
    """
    require(num_genes >= 1, "num_genes must be at least 1")
    tree = parse_newick(settings.tree)
    populations = draw_populations(num_cells, tree, settings, generator)
    evfs = draw_evfs(populations, tree, settings, generator)
    effects = draw_gene_effects(num_genes, settings, generator)
    kinetics = match_kinetics(evfs, effects, settings, generator)
    chosen, log2_factors = choose_high_expression(kinetics.s, settings, generator)
    kinetics.s[:, chosen] *= np.exp2(log2_factors)
    rates, counts = draw_counts(kinetics, chosen, generator)
    return TrueExpression(
        counts,
        rates,
        kinetics,
        evfs,
        effects,
        populations,
        tree.populations,
        chosen,
        log2_factors,
    )


def choose_high_expression(
    transcription: np.ndarray, settings: ExpressionSettings, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Choose genes of high expression and the log2 factors of their transcription.

    Factors are evenly spaced, in the order of the genes' transcription, which has shape (cells,
    genes).

    Returns
    -------
    genes, log2_factors
        Shapes (genes chosen,).
    """
    num_genes = transcription.shape[1]
    # A product such as 0.015 * 200 need not be whole exactly.
    num_chosen = int(np.ceil(settings.high_expression_share * num_genes - 1e-9))
    chosen = generator.choice(num_genes, num_chosen, replace=False)
    ranks = 1 + transcription[:, chosen].sum(0).argsort().argsort()
    return chosen, settings.high_expression_log2_factor - 1 + ranks / max(num_chosen, 1)


def draw_counts(
    kinetics: PerParameter, always_on: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw molecules from the Beta-Poisson distribution; genes always on from a Poisson.

    Parameters
    ----------
    kinetics
        Shapes (cells, genes).
    always_on
        Positions of genes.

    Returns
    -------
    rates, counts
        The Poisson's means, float32, and the molecules, int32; shapes (cells, genes).
    """
    rates = np.empty(kinetics.s.shape, np.float32)
    counts = np.empty(kinetics.s.shape, np.int32)
    for rows in blocks(*counts.shape, DRAWN_AT_ONCE):
        on = generator.beta(kinetics.kon[rows], kinetics.koff[rows])
        on[:, always_on] = 1.0
        rates[rows] = on * kinetics.s[rows]
        counts[rows] = generator.poisson(rates[rows])
    return rates, counts
