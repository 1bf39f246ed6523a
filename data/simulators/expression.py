"""Expression of genes in simulated cells, ready to be sequenced.

From SymSim, or simpler: levels of genes with log-normal changes between cell types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .symsim.batches import draw_batches
from .symsim.cells import simulate_true_counts
from .symsim.library import draw_library
from .symsim.observation import draw_copies
from .symsim.population_tree import parse_newick
from .symsim.settings import PHYLA5, ExpressionSettings, ObservationSettings

# Standard deviations of logarithms: of the level of a gene, of the change of a gene by a cell type,
# and of the reads of a cell.
_LEVEL_SD, _TYPE_SD, _DEPTH_SD = 1.5, 1.0, 0.3
# Shape of the gamma noise of a gene in a cell.
_NOISE_SHAPE = 2.0


class GeneExpression(NamedTuple):
    """Cells before they are sequenced.

    Attributes
    ----------
    molecules
        Sequenced molecules of each gene, names of genes sorted, shape (cells, genes), float64,
        scaled so that the sum of a cell is its expected reads.
    cell_types
        Cell type of each cell, shape (cells,), strings.
    obs
        Further columns about the cells, each of shape (cells,).
    provenance
        Description of the simulation.
    """

    molecules: np.ndarray
    cell_types: np.ndarray
    obs: Mapping[str, np.ndarray]
    provenance: Mapping[str, object]


def draw_symsim_expression(
    num_cells: int,
    gene_lengths: np.ndarray,
    depth: float,
    generator: np.random.Generator,
    *,
    tree: str = PHYLA5,
    capture: float = 0.1,
) -> GeneExpression:
    """Draw expression as SymSim simulates it, cells in random order.

    Capture and amplification of the molecules of each gene follow SymSim. Its models of fragments
    and depth are not used, as fragments of isoforms are simulated in detail. Populations have one
    size and are the cell types; ``obs`` holds the ``capture_efficiency`` of cells and their
    ``molecules`` before capture.

    Parameters
    ----------
    num_cells
        At least one for each population.
    gene_lengths
        Bases, shape (genes,); short ones amplify better.
    depth
        Expected reads of a cell, mean over cells.
    generator
        Source of the random numbers.
    tree
        Tree of the populations, in Newick notation with branch lengths.
    capture
        Share of a cell's molecules that are captured, mean over cells. The standard deviation is
        half of it, as in SymSim's tutorial, or half of 1 - capture if that is less.

    Raises
    ------
    DataError
        If nothing of a cell is captured.
    ValueError
        If there are fewer cells than populations, or the tree cannot be read.
    """
    settings = _equal_populations(tree)
    expression = simulate_true_counts(num_cells, len(gene_lengths), settings, generator)
    observation = ObservationSettings(
        capture_mean=capture,
        capture_sd=min(capture, 1 - capture) / 2,
        num_length_bins=min(ObservationSettings.num_length_bins, len(gene_lengths)),
    )
    library = draw_library(num_cells, gene_lengths, observation, generator)
    copies = draw_copies(expression.counts, library, observation, generator)
    order = generator.permutation(num_cells)
    copies, molecules = copies[order], expression.counts[order].sum(1)
    totals = copies.sum(1, keepdims=True)
    empty = np.flatnonzero(totals == 0)
    if empty.size:
        raise DataError(
            f"cell_{empty[0]}: none of its {molecules[empty[0]]} molecules is captured; raise "
            "capture, or simulate more genes"
        )
    return GeneExpression(
        copies / totals * _draw_depths(num_cells, depth, generator),
        np.array(expression.population_names)[expression.populations[order]],
        {
            "capture_efficiency": library.capture_efficiency[order],
            "molecules": molecules,
        },
        {"expression": "symsim", "tree": tree, "capture": capture, "depth": depth},
    )


def _equal_populations(tree: str) -> ExpressionSettings:
    """Give the settings of SymSim's tutorial, with populations of one size."""
    num_populations = len(parse_newick(tree).populations)
    return ExpressionSettings(
        tree=tree, smallest_population=0, smallest_population_share=1 / num_populations
    )


def draw_simple_expression(
    num_cells: int,
    num_types: int,
    num_genes: int,
    depth: float,
    generator: np.random.Generator,
    *,
    changed_share: float = 0.3,
) -> GeneExpression:
    """Draw log-normal levels of genes, some of them changed by each cell type.

    The factor of a change is log-normal too, and each cell multiplies each gene by gamma noise.
    All molecules are sequenced. Types take turns, and are named ``type_0``, ``type_1`` ...

    Parameters
    ----------
    num_cells, num_types, num_genes
        Number of each.
    depth
        Expected reads of a cell, mean over cells.
    generator
        Source of the random numbers.
    changed_share
        Probability that a cell type changes a gene.
    """
    types = np.arange(num_cells) % num_types
    changes = _TYPE_SD * generator.standard_normal((num_types, num_genes))
    changes *= generator.random((num_types, num_genes)) < changed_share
    levels = np.exp(_LEVEL_SD * generator.standard_normal(num_genes) + changes)[types]
    shares = levels * generator.gamma(_NOISE_SHAPE, size=levels.shape)
    shares /= shares.sum(1, keepdims=True)
    return GeneExpression(
        shares * _draw_depths(num_cells, depth, generator),
        np.array([f"type_{number}" for number in types]),
        {},
        {"expression": "simple", "changed_share": changed_share, "depth": depth},
    )


def _draw_depths(num_cells: int, depth: float, generator: np.random.Generator) -> np.ndarray:
    """Draw the expected reads of cells, shape (cells, 1)."""
    normal = generator.standard_normal((num_cells, 1))
    return depth * np.exp(_DEPTH_SD * normal - _DEPTH_SD**2 / 2)


def add_batches(
    expression: GeneExpression,
    num_batches: int,
    generator: np.random.Generator,
    *,
    effect_size: float = 1.0,
    depth_ratio: float = 1.0,
) -> GeneExpression:
    """Sequence cells in batches that scale genes, see ``obs["batch"]``.

    Effects are SymSim's (:func:`~exvae.data.simulators.symsim.batches.draw_batches`), on
    molecules. The expected reads of cells change only by the depth of their batch.

    Parameters
    ----------
    num_batches
        Number of batches; one changes nothing.
    effect_size
        Log2 of the largest factor, before factors of a gene are given a geometric mean of 1.
    depth_ratio
        Depth of the last batch over the depth of the first, which keeps its own; those between
        are spaced evenly on the scale of logarithms.
    """
    molecules = expression.molecules
    batches, log2_factors = draw_batches(*molecules.shape, num_batches, effect_size, generator)
    scaled = molecules * np.exp2(log2_factors)[batches]
    depths = depth_ratio ** (np.arange(num_batches) / max(num_batches - 1, 1))
    scaled *= depths[batches, None] * molecules.sum(1, keepdims=True) / scaled.sum(1, keepdims=True)
    names = np.array([f"batch_{number}" for number in batches])
    return expression._replace(
        molecules=scaled,
        obs={**expression.obs, "batch": names},
        provenance={
            **expression.provenance,
            "batches": num_batches,
            "batch_effect_size": effect_size,
            "batch_depth_ratio": depth_ratio,
        },
    )
