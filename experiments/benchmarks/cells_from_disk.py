"""Memory and speed of fits whose cells stay on disk, beside fits of cells in memory.

    python experiments/benchmarks/cells_from_disk.py --cells 4096 --in-memory 4096

Made-up cells of 20 000 isoforms with 10 bootstraps are written to disk (about 190 KB a cell) and
fitted for an epoch, each time in a process of its own. Peak memory is the operating system's.
Rates are of the steps alone; with other work on the machine only rates of the same run compare, and
seconds of computing tell more than seconds. Sizes above 2048 cells are multiples of it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from processes import peak_memory, run_python

# This process stays small: Linux counts the memory before exec as part of a child's peak.

# Steps before rates are measured.
WARM_UP = 4


def measure(path: Path, backed: bool, steps: int | None) -> dict[str, float]:
    """Open cells, start a model from them and train for some steps, or to the end of an epoch."""
    import numpy as np
    import pyro

    from exvae.data.any_cells import get_cells
    from exvae.experiments.fitting.freed_memory import keep_freed_memory
    from exvae.experiments.fitting.training import Trainer, TrainingConfig
    from exvae.experiments.isoforms import fitting
    from exvae.experiments.isoforms.settings import BATCH_SIZE, LEARNING_RATE, IsoformConfig

    keep_freed_memory()  # as commands do
    peaks, clocks = [], [_clocks()]

    def note() -> None:
        peaks.append(peak_memory())
        clocks.append(_clocks())

    cells = get_cells(path, backed=backed)
    note()
    training = TrainingConfig(1, BATCH_SIZE, LEARNING_RATE)
    trainer: Trainer = fitting.set_up(cells, IsoformConfig(), training, progress=False)[0]
    note()
    order = trainer.data.arranged(np.random.default_rng(0).permutation(len(trainer.data)))
    batches = np.array_split(order, len(order) // BATCH_SIZE)
    batches = batches if steps is None else batches[: steps + WARM_UP]
    pyro.set_rng_seed(0)
    for number, positions in enumerate(batches):
        if number == WARM_UP:
            note()
        trainer._step(positions)
    note()
    trainer.monitor()
    taken = sum(map(len, batches[WARM_UP:]))
    seconds, computing = (clocks[-1][i] - clocks[-2][i] for i in range(2))
    return {
        "peak after opening (MiB)": peaks[0],
        "peak after start values (MiB)": peaks[1],
        "peak (MiB)": peak_memory(),
        "opening (s of computing)": clocks[1][1] - clocks[0][1],
        "start values (s of computing)": clocks[2][1] - clocks[1][1],
        "cells per second": taken / seconds,
        "ms per cell": 1e3 * seconds / taken,
        "ms of computing per cell": 1e3 * computing / taken,
    }


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def compare(folder: Path, cells: int, steps: str, repeats: int, in_memory: bool) -> None:
    """Make cells and print what fits of them cost, from disk and in memory in turn."""
    path = folder / f"{cells}.h5ad"
    if not path.exists():
        run_python([__file__, "--make", path, cells])
    print(f"{cells} cells, {path.stat().st_size / 2**30:.2f} GiB on disk", flush=True)
    for _ in range(repeats):
        for where in ("disk", "memory") if in_memory else ("disk",):
            printed = run_python([__file__, "--measure", path, where, steps]).printed
            found = json.loads(printed.splitlines()[-1])
            told = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
            print(f"  {where}: {told}", flush=True)


def main() -> None:
    """Measure and print, or do one of the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[12288, 24576, 51200])
    parser.add_argument("--in-memory", type=int, default=4096, help="largest size also in memory")
    parser.add_argument(
        "--steps", default="epoch", help="the cells of two windows are read ahead of few steps"
    )
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="folder in which to keep the files")
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        from made_up_cells import make_cells

        make_cells(Path(options.make[0]), int(options.make[1]), 20_000, 10)
        return
    if options.measure:
        path, where, steps = options.measure
        number = None if steps == "epoch" else int(steps)
        print(json.dumps(measure(Path(path), where == "disk", number)))
        return
    with TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for cells in options.cells:
            compare(folder, cells, options.steps, options.repeats, cells <= options.in_memory)


if __name__ == "__main__":
    main()
