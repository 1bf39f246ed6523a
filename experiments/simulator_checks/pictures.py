"""Pictures of what is simulated beside data of reference, with the numbers behind them.

    python -m exvae.experiments.simulator_checks.pictures \
        --out DIR --symsim FILE.npz --cells CELLS.h5ad

``--symsim`` takes counts that SymSim itself has simulated, an ``.npz`` with ``true_counts``,
``observed_counts`` (cells, genes) and ``depth`` (cells,); ``--cells`` cells that kallisto has
quantified, with their types, as ``exvae isoforms import`` writes them. Simulations are of the same
size and depth, a few of different seeds. Writes ``symsim.png`` and ``isoforms.png``, the numbers of
each as ``.csv``, and ``symsim_statistics.csv`` and ``isoforms_statistics.csv``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from ...data.cells import Cells
from ...data.errors import DataError
from ...data.h5ad.reading import read_cells
from ...data.npz import read_npz
from ...data.simulators.cells import SimulationOptions
from ...data.simulators.cells import simulate_cells as simulate_isoforms
from ...data.simulators.expression import draw_symsim_expression
from ...data.simulators.gene_structures import draw_transcripts
from ...data.simulators.symsim.cells import simulate_cells
from ...data.simulators.symsim.settings import ObservationSettings
from ...data.simulators.transcripts import Transcripts, read_transcripts
from ..drawing.panels import compare_statistics
from ..fitting.fits import write_atomically
from . import bootstraps, symsim
from .bootstraps import moments_of
from .symsim import CellCounts


def picture_symsim(reference: Path, out: Path, seeds: Sequence[int]) -> pd.DataFrame:
    """Draw SymSim in Python beside SymSim itself.

    Parameters
    ----------
    reference
        The ``.npz`` of SymSim's counts, of the settings of its tutorial but for size and depth.
    out
        Folder to write ``symsim.png``, ``symsim.csv`` and ``symsim_statistics.csv`` to.
    seeds
        At least two, of the simulations.

    Returns
    -------
    pandas.DataFrame
        Of :func:`~exvae.experiments.drawing.panels.compare_statistics`.

    Raises
    ------
    DataError
        If the file does not hold such counts, or the folder cannot be written to.
    """
    names = ("true_counts", "observed_counts", "depth")
    *counts, depths = read_npz(reference, "counts of SymSim", names).values()
    theirs = CellCounts(*counts)
    observation = ObservationSettings(depth_mean=float(depths.mean()), depth_sd=float(depths.std()))
    ours = []
    for seed in seeds:
        cells = simulate_cells(*theirs.true.shape, observation=observation, seed=seed)
        ours.append(CellCounts(cells.expression.counts, cells.observation.counts))
    symsim.draw_comparison({_of_seeds(seeds): ours, "SymSim": [theirs]}, out / "symsim.png")
    table = compare_statistics(
        [symsim.statistics_of(each) for each in ours],
        symsim.statistics_of(theirs),
    )
    _write(table, out / "symsim_statistics.csv")
    return table


def picture_isoforms(
    reference: Cells,
    out: Path,
    seeds: Sequence[int],
    transcripts: Transcripts | None = None,
    usage_noise: float = 0.0,
) -> pd.DataFrame:
    """Draw simulated cells beside cells that kallisto has quantified.

    Simulated are as many cells and bootstraps, with the same numbers of reads; their expression is
    SymSim's.

    Parameters
    ----------
    reference
        With ``obs["cell_type"]``.
    out
        Folder to write ``isoforms.png``, ``isoforms.csv`` and ``isoforms_statistics.csv`` to.
    seeds
        At least two, of the simulations.
    transcripts
        To simulate; as many as the reference has are made up if None.
    usage_noise
        See :func:`~exvae.data.simulators.usage.vary_usage`.

    Returns
    -------
    pandas.DataFrame
        Of :func:`~exvae.experiments.drawing.panels.compare_statistics`.

    Raises
    ------
    DataError
        If the reference has no bootstraps or cell types, or the folder cannot be written to.
    """
    theirs = moments_of(reference)
    options = SimulationOptions(int(reference.num_bootstraps.max()), usage_noise=usage_noise)
    ours = [
        moments_of(_like(reference, transcripts, options, np.random.default_rng(seed)))
        for seed in seeds
    ]
    bootstraps.draw_bootstraps({_of_seeds(seeds): ours, "kallisto": [theirs]}, out / "isoforms.png")
    table = compare_statistics(
        [bootstraps.statistics_of(each) for each in ours],
        bootstraps.statistics_of(theirs),
    )
    _write(table, out / "isoforms_statistics.csv")
    return table


def _like(
    reference: Cells,
    transcripts: Transcripts | None,
    options: SimulationOptions,
    generator: np.random.Generator,
) -> Cells:
    """Simulate cells with the reads of others."""
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


def _of_seeds(seeds: Sequence[int]) -> str:
    return f"simulated, {len(seeds)} seeds"


def _write(table: pd.DataFrame, path: Path) -> None:
    write_atomically(path, lambda target: table.to_csv(target, index=False))


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
        "--usage-noise", type=float, default=0.0, help="as of exvae isoforms simulate"
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
        parser.error("--t2g is of real transcripts; give them with --transcripts")
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
        seeds = range(arguments.symsim_seeds)
        tables.append(picture_symsim(arguments.symsim, arguments.out, seeds))
    if arguments.cells is not None:
        transcripts = None
        if arguments.transcripts is not None:
            transcripts, _ = read_transcripts(arguments.transcripts, arguments.t2g)
        cells, seeds = read_cells(arguments.cells), range(arguments.seeds)
        tables.append(
            picture_isoforms(cells, arguments.out, seeds, transcripts, arguments.usage_noise)
        )
    for table in tables:
        print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
