"""Tables that SymSim's authors estimated: kinetic parameters and lengths of transcripts.

They lie in ``tables.npz`` with their source and licence in ``tables.LICENSE``.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np

# Parameters of bursting expression, rates in units of the transcripts' degradation.
KINETIC_PARAMETERS = ("kon", "koff", "s")


@cache
def _table(name: str) -> np.ndarray:
    """Read one array of the tables."""
    with resources.files(__package__).joinpath("tables.npz").open("rb") as file:
        return np.load(file)[name]


@cache
def _cumulative_density(parameter: str) -> tuple[np.ndarray, np.ndarray]:
    """Find the log10 of a parameter and its distribution function at the edges of bins.

    SymSim draws a point of the density's grid and moves it within half a step, so that the density
    is constant within bins and the distribution function is linear.
    """
    row = KINETIC_PARAMETERS.index(parameter)
    density = _table("kinetic_density")[row].astype(np.float64)
    first, last = _table("kinetic_range")[row]
    step = (last - first) / (len(density) - 1)
    edges = first - step / 2 + step * np.arange(len(density) + 1)
    return edges, np.append(0.0, density.cumsum() / density.sum())


def draw_sorted_kinetics(parameter: str, size: int, generator: np.random.Generator) -> np.ndarray:
    """Draw the log10 of a kinetic parameter, in ascending order.

    The density was fitted to the imputed cortex cells of Zeisel et al.

    Parameters
    ----------
    parameter
        One of ``KINETIC_PARAMETERS``.
    size
        Number of draws.

    Returns
    -------
    numpy.ndarray
        Shape (size,), float64, of rates in units of the degradation rate.
    """
    edges, cumulative = _cumulative_density(parameter)
    # Uniform order statistics are the partial sums of exponentials; nothing has to be sorted.
    sums = generator.standard_exponential(size + 1).cumsum()
    return np.interp(sums[:-1] / sums[-1], cumulative, edges)


def draw_gene_lengths(num_genes: int, generator: np.random.Generator) -> np.ndarray:
    """Draw lengths of transcripts from the pool of 59371, without replacement.

    Returns
    -------
    numpy.ndarray
        Bases, 101 to 267372, shape (num_genes,), int32.

    Raises
    ------
    ValueError
        If the pool is too small.
    """
    pool = np.repeat(_table("gene_lengths"), _table("gene_length_counts"))
    if num_genes > len(pool):
        raise ValueError(
            f"num_genes is {num_genes}, but there are {len(pool)} lengths to draw without "
            "replacement; give gene_lengths"
        )
    return generator.choice(pool, num_genes, replace=False)
