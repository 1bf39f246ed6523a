"""Cell states of the model of bootstraps beside those of scvi-tools' SCVI, several seeds each.

Prints seconds and the adjusted Rand index of k-means on the mean states with the annotated types,
both models with their defaults; scvi-tools reads the rounded estimates in X.

    python experiments/benchmarks/isoform_states.py CELLS.h5ad --label cell_type --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np

from exvae.data.h5ad.reading import read_cells
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting, inference, settings
from exvae.experiments.isoforms.evaluation import rand_index


def states_of_bootstraps(path: Path, seed: int, epochs: int) -> np.ndarray:
    """Fit the model of bootstraps; mean states, shape (cells, latent_size)."""
    cells = read_cells(path)
    training = TrainingConfig(epochs, settings.BATCH_SIZE, settings.LEARNING_RATE, seed)
    with TemporaryDirectory() as folder:
        fitting.fit(cells, settings.IsoformConfig(), training, Path(folder) / "fit")
        fitted = fitting.load(Path(folder) / "fit")
    config = settings.IsoformConfig(**fitted.config["model"])
    tensors = fitting.tensors_of(config, cells, fitted.device)
    return inference.mean_states(fitted.guide, tensors, np.arange(cells.num_cells))


def states_of_scvi(path: Path, seed: int, epochs: int | None) -> np.ndarray | None:
    """Fit SCVI; mean states, None where scvi-tools is not installed."""
    try:
        import scvi
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = anndata.read_h5ad(path)
        counts.X = counts.X.toarray().round()
        scvi.settings.seed = seed
        scvi.model.SCVI.setup_anndata(counts)
        model = scvi.model.SCVI(counts)
        model.train(epochs, enable_progress_bar=False, logger=False)
        return model.get_latent_representation()


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path)
    parser.add_argument("--label", default="cell_type", help="column of obs with the types")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=settings.EPOCHS)
    parser.add_argument("--scvi-epochs", type=int, help="as many as scvi-tools chooses")
    options = parser.parse_args()
    types = anndata.read_h5ad(options.cells, backed="r").obs[options.label].to_numpy()
    for name, states_of, epochs in (
        ("exvae", states_of_bootstraps, options.epochs),
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
