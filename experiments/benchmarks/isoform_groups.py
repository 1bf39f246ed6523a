"""Coverage of the intervals of group means, ``IsoformModel.group_summary``, with known truth.

The truth of a group is the mean over all of its cells of expected expression, each cell normalised
to one depth. With ``--cells-per-group`` the means are of so many cells of each group, drawn at
random; with ``--fit-drawn`` the model sees no others, either. Printed for isoforms and genes: the
share of 95 % intervals that hold the truth, of the means of at least 0.02 reads in a cell of mean
depth, and the error of log1p of these means.

    python experiments/benchmarks/isoform_groups.py CELLS.h5ad --truth TRUTH.npz

Without ``--truth`` the file holds it, as ``exvae isoforms simulate`` writes it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import read_h5ad
from isoform_expression import LEAST_READS, drawn

import exvae
from exvae.data.h5ad.reading import read_cells
from exvae.data.isoform_truth import read_truth
from exvae.experiments.isoforms.settings import EPOCHS, LIBRARY_SIZE


def true_means(expected: np.ndarray, groups: np.ndarray, names: np.ndarray) -> pd.Series:
    """Mean normalised expression (reads) of the columns in each group.

    Parameters
    ----------
    expected
        Expected reads, shape (cells, isoforms).
    groups
        The group of each cell, shape (cells,).
    names
        Isoform or gene of each column, shape (isoforms,); columns of one name are added up.
    """
    values = LIBRARY_SIZE * expected / expected.sum(1, keepdims=True)
    means = pd.DataFrame(values.T, index=names).groupby(level=0).sum().T.groupby(groups).mean()
    return means.stack()


def main() -> None:
    """Fit the cells and print how often intervals hold the truth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path)
    parser.add_argument("--truth", type=Path, help="an .npz with expected")
    parser.add_argument("--groupby", default="cell_type", help="column of obs")
    parser.add_argument("--cells-per-group", type=int, help="default: all cells")
    parser.add_argument("--fit-drawn", action="store_true", help="fit to the drawn cells only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the fit")
    arguments = parser.parse_args()
    cells = read_cells(arguments.cells)
    truth = read_truth(arguments.truth or arguments.cells, cells).reordered(cells.isoforms)
    groups = cells.obs[arguments.groupby].astype(str).to_numpy()
    rng = np.random.default_rng(arguments.seed)
    every = read_h5ad(arguments.cells)
    seen = every[drawn(groups, arguments.cells_per_group, rng)].copy()
    model = exvae.IsoformModel(seen if arguments.fit_drawn else every)
    model.train(arguments.epochs, seed=arguments.seed, progress=False)
    least = LEAST_READS * LIBRARY_SIZE / truth.expected.sum(1).mean()
    for level, names in (("isoform", cells.isoforms), ("gene", cells.genes)):
        table = model.group_summary(arguments.groupby, level=level, adata=seen).set_index(
            ["group", level]
        )
        expected = true_means(truth.expected, groups, names).reindex(table.index)
        table = table[expected > least]
        expected = expected[expected > least]
        held = (table["low"] <= expected) & (expected <= table["high"])
        error = np.sqrt(np.square(np.log1p(table["mean"]) - np.log1p(expected)).mean())
        print(
            f"{len(seen)} cells, {level}s: {held.mean():.1%} of {len(held)} intervals hold "
            f"the truth; log1p RMSE {error:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
