"""Time of a Gibbs sweep of the model of reads, as reads, classes, isoforms and cells grow.

One of them is varied at a time, the others stay at their base; the time of a sweep of all cells is
fitted as a power of it. Reads by class are drawn as sparse matrices, and no quantifier takes part.

    python experiments/benchmarks/reads_cost.py --only cells reads
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyro
import torch
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells
from exvae.data.read_batches import ReadTensors
from exvae.data.reads.classes import ClassCounts
from exvae.data.reads.division import divide_reads
from exvae.guides.cells import CellGuide
from exvae.models.reads import ReadIsoforms

# Sizes that are not varied: reads are those of a cell.
BASE = {"reads": 10_000, "classes": 5_000, "isoforms": 2_000, "cells": 64}
# Factors on the base by which a size is varied.
FACTORS = (0.1, 10**-0.5, 1.0, 10**0.5, 10.0)
# Isoforms per gene, and the most isoforms of a class, which lie side by side.
_ISOFORMS_OF_A_GENE, _MOST_MEMBERS = 3, 5
# Standard deviation of the log abundance of classes.
_LOG_ABUNDANCE_SD = 1.5


def simulate(reads: int, classes: int, isoforms: int, cells: int) -> Cells:
    """Draw cells with so many reads each, in classes of one to five neighbouring isoforms."""
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, min(_MOST_MEMBERS, isoforms) + 1, classes)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    first = generator.integers(0, isoforms - sizes + 1)
    members = np.arange(starts[-1]) - np.repeat(starts[:-1] - first, sizes)
    weights = generator.uniform(0.5, 2.0, len(members))
    abundance = generator.lognormal(0.0, _LOG_ABUNDANCE_SD, classes)
    drawn = generator.choice(classes, (cells, reads), p=abundance / abundance.sum())
    rows = np.repeat(np.arange(cells), reads)
    counts = csr_matrix((np.ones(rows.size, np.int32), (rows, drawn.ravel())), (cells, classes))
    shares = csr_matrix((1 / np.repeat(sizes, sizes), members, starts), (classes, isoforms))
    names = np.array([f"cell{number}" for number in range(cells)])
    return Cells(
        names=names,
        isoforms=np.array([f"isoform{number}" for number in range(isoforms)]),
        genes=None,
        counts=(counts @ shares).astype(np.float32).tocsr(),
        bootstraps=(),
        summary=None,
        num_bootstraps=np.zeros(cells, np.int64),
        obs=pd.DataFrame(index=names),
        batches=np.zeros(cells, np.int64),
        reads=ClassCounts(counts, starts, members.astype(np.int32), weights),
    )


def seconds_of(step: Callable[[], object], repeats: int) -> float:
    """Least seconds of computing of a step, after one that compiles."""
    step()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        step()
        times.append(time.process_time() - started)
    return min(times)


def seconds_of_sweep(sizes: dict[str, int], repeats: int) -> tuple[float, float]:
    """Seconds of computing of a sweep of all cells, and of the division of their reads alone."""
    cells = simulate(**sizes)
    model = ReadIsoforms(torch.arange(sizes["isoforms"]) // _ISOFORMS_OF_A_GENE, members=0)
    source = ReadTensors(cells)
    source.follow(model, CellGuide(model))
    everything = np.arange(cells.num_cells)
    rates = torch.from_numpy(cells.counts.toarray()) + 0.1
    return (
        seconds_of(lambda: source.sweep(everything), repeats),
        seconds_of(lambda: divide_reads(cells.reads, everything, rates), repeats),
    )


def exponent(sizes: np.ndarray, seconds: np.ndarray) -> float:
    """Slope of log seconds over log sizes, shapes (sizes,), by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, size in BASE.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--only", nargs="+", choices=BASE, default=list(BASE))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pyro.set_rng_seed(0)
    base = {name: getattr(options, name) for name in BASE}
    print("base:", ", ".join(f"{size} {name}" for name, size in base.items()))
    print("| varied | at | sweep (ms) | of this division of reads (ms) |\n|---|---|---|---|")
    slopes = []
    for name in options.only:
        sizes = np.array([max(2, round(base[name] * factor)) for factor in FACTORS])
        found = []
        for size in sizes:
            found.append(seconds_of_sweep({**base, name: int(size)}, options.repeats))
            sweep, division = (1000 * seconds for seconds in found[-1])
            print(f"| {name} | {size} | {sweep:.3f} | {division:.3f} |", flush=True)
        slopes.append((name, *(exponent(sizes, seconds) for seconds in np.array(found).T)))
    print("\n| varied | exponent of the sweep | of the division |\n|---|---|---|")
    for name, sweep, division in slopes:
        print(f"| {name} | {sweep:.2f} | {division:.2f} |")


if __name__ == "__main__":
    main()
