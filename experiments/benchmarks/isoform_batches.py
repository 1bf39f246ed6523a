"""Correction of batch effects: effective reads beside SCVI, Harmony and no correction.

Simulates cells in two batches that scale genes and differ in depth. Prints the adjusted Rand index
of k-means on the states with the true types, and the share of the nearest neighbours of a cell, of
its own type, that come from the other batch, divided by the share expected of mixed batches: 1 if
batches are mixed, 0 if they are apart.

    python experiments/benchmarks/isoform_batches.py --cells 600 --isoforms 600 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np

import exvae
from exvae.experiments.figures import scvi_tools
from exvae.experiments.isoforms.evaluation import rand_index

NEIGHBOURS = 30
COMPONENTS = 20


def simulate(path: Path, cells: int, isoforms: int, depth_ratio: float, seed: int) -> None:
    """Write simulated cells in two batches."""
    from typer.testing import CliRunner

    from exvae.experiments.cli import app

    options = {
        "--cells": cells,
        "--isoforms": isoforms,
        "--bootstraps": 20,
        "--batches": 2,
        "--batch-depth-ratio": depth_ratio,
        "--depth": 60 * isoforms,
        "--seed": seed,
    }
    arguments = [str(part) for pair in options.items() for part in pair]
    result = CliRunner().invoke(app, ["isoforms", "simulate", str(path), *arguments])
    if result.exit_code:
        raise RuntimeError(result.output)


def mixing(states: np.ndarray, batches: np.ndarray, types: np.ndarray) -> float:
    """Share of neighbours of the same type from the other batch, over the expected share.

    Parameters
    ----------
    states
        Shape (cells, dimensions).
    batches, types
        Shape (cells,).
    """
    from sklearn.neighbors import NearestNeighbors

    ratios = []
    for name in np.unique(types):
        own = np.flatnonzero(types == name)
        number = min(NEIGHBOURS, len(own) // 2)
        _, found = NearestNeighbors(n_neighbors=number + 1).fit(states[own]).kneighbors()
        other = (batches[own][found[:, :number]] != batches[own][:, None]).mean(1)
        expected = np.array(
            [(batches[own] != batch).sum() / (len(own) - 1) for batch in batches[own]]
        )
        ratios.append(other / expected)
    return float(np.concatenate(ratios).mean())


def principal_components(cells: anndata.AnnData) -> np.ndarray:
    """First components of log1p of normalised estimates, shape (cells, components)."""
    from sklearn.decomposition import PCA

    counts = cells.X.toarray()
    values = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    return PCA(COMPONENTS, random_state=0).fit_transform(values)


def of_harmony(cells: anndata.AnnData, seed: int) -> np.ndarray:
    """Components after Harmony, shape (cells, components)."""
    import harmonypy

    np.random.seed(seed)
    result = harmonypy.run_harmony(
        principal_components(cells), cells.obs, ["batch"], verbose=False, random_state=seed
    )
    corrected = np.asarray(result.Z_corr)
    return corrected if len(corrected) == cells.n_obs else corrected.T


def of_scvi(cells: anndata.AnnData, seed: int) -> np.ndarray:
    """States of SCVI, shape (cells, 10)."""
    counts, batches = cells.X.toarray().round(), cells.obs["batch"].to_numpy()
    model = scvi_tools.fit_scvi(counts, None, seed, batches=batches)
    return model.get_latent_representation()


def of_exvae(batch_key: str | None) -> Callable[[anndata.AnnData, int], np.ndarray]:
    """Give a function to the states of the default model, shape (cells, 10)."""

    def states(cells: anndata.AnnData, seed: int) -> np.ndarray:
        return (
            exvae.IsoformModel(cells, batch_key=batch_key)
            .train(seed=seed)
            .get_latent_representation()
        )

    return states


def main() -> None:
    """Simulate, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=600)
    parser.add_argument("--isoforms", type=int, default=600)
    parser.add_argument("--depth-ratio", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    methods = {
        "principal components": lambda cells, seed: principal_components(cells),
        "Harmony": of_harmony,
        "SCVI": of_scvi,
        "exvae, no batch": of_exvae(None),
        "exvae": of_exvae("batch"),
    }
    for seed in options.seeds:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "cells.h5ad"
            simulate(path, options.cells, options.isoforms, options.depth_ratio, seed)
            cells = anndata.read_h5ad(path)
        types, batches = (cells.obs[name].to_numpy().astype(str) for name in ("cell_type", "batch"))
        depths = cells.obs.groupby("batch", observed=True)["total_counts"].mean()
        print(f"seed {seed}: mean reads by batch {depths.round().astype(int).to_dict()}")
        for name, states_of in methods.items():
            states = states_of(cells, seed)
            index, mixed = rand_index(states, types), mixing(states, batches, types)
            print(f"  {name:<22} ARI {index:.3f}  mixing {mixed:.3f}", flush=True)


if __name__ == "__main__":
    main()
