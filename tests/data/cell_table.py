"""A small table of cells with bootstraps."""

from __future__ import annotations

from collections.abc import Callable

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from exvae.data.cells import STATISTICS, Cells

CELLS, ISOFORMS, BOOTSTRAPS = 7, 5, 4


NUMBERS = np.array([4, 4, 1, 3, 2, 4, 2])  # bootstraps of each cell


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw counts (cells, isoforms) and bootstraps (bootstraps, cells, isoforms), some zero."""
    rng = np.random.default_rng(seed)
    mean = rng.gamma(1.0, 10.0, (CELLS, ISOFORMS))
    draws = rng.normal(mean, 3.0, (BOOTSTRAPS, CELLS, ISOFORMS))
    draws *= rng.random(draws.shape) < 0.7
    draws = np.where(draws > 0, draws, 0.0).astype(np.float32)
    draws[:, :, 0] += 1.0  # no cell and no bootstrap is empty
    return mean.astype(np.float32), draws


def table(
    convert: Callable[[np.ndarray], object] = scipy.sparse.csr_matrix,
    *,
    numbers: np.ndarray | None = None,
    statistics: bool = False,
    layers: int = BOOTSTRAPS,
) -> anndata.AnnData:
    """Make a table of cells; with ``numbers``, cells have different numbers of bootstraps."""
    counts, draws = draw()
    present = np.arange(BOOTSTRAPS)[:, None] < (BOOTSTRAPS if numbers is None else numbers)
    present = np.broadcast_to(present, (BOOTSTRAPS, CELLS))
    draws = draws * present[:, :, None]
    made = anndata.AnnData(
        convert(counts),
        obs=pd.DataFrame(
            {"batch": list("bababab"), "n_bootstraps": present.sum(0)},
            index=[f"cell{n}" for n in range(CELLS)],
        ),
        var=pd.DataFrame({"gene": list("ggghh")}, index=[f"iso{g}" for g in range(ISOFORMS)]),
    )
    for number in range(layers):
        made.layers[f"infRep{number + 1}"] = convert(draws[number])
    if statistics:
        positive = draws > 0
        positives = positive.sum(0)
        mean = draws.sum(0) / np.maximum(positives, 1)
        squares = (np.where(positive, draws - mean, 0.0) ** 2).sum(0)
        zeros = present.sum(0)[:, None] - positives
        for name, values in zip(STATISTICS, (mean, zeros, squares), strict=True):
            made.layers[name] = convert(values.astype(np.float32))
    return made


def dense_statistics(cells: Cells) -> list[np.ndarray]:
    names = ("positives", "mean", "sum_of_squares")
    return [cells.summary.matrix(name, ISOFORMS).toarray() for name in names]


KINDS = {
    "CSR": scipy.sparse.csr_matrix,
    "CSC": scipy.sparse.csc_matrix,
    "dense": np.asarray,
}
