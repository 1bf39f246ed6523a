"""Time and memory of simulating cells with bootstraps, as the cells become more.

    python experiments/benchmarks/isoform_simulation.py --cells 1000 --isoforms 2000 --bootstraps 30

Expression is SymSim's. Prints seconds for the classes of fragments and for all, cells a second, and
the peak memory of the process that writes, for a tenth of the cells and then for all.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from exvae.data.simulators.cells import SimulationOptions, simulate_cells
from exvae.data.simulators.expression import draw_symsim_expression
from exvae.data.simulators.gene_structures import draw_transcripts
from exvae.data.simulators.kallisto.equivalence_classes import FragmentModel, build_classes
from exvae.data.simulators.transcripts import Transcripts


def peak_memory() -> float:
    """Peak memory of this process so far, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def time_simulation(
    transcripts: Transcripts, cells: int, depth: float, options: SimulationOptions
) -> float:
    """Simulate cells whose expression is SymSim's to a file, and give the seconds."""
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
    parser.add_argument("--depth", type=float, help="mean reads of a cell; ten for each isoform")
    parser.add_argument("--processes", type=int, help="by default one for each core, if it pays")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    depth = arguments.depth or 10.0 * arguments.isoforms
    options = SimulationOptions(
        arguments.bootstraps, num_processes=arguments.processes, device=arguments.device
    )
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
            f"{depth:g} reads a cell: {seconds:.1f} s in all, {cells / seconds:.1f} cells a "
            f"second, {peak_memory():.0f} MiB at the peak"
        )


if __name__ == "__main__":
    main()
