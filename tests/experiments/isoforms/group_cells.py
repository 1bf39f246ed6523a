"""Cells of groups whose expression is known, seen through a noisy quantifier."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells, summarise

BOOTSTRAPS = 5


def draw_group_cells(
    rates: np.ndarray,
    genes: np.ndarray,
    number: int = 60,
    *,
    seed: int = 0,
    variation: float = 0.3,
    replicates: int = 0,
    scatter: float = 1.0,
) -> Cells:
    """Draw cells whose mean expression is known.

    Parameters
    ----------
    rates
        Mean reads of each group, shape (groups, isoforms).
    genes
        Gene of each isoform, shape (isoforms,).
    number
        Cells of each group.
    seed
        Seed of the draws.
    variation
        Squared coefficient of variation of genes between cells.
    replicates
        Replicates of each group, as a column ``donor``, between which genes vary as between cells;
        0 for none.
    scatter
        Standard deviation of the bootstraps divided by that of counts.
    """
    rng = np.random.default_rng(seed)
    groups, isoforms = rates.shape
    side = np.repeat(np.arange(groups), number)
    expected = rates[side]
    size = len(side), genes.max() + 1
    if variation:
        expected = expected * rng.gamma(1 / variation, variation, size)[:, genes]
    donor = side * max(replicates, 1) + np.arange(len(side)) % max(replicates, 1)
    if replicates:
        own = rng.gamma(1 / variation, variation, (donor.max() + 1, size[1]))
        expected = expected * own[donor][:, genes]
    depth = rng.lognormal(0, 0.3, (len(side), 1))
    counts = rng.poisson(depth * expected).astype(np.float32)
    noise = scatter * np.sqrt(counts) * rng.normal(size=(BOOTSTRAPS, *counts.shape))
    bootstraps = tuple(csr_matrix(np.maximum(own, 0).astype(np.float32)) for own in counts + noise)
    names = np.array([f"cell{n}" for n in range(len(side))])
    return Cells(
        names=names,
        isoforms=np.array([f"isoform{i}" for i in range(isoforms)]),
        genes=np.array([f"gene{g}" for g in genes]),
        counts=csr_matrix(counts),
        bootstraps=bootstraps,
        summary=summarise(bootstraps),
        num_bootstraps=np.full(len(side), BOOTSTRAPS),
        obs=pd.DataFrame(
            {"group": np.array([*"abcdefgh"])[side], "donor": [f"d{d}" for d in donor]},
            index=names,
        ),
        batches=np.zeros(len(side), np.int64),
    )


def groups_of(cells: Cells) -> np.ndarray:
    """Give the group of each cell, shape (cells,)."""
    return cells.obs["group"].to_numpy(str)
