"""Pictures of simulated data beside reference data, with the numbers behind them.

    python -m exvae.experiments.simulator_checks.pictures \
        --out DIR --symsim FILE.npz --cells CELLS.h5ad

``--symsim`` takes counts simulated by SymSim itself, an ``.npz`` with ``true_counts`` and
``observed_counts`` of shape (cells, genes) and ``depth`` of shape (cells,); ``--cells`` takes cells
quantified by kallisto, with their types, as ``exvae isoforms import`` writes them. The simulations
have the same size and depth and differ in their seeds. Writes ``symsim.png`` and ``isoforms.png``,
the numbers of each as ``.csv``, and ``symsim_statistics.csv`` and ``isoforms_statistics.csv``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from ...data.cells import Cells
from ...data.errors import DataError
from ...data.h5ad.reading import read_cells
from ...data.npz import read_npz
from ...data.reads.transcripts import Transcripts, read_transcripts
from ...data.simulators.cells import SimulationOptions
from ...data.simulators.cells import simulate_cells as simulate_isoforms
from ...data.simulators.expression import draw_symsim_expression
from ...data.simulators.gene_structures import draw_transcripts
from ...data.simulators.symsim.cells import simulate_cells
from ...data.simulators.symsim.settings import ObservationSettings
from . import bootstraps, symsim
from .bootstraps import moments_of
from .comparison import write_comparison
from .symsim import CellCounts


class Compared(NamedTuple):
    """Data sets of several seeds, and the one that they are compared with."""

    simulated: list[Any]
    reference: Any


def simulate_like_symsim(reference: Path, seeds: Sequence[int]) -> Compared:
    """Simulate counts of the size and depth of SymSim's own, with its tutorial's other settings.

    Parameters
    ----------
    reference
        The ``.npz`` of SymSim's counts.
    seeds
        Seeds of the simulations.

    Returns
    -------
    Compared
        Data sets of :class:`~exvae.experiments.simulator_checks.symsim.CellCounts`.

    Raises
    ------
    DataError
        If the file does not hold such counts.
    """
    names = ("true_counts", "observed_counts", "depth")
    *counts, depths = read_npz(reference, "counts of SymSim", names).values()
    theirs = CellCounts(*counts)
    observation = ObservationSettings(depth_mean=float(depths.mean()), depth_sd=float(depths.std()))
    ours = []
    for seed in seeds:
        cells = simulate_cells(*theirs.true.shape, observation=observation, seed=seed)
        ours.append(CellCounts(cells.expression.counts, cells.observation.counts))
    return Compared(ours, theirs)


def simulate_like_cells(
    reference: Cells,
    seeds: Sequence[int],
    transcripts: Transcripts | None = None,
    usage_noise: float = 0.0,
) -> Compared:
    """Simulate as many cells and bootstraps, with the same numbers of reads, as kallisto has seen.

    Parameters
    ----------
    reference
        Cells with bootstraps and ``obs["cell_type"]``.
    seeds
        Seeds of the simulations, whose expression is SymSim's.
    transcripts
        Transcripts to simulate; None makes up as many as the reference has.
    usage_noise
        Argument of :func:`~exvae.data.simulators.usage.vary_usage`.

    Returns
    -------
    Compared
        Data sets of :class:`~exvae.experiments.simulator_checks.bootstraps.BootstrapMoments`.

    Raises
    ------
    DataError
        If the reference has no bootstraps or cell types.
    """
    theirs = moments_of(reference)
    options = SimulationOptions(int(reference.num_bootstraps.max()), usage_noise=usage_noise)
    ours = [
        moments_of(_like(reference, transcripts, options, np.random.default_rng(seed)))
        for seed in seeds
    ]
    return Compared(ours, theirs)


def _like(
    reference: Cells,
    transcripts: Transcripts | None,
    options: SimulationOptions,
    generator: np.random.Generator,
) -> Cells:
    """Simulate cells with the numbers of reads of others."""
    if transcripts is None:
        transcripts = draw_transcripts(reference.num_isoforms, generator)
    depths = np.asarray(reference.counts.sum(1), np.float64)
    expression = draw_symsim_expression(
        reference.num_cells, transcripts.gene_lengths, 1.0, generator
    )
    molecules = expression.molecules / expression.molecules.sum(1, keepdims=True) * depths
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        simulate_isoforms(path, transcripts, molecules, expression.cell_types, generator, options)
        return read_cells(path)


def main() -> None:
    """Draw, and print how statistics compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--symsim", type=Path, metavar="FILE.npz")
    parser.add_argument("--cells", type=Path, metavar="CELLS.h5ad")
    parser.add_argument("--transcripts", type=Path, metavar="FASTA", help="of the cells")
    parser.add_argument("--t2g", type=Path, metavar="FILE", help="of the transcripts")
    parser.add_argument(
        "--usage-noise", type=float, default=0.0, help="as in exvae isoforms simulate"
    )
    parser.add_argument("--seeds", type=int, default=5, help="of simulated isoforms, at least 2")
    parser.add_argument("--symsim-seeds", type=int, default=40, help="of SymSim, at least 2")
    arguments = parser.parse_args()
    if arguments.symsim is None and arguments.cells is None:
        parser.error("nothing to draw; give --symsim or --cells")
    if min(arguments.seeds, arguments.symsim_seeds) < 2:
        parser.error("--seeds and --symsim-seeds must be at least 2")
    if not 0 <= arguments.usage_noise < 1:
        parser.error("--usage-noise must be from 0 to less than 1")
    if arguments.t2g is not None and arguments.transcripts is None:
        parser.error("--t2g names the genes of --transcripts; give them too")
    try:
        _draw(arguments)
    except DataError as error:
        print("pictures:", error, file=sys.stderr)
        sys.exit(2)


def _draw(arguments: argparse.Namespace) -> None:
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{arguments.out}: cannot be made ({error.strerror}); choose another --out"
        ) from error
    tables = []
    if arguments.symsim is not None:
        data = simulate_like_symsim(arguments.symsim, range(arguments.symsim_seeds))
        path = arguments.out / "symsim"
        tables.append(write_comparison(symsim.VIEW, *data, "SymSim", path))
    if arguments.cells is not None:
        transcripts = None
        if arguments.transcripts is not None:
            transcripts, _ = read_transcripts(arguments.transcripts, arguments.t2g)
        cells, seeds = read_cells(arguments.cells), range(arguments.seeds)
        data = simulate_like_cells(cells, seeds, transcripts, arguments.usage_noise)
        path = arguments.out / "isoforms"
        tables.append(write_comparison(bootstraps.VIEW, *data, "kallisto", path))
    for table in tables:
        print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
