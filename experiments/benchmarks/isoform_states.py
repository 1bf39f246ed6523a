"""Cell states of effective reads and of scvi-tools' SCVI, several seeds each.

Prints the seconds, and the adjusted Rand index of k-means on the mean states with the annotated
types. Both models have their defaults; scvi-tools reads the rounded estimates in X.

    python experiments/benchmarks/isoform_states.py CELLS.h5ad --label cell_type --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np

from exvae.data.h5ad.reading import read_cells
from exvae.experiments.figures import scvi_tools
from exvae.experiments.figures.isoform_models import CONFIGS, EFFECTIVE_READS
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting, inference, settings
from exvae.experiments.isoforms.evaluation import rand_index


def states_of_exvae(path: Path, seed: int, epochs: int) -> np.ndarray:
    """Fit the default model of exvae; posterior mean states, shape (cells, latent_size)."""
    cells = read_cells(path)
    training = TrainingConfig(epochs, settings.BATCH_SIZE, settings.LEARNING_RATE, seed)
    with TemporaryDirectory() as folder:
        fitting.fit(cells, CONFIGS[EFFECTIVE_READS], training, Path(folder) / "fit")
        fitted = fitting.load(Path(folder) / "fit")
    return inference.mean_states(fitted.guide, fitted.source(cells), np.arange(cells.num_cells))


def states_of_scvi(path: Path, seed: int, epochs: int | None) -> np.ndarray | None:
    """Fit SCVI; posterior mean states, shape (cells, 10); None without scvi-tools."""
    if not scvi_tools.is_installed():
        return None
    counts = anndata.read_h5ad(path).X.toarray().round()
    return scvi_tools.fit_scvi(counts, epochs, seed).get_latent_representation()


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path)
    parser.add_argument("--label", default="cell_type", help="column of obs with the types")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=settings.EPOCHS)
    parser.add_argument("--scvi-epochs", type=int, help="default: chosen by scvi-tools")
    options = parser.parse_args()
    types = anndata.read_h5ad(options.cells, backed="r").obs[options.label].to_numpy()
    for name, states_of, epochs in (
        ("exvae", states_of_exvae, options.epochs),
        ("scvi-tools", states_of_scvi, options.scvi_epochs),
    ):
        for seed in options.seeds:
            started = time.perf_counter()
            states = states_of(options.cells, seed, epochs)
            if states is None:
                print(f"{name} is not installed")
                break
            taken = time.perf_counter() - started
            index = rand_index(states, types)
            print(f"{name:<12} seed {seed:>3}  {taken:7.1f} s  ARI {index:.3f}", flush=True)


if __name__ == "__main__":
    main()
