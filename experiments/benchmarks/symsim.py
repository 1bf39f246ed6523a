"""Seconds and peak memory of simulating cells: expression, and each protocol of observation.

python experiments/benchmarks/symsim.py --cells 10000 --genes 2000
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from processes import peak_memory

from exvae.data.simulators.symsim.cells import simulate_true_counts
from exvae.data.simulators.symsim.observation import observe
from exvae.data.simulators.symsim.settings import (
    PROTOCOLS,
    ExpressionSettings,
    ObservationSettings,
)
from exvae.data.simulators.symsim.tables import draw_gene_lengths

# Mean reads of a gene in a cell, as in SymSim's tutorial.
READS_PER_GENE = 500


def main() -> None:
    """Simulate and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    print(f"{options.cells} cells x {options.genes} genes; {peak_memory():.0f} MiB at the start")
    started = time.perf_counter()
    truth = simulate_true_counts(options.cells, options.genes, ExpressionSettings(), generator)
    print(f"expression   {time.perf_counter() - started:8.2f} s")
    lengths = draw_gene_lengths(options.genes, generator)
    for protocol in PROTOCOLS:
        settings = ObservationSettings(protocol, depth_mean=READS_PER_GENE * options.genes)
        started = time.perf_counter()
        counts = observe(truth.counts, lengths, settings, generator).counts
        taken = time.perf_counter() - started
        print(f"{protocol:13}{taken:8.2f} s, {np.mean(counts == 0):.0%} zeros")
    print(f"{peak_memory():.0f} MiB at the peak, results included")


if __name__ == "__main__":
    main()
