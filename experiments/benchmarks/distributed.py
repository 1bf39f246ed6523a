"""Time of training by several processes against one, each with one thread, in one run.

Fits of both numbers of processes take turns, so that a machine that slows down slows down both. Of
isoforms the epochs count but the first, in which libraries warm up; of topics all of the training,
as most of it are steps on the topics alone, before the first epoch.

    python experiments/benchmarks/distributed.py --processes 2 --cells 4608 --isoforms 5000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from anndata import AnnData
from processes import bounding_threads, run_python
from scipy.sparse import csr_matrix

from exvae.data.corpora import write_corpus
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.fitting.fits import read_metrics

# Isoforms per gene, about as in transcriptomes.
ISOFORMS_OF_A_GENE = 3


def write_cells(path: Path, cells: int, isoforms: int, bootstraps: int) -> None:
    """Write cells whose expression is half zero, with Poisson bootstraps."""
    rng = np.random.default_rng(0)
    rates = np.exp(2.5 * rng.standard_normal(isoforms) - 1) * rng.gamma(2, 0.5, (cells, isoforms))
    layers = {
        f"infRep{number + 1}": csr_matrix(rng.poisson(rates).astype(np.float32))
        for number in range(bootstraps)
    }
    genes = [f"gene{number // ISOFORMS_OF_A_GENE}" for number in range(isoforms)]
    names = [f"isoform{number}" for number in range(isoforms)]
    mean = sum(layers.values()) / bootstraps
    AnnData(mean, var=pd.DataFrame({"gene": genes}, index=names), layers=layers).write_h5ad(path)


def seconds_of_training(processes: int, command: list[str], folder: Path) -> np.ndarray:
    """Fit in a new folder; give seconds of each epoch but the first, or of all steps of topics."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    arguments = [*(launch if processes > 1 else []), "-m", "exvae", *command, "--out", str(folder)]
    run_python(arguments, bounding_threads(1))
    seconds = read_metrics(folder)["seconds"].to_numpy()
    return seconds[-1:] if command[0] == "lda" else np.diff(seconds)


def jobs(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Write the data of each job; give its name and its command."""
    common = ["--epochs", str(options.epochs), "--device", "cpu"]
    if "isoforms" in options.jobs:
        path = folder / "cells.h5ad"
        write_cells(path, options.cells, options.isoforms, options.bootstraps)
        name = f"{options.model}, {options.cells} cells x {options.isoforms} isoforms"
        model = ["--batch-size", str(options.batch), "--model", options.model]
        yield name, ["isoforms", "fit", str(path), *model, *common]
    if "lda" in options.jobs:
        path = folder / "corpus.npz"
        size = options.documents, options.topics, options.vocabulary, options.words
        write_corpus(simulate_corpus(*size, seed=0).corpus, path)
        name = f"lda, {options.documents} documents, {options.topics} topics"
        model = ["--topics", str(options.topics), "--batch-size", str(options.document_batch)]
        yield name, ["lda", "fit", str(path), *model, *common]


def compare(
    processes: int, repeats: int, measure: Callable[[int, int], np.ndarray]
) -> tuple[float, float, list[float]]:
    """Measure in turn; give the median seconds of both, and the ratio of each turn."""
    turns = [(measure(1, turn), measure(processes, turn)) for turn in range(repeats)]
    ratios = [float(np.median(one) / np.median(several)) for one, several in turns]
    one, several = (float(np.median(np.concatenate(part))) for part in zip(*turns, strict=True))
    return one, several, ratios


def options_of_command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--jobs", nargs="+", default=["isoforms", "lda"])
    parser.add_argument("--model", default="effective-reads")
    parser.add_argument("--cells", type=int, default=4608)
    parser.add_argument("--isoforms", type=int, default=5000)
    parser.add_argument("--bootstraps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=512, help="cells of a minibatch")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--topics", type=int, default=50)
    parser.add_argument("--vocabulary", type=int, default=5000)
    parser.add_argument("--words", type=int, default=200, help="words of a document")
    parser.add_argument("--document-batch", type=int, default=1024)
    return parser.parse_args()


def main() -> None:
    """Time and print."""
    options = options_of_command_line()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number, (name, command) in enumerate(jobs(options, folder)):

            def measure(
                processes: int, turn: int, number: int = number, command: list[str] = command
            ) -> np.ndarray:
                return seconds_of_training(
                    processes, command, folder / f"fit{number}_{processes}_{turn}"
                )

            counted = "of training" if command[0] == "lda" else "per epoch"
            one, several, ratios = compare(options.processes, options.repeats, measure)
            print(
                f"{name}: {one:.2f} s {counted} in 1 process, {several:.2f} s in "
                f"{options.processes}; {np.median(ratios):.2f} x as fast "
                f"({min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} turns)",
                flush=True,
            )


if __name__ == "__main__":
    main()
