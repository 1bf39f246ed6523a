"""Completion of reads by all isoform models: half of each cell's reads predict the other half.

Fits every model to the same cells, and scores the held-out cells as ``exvae isoforms evaluate
--completion`` does. Prints nats a read, and how far each model lies below the model of reads, with
standard errors over cells, for each seed.

    python experiments/benchmarks/reads_completion.py CELLS.h5ad --truth TRUTH.npz --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from exvae.data.h5ad.reading import read_cells
from exvae.data.isoform_truth import read_truth
from exvae.experiments.figures.isoform_models import CONFIGS
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting, settings
from exvae.experiments.isoforms.completion import Completion, score_completion, score_of
from exvae.experiments.isoforms.evaluation import chosen_positions
from exvae.experiments.isoforms.settings import IsoformConfig

# The others are compared with the first.
MODELS = {
    "reads": IsoformConfig("reads"),
    **CONFIGS,
    "scVI without dropout": IsoformConfig("scvi", options={"dropout": "none"}),
}


def completed(options: argparse.Namespace, name: str, seed: int) -> Completion:
    """Fit a model and score the held-out cells."""
    cells = read_cells(options.cells)
    training = TrainingConfig(options.epochs, settings.BATCH_SIZE, settings.LEARNING_RATE, seed)
    with TemporaryDirectory() as folder:
        fitting.fit(cells, MODELS[name], training, Path(folder) / "fit")
        fit = fitting.load(Path(folder) / "fit", "cpu")
    cells = fit.conform(cells)
    positions = chosen_positions(fit, cells, "held-out")
    truth = None
    if options.truth:
        truth = read_truth(options.truth, cells).select(positions)
    return score_completion(fit, cells, positions, truth=truth, seed=options.seed_of_halves)


def tell(name: str, completion: Completion, method: str, best: Completion, seconds: float) -> None:
    """Print the score of a method, and how far it lies below the model of reads."""
    own = completion.score(method)
    gap = score_of(best.log_probs["model"] - completion.log_probs[method], best.reads)
    took = f"{seconds:7.0f} s" if seconds else " " * 9
    print(f"{name:<26}{took}  {own.mean:9.4f} ± {own.se:.4f}  {gap.mean:8.4f} ± {gap.se:.4f}")


def main() -> None:
    """Fit, score and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path, help="with reads by class")
    parser.add_argument("--truth", type=Path, help="an .npz, or the .h5ad of simulated cells")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--seed-of-halves", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=settings.EPOCHS)
    options = parser.parse_args()
    for seed in options.seeds:
        print(f"seed {seed}: nats a read; below {options.models[0]}")
        best = None
        for name in options.models:
            started = time.perf_counter()
            completion = completed(options, name, seed)
            best = best or completion
            tell(name, completion, "model", best, time.perf_counter() - started)
        for method in best.log_probs:
            if method != "model":
                tell(method, best, method, best, 0.0)


if __name__ == "__main__":
    main()
