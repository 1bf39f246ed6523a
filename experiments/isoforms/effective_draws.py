"""Effective number of draws of expression where they are draws of a Markov chain.

Sweeps over a cell's reads follow one another, and each resembles the one before. The effective
number tells how many independent draws give the posterior mean as precisely, see
:mod:`exvae.data.effective_sample_size`. Chains of different members of an ensemble are compared
with each other, so that draws are few where members disagree.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ...data.effective_sample_size import effective_sample_size

# Entries of a lower posterior mean (reads) do not count.
LEAST_READS = 1.0
# Share of the entries that have fewer effective draws than the lower of two figures.
LOW = 0.05


class EffectiveDraws:
    """Collects effective numbers of draws, some cells at a time."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []

    def add(self, draws: Tensor, chains: int) -> None:
        """Take draws of expression.

        Parameters
        ----------
        draws
            Reads, shape (draws, cells, isoforms), one chain after another.
        chains
            Number of chains, of one length.
        """
        expressed = draws.flatten(1)[:, draws.mean(0).flatten() > LEAST_READS]
        if expressed.shape[1]:
            of_chains = expressed.log1p().unflatten(0, (chains, -1))
            self._parts.append(effective_sample_size(of_chains).cpu().numpy())

    def extend(self, others: EffectiveDraws) -> None:
        """Take the numbers of other cells."""
        self._parts += others._parts

    def figures(self) -> dict[str, float]:
        """Give ``effective_draws`` and ``effective_draws_low``; nothing without draws of chains.

        They are the median over entries of more than :data:`LEAST_READS` reads, and the number that
        a twentieth of them do not reach.
        """
        if not self._parts:
            return {}
        median, low = np.nanquantile(np.concatenate(self._parts), [0.5, LOW]).tolist()
        return {"effective_draws": median, "effective_draws_low": low}
