"""Kinetic parameters of every gene in every cell, as in SymSim.

Extrinsic variability factors (EVFs) of cells times their effects on genes give scores, and scores
the ranks by which kinetic parameters are handed out. After Zhang, Xu & Yosef (2019), and
YosefLab/SymSim commit 76a674b (DiscreteEVF, GeneEffects, Get_params).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .population_tree import PopulationTree
from .settings import ExpressionSettings, require
from .tables import KINETIC_PARAMETERS, draw_sorted_kinetics


class PerParameter(NamedTuple):
    """An array for each kinetic parameter of bursting transcription.

    Attributes
    ----------
    kon, koff
        Rates of switching on and off, in units of the degradation rate.
    s
        Molecules transcribed while on, during the mean life of a molecule.
    """

    kon: np.ndarray
    koff: np.ndarray
    s: np.ndarray


def draw_populations(
    num_cells: int,
    tree: PopulationTree,
    settings: ExpressionSettings,
    generator: np.random.Generator,
) -> np.ndarray:
    """Draw the populations of cells, ascending, shape (cells,), int32.

    The rarest has its share rounded down; cells that cannot be divided among the others go to some
    of them at random.
    """
    num_populations = len(tree.populations)
    require(
        num_cells >= num_populations,
        f"num_cells is {num_cells}, but there are {num_populations} populations",
    )
    sizes = np.full(num_populations, num_cells)
    others = np.delete(np.arange(num_populations), settings.smallest_population)
    if len(others):
        # A share such as 50/300 need not give a whole number exactly.
        smallest = int(settings.smallest_population_share * num_cells + 1e-6)
        sizes[settings.smallest_population] = smallest
        sizes[others], left_over = divmod(num_cells - smallest, len(others))
        sizes[generator.choice(others, left_over, replace=False)] += 1
    return np.repeat(np.arange(num_populations, dtype=np.int32), sizes)


def draw_evfs(
    populations: np.ndarray,
    tree: PopulationTree,
    settings: ExpressionSettings,
    generator: np.random.Generator,
) -> PerParameter:
    """Draw extrinsic variability factors, shape (cells, EVFs) for each kinetic parameter."""
    center = np.full(len(tree.populations), settings.evf_center)
    evfs = {}
    for parameter in KINETIC_PARAMETERS:
        means = np.full((len(populations), settings.num_evfs), settings.evf_center)
        if parameter in settings.differential_parameters:
            first = settings.num_evfs - settings.num_differential_evfs
            # Trees may have branches of length 0, so that the matrix is singular.
            of_populations = generator.multivariate_normal(
                center, tree.correlation, settings.num_differential_evfs, method="eigh"
            )
            means[:, first:] = of_populations.T[populations]
        evfs[parameter] = generator.normal(means, settings.evf_sd)
    return PerParameter(**evfs)


def draw_gene_effects(
    num_genes: int, settings: ExpressionSettings, generator: np.random.Generator
) -> PerParameter:
    """Draw effects of EVFs on genes, shape (genes, EVFs) for each kinetic parameter."""
    shape = num_genes, settings.num_evfs
    return PerParameter(
        *(
            generator.normal(settings.effect_mean, settings.effect_sd, shape)
            * (generator.random(shape) < settings.effect_probability)
            for _ in KINETIC_PARAMETERS
        )
    )


def match_kinetics(
    evfs: PerParameter,
    gene_effects: PerParameter,
    settings: ExpressionSettings,
    generator: np.random.Generator,
) -> PerParameter:
    """Give each gene in each cell the kinetic parameters of its rank.

    Effects times EVFs are a score; all scores of a parameter, over cells and genes together, are
    replaced by sorted draws from the parameter's density, each parameter on its own.

    Returns
    -------
    PerParameter
        Shapes (cells, genes), float32, without the factors of high expression.
    """
    matched = []
    for parameter, factors, effects in zip(KINETIC_PARAMETERS, evfs, gene_effects, strict=True):
        scores = factors @ effects.T
        drawn = draw_sorted_kinetics(parameter, scores.size, generator)
        logarithms = match_ranks(scores, drawn)
        if parameter == "s":
            logarithms += np.log10(settings.transcription_scale)
        else:
            logarithms[:, : logarithms.shape[1] // 2] -= settings.bimodality
        matched.append(np.power(10, logarithms, dtype=np.float32))
    return PerParameter(*matched)


def match_ranks(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Replace each score by the value of its rank.

    Scores that are equal in single precision, such as the scores of a gene without effects, get the
    value of their average rank, rounded down.

    Parameters
    ----------
    scores
        Shape (cells, genes).
    values
        Ascending, shape (cells * genes,).

    Returns
    -------
    numpy.ndarray
        Shape (cells, genes), float32.
    """
    keys = _sorted_keys(scores)
    numbers = (keys >> 32).astype(np.int32)
    keys &= 0xFFFFFFFF
    like_next = np.append(numbers[1:] == numbers[:-1], False)
    like_previous = np.append(False, like_next[:-1])
    firsts = np.flatnonzero(like_next & ~like_previous)
    lasts = np.flatnonzero(like_previous & ~like_next)
    values = values.astype(np.float32)
    values[like_next | like_previous] = np.repeat(values[(firsts + lasts) // 2], lasts - firsts + 1)
    matched = np.empty(scores.size, np.float32)
    matched[keys] = values
    return matched.reshape(scores.shape)


def _sorted_keys(scores: np.ndarray) -> np.ndarray:
    """Sort scores with their positions, as upper and lower halves of whole numbers.

    Sorting numbers takes a third of the time of sorting positions by scores.

    Returns
    -------
    numpy.ndarray
        Ascending, shape (cells * genes,), int64; scores that are equal in single precision have
        equal upper halves.
    """
    # Adding 0 turns -0 into 0.
    keys = (scores.ravel() + 0.0).astype(np.float32).view(np.int32).astype(np.int64)
    # Positive floats are ordered as their bits are, negative ones in reverse.
    negative = keys < 0
    keys[negative] = np.iinfo(np.int32).min - keys[negative]
    keys <<= 32
    keys += np.arange(scores.size)
    keys.sort()
    return keys
