"""Polymerase chain reaction as in SymSim: the final copies of each captured molecule."""

from __future__ import annotations

from functools import cached_property

import numpy as np

# Entries with up to so many molecules are sums of single molecules, those with more a Gamma.
_MOST_SINGLE = 10
# Number of efficiencies at which single molecules are amplified once and for all, and number of
# these molecules.
_GRID_SIZE, _GRID_MOLECULES = 21, 10_000
# Reads per molecule, on a logarithmic grid, at which the share of molecules seen is tabulated.
_READS = np.geomspace(1e-6, 1e4, 201)


def amplify_molecules(
    efficiency: float, num_cycles: int, size: int, generator: np.random.Generator
) -> np.ndarray:
    """Amplify molecules one by one.

    The first cycle copies a molecule with probability ``efficiency``. In each later one it copies a
    share of its copies that is uniform between 0 and ``efficiency``, rounded at random.

    Returns
    -------
    numpy.ndarray
        Copies of each molecule, shape (size,), float64.
    """
    copies = 1.0 + (generator.random(size) < efficiency)
    for _ in range(num_cycles - 1):
        uncopied = copies * (1 - efficiency * generator.random(size))
        uncopied = np.floor(uncopied + generator.random(size))
        copies = 2 * copies - uncopied
    return copies


def copy_moments(efficiency: np.ndarray, num_cycles: int) -> tuple[np.ndarray, np.ndarray]:
    """Find mean and squared coefficient of variation of the copies of one molecule, exactly.

    Both have the shape of ``efficiency``.
    """
    later = num_cycles - 1
    mean = (1 + efficiency) * (1 + efficiency / 2) ** later
    growth = 1 + efficiency + efficiency**2 / 3
    # The sum of growth^k over the later cycles; rounding adds a variance of 1/6 in each.
    rounding = sum(growth**cycle for cycle in range(later)) / 6
    square = growth**later * (1 + 3 * efficiency) + rounding
    return mean, square / mean**2 - 1


class Amplification:
    """Copies of the captured molecules of every gene.

    Sums of copies over up to ten molecules are drawn from molecules amplified one by one at the
    nearest of 21 efficiencies and scaled to the gene's own mean; beyond that, from the Gamma
    distribution of the same mean and variance.

    Parameters
    ----------
    efficiency
        Efficiency for each gene, shape (genes,), between 0 and 1.
    num_cycles
        Number of cycles, at least 1.

    Attributes
    ----------
    mean
        Mean copies of a molecule, shape (genes,).
    """

    def __init__(
        self, efficiency: np.ndarray, num_cycles: int, generator: np.random.Generator
    ) -> None:
        self.mean, self._variation = copy_moments(efficiency, num_cycles)
        grid = np.linspace(efficiency.min(), efficiency.max(), _GRID_SIZE)
        self._nearest = np.abs(efficiency[:, None] - grid).argmin(-1)
        # Copies by their mean, shape (efficiencies, molecules).
        self._relative = np.stack(
            [amplify_molecules(each, num_cycles, _GRID_MOLECULES, generator) for each in grid]
        )
        self._relative /= self._relative.mean(-1, keepdims=True)

    def draw_copies(self, molecules: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw the copies of captured molecules, both of shape (cells, genes)."""
        copies = np.zeros(molecules.shape)
        cells, genes = np.nonzero(molecules > _MOST_SINGLE)
        variation = self._variation[genes]
        copies[cells, genes] = variation * generator.standard_gamma(
            molecules[cells, genes] / variation
        )
        cells, genes = np.nonzero((molecules > 0) & (molecules <= _MOST_SINGLE))
        numbers = molecules[cells, genes]
        rows = np.repeat(self._nearest[genes], numbers)
        drawn = self._relative[rows, generator.integers(_GRID_MOLECULES, size=len(rows))]
        entries = np.repeat(np.arange(len(numbers)), numbers)
        copies[cells, genes] = np.bincount(entries, drawn, minlength=len(numbers))
        return copies * self.mean

    def share_seen(self, reads: np.ndarray) -> np.ndarray:
        """Find the probability that a molecule has at least one read.

        Parameters
        ----------
        reads
            Mean reads of a molecule, shape (cells, genes). Reads of a molecule are Poisson with a
            mean in proportion to its copies.

        Returns
        -------
        numpy.ndarray
            Shape (cells, genes).
        """
        seen = np.empty(reads.shape)
        bounded = np.log(np.clip(reads, _READS[0], _READS[-1]))
        for row, table in enumerate(self._seen_at_reads):
            genes = np.flatnonzero(self._nearest == row)
            seen[:, genes] = np.interp(bounded[:, genes], np.log(_READS), table)
        return np.where(reads > 0, seen, 0.0)

    @cached_property
    def _seen_at_reads(self) -> np.ndarray:
        """The share of molecules seen at ``_READS``, shape (efficiencies, reads)."""
        return np.stack(
            [-np.expm1(-_READS[:, None] * copies).mean(-1) for copies in self._relative]
        )


class LinearAmplification:
    """Every molecule ends with the same number of copies, as by in-vitro transcription.

    Attributes
    ----------
    mean
        Number of copies, shape (genes,).
    """

    def __init__(self, num_copies: float, num_genes: int) -> None:
        self.mean = np.full(num_genes, float(num_copies))

    def draw_copies(self, molecules: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Give the copies of captured molecules, both of shape (cells, genes)."""
        return molecules * self.mean

    def share_seen(self, reads: np.ndarray) -> np.ndarray:
        """Probability that a molecule has a read, given its mean reads, shape (cells, genes)."""
        return -np.expm1(-reads)
