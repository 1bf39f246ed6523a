"""Time and memory of simulating cells with bootstraps, for more and more cells.

    python experiments/benchmarks/isoform_simulation.py --cells 1000 --isoforms 2000 --bootstraps 30

Expression is SymSim's. Prints the seconds of building equivalence classes and of the whole
simulation, cells per second, and the peak memory of the writing process, for a tenth of the cells
and then for all.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from processes import peak_memory

from exvae.data.reads.class_probabilities import FragmentModel, build_classes
from exvae.data.reads.transcripts import Transcripts
from exvae.data.simulators.cells import SimulationOptions, simulate_cells
from exvae.data.simulators.expression import draw_symsim_expression
from exvae.data.simulators.gene_structures import draw_transcripts


def time_simulation(
    transcripts: Transcripts, cells: int, depth: float, options: SimulationOptions
) -> float:
    """Simulate cells with SymSim's expression, write them, and give the seconds."""
    generator = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        expression = draw_symsim_expression(cells, transcripts.gene_lengths, depth, generator)
        simulate_cells(
            Path(folder) / "cells.h5ad",
            transcripts,
            expression.molecules,
            expression.cell_types,
            generator,
            options,
        )
        return time.perf_counter() - started


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--isoforms", type=int, default=2000)
    parser.add_argument("--bootstraps", type=int, default=30)
    parser.add_argument("--depth", type=float, help="mean reads per cell; default: ten per isoform")
    parser.add_argument("--processes", type=int, help="default: one per core, if it pays")
    arguments = parser.parse_args()
    depth = arguments.depth or 10.0 * arguments.isoforms
    options = SimulationOptions(arguments.bootstraps, num_processes=arguments.processes)
    transcripts = draw_transcripts(arguments.isoforms, np.random.default_rng(0))
    started = time.perf_counter()
    classes = build_classes(transcripts.sequences, FragmentModel())
    seconds = time.perf_counter() - started
    print(
        f"{arguments.isoforms} isoforms: {classes.members.shape[0]} equivalence classes in "
        f"{seconds:.1f} s"
    )
    for cells in (max(5, arguments.cells // 10), arguments.cells):  # one of each type at least
        seconds = time_simulation(transcripts, cells, depth, options)
        print(
            f"{cells} cells x {arguments.isoforms} isoforms x {arguments.bootstraps} bootstraps, "
            f"{depth:g} reads per cell: {seconds:.1f} s in all, {cells / seconds:.1f} cells "
            f"per second, {peak_memory():.0f} MiB at the peak"
        )


if __name__ == "__main__":
    main()
