"""The command ``exvae isoforms simulate``."""

# What is heavy is imported where it is used, so that the command line starts at once.
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..data.errors import DataError
from .options import Device, Json, Seed
from .reports import report

if TYPE_CHECKING:
    from ..data.transcripts import Transcripts

# Reads of a cell for each isoform, and isoforms, where nothing is said.
_READS_PER_ISOFORM, _ISOFORMS = 10.0, 500


def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT.h5ad", help="The file to write.")],
    cells: Annotated[int, typer.Option(min=1, metavar="N")] = 200,
    isoforms: Annotated[
        int | None,
        typer.Option(min=1, metavar="G", help=f"Of simulated genes; {_ISOFORMS} by default."),
    ] = None,
    bootstraps: Annotated[int, typer.Option(min=1, metavar="B", help="Of each cell.")] = 30,
    cell_types: Annotated[int, typer.Option(min=1, metavar="T")] = 5,
    depth: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            metavar="READS",
            help=f"Mean reads of a cell; by default {_READS_PER_ISOFORM:g} for each isoform.",
        ),
    ] = None,
    switching: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the genes of several isoforms whose usage differs between cell types.",
        ),
    ] = 0.35,
    usage_noise: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=0.99,
            help="Variance of usage between cells of a type: 0 none, near 1 one isoform a cell.",
        ),
    ] = 0.0,
    transcripts: Annotated[
        Path | None,
        typer.Option(
            metavar="FASTA",
            help="Real transcripts, as of a chromosome, in the place of simulated ones.",
        ),
    ] = None,
    t2g: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Transcript and gene, a line each, separated by a tab."),
    ] = None,
    fragment_mean: Annotated[
        float, typer.Option(min=1.0, help="Length of fragments (bases).")
    ] = 220.0,
    fragment_sd: Annotated[float, typer.Option(min=1.0, help="Its standard deviation.")] = 30.0,
    read_length: Annotated[
        int, typer.Option(min=31, help="Bases that are read from each end of a fragment.")
    ] = 75,
    layers: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="L", help="Keep the first L bootstraps beside the statistics of all."
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="P", help="That estimate; by default one for each core, if it pays."
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Simulate cells that kallisto has quantified with bootstraps; the truth is in the file."""
    import numpy as np

    from ..data.equivalence_classes import FragmentModel
    from ..data.files import require_h5ad
    from ..data.gene_structures import draw_transcripts
    from ..data.isoform_simulator import SimulationOptions, simulate_cells
    from ..data.isoform_usage import draw_gene_expression
    from .training import choose_device

    require_h5ad(out)
    if fragment_sd >= fragment_mean:
        raise DataError("--fragment-sd: is not less than --fragment-mean; choose a smaller one")
    generator = np.random.default_rng(seed)
    if transcripts is None:
        if t2g is not None:
            raise DataError("--t2g: is of real transcripts; give them with --transcripts")
        known = draw_transcripts(isoforms or _ISOFORMS, generator)
    else:
        known = _read(transcripts, t2g, isoforms)
    depth = depth or _READS_PER_ISOFORM * len(known.names)
    types = np.arange(cells) % cell_types
    expression = draw_gene_expression(types, len(np.unique(known.genes)), depth, generator)
    options = SimulationOptions(
        num_bootstraps=bootstraps,
        num_layers=layers,
        switching_share=switching,
        usage_noise=usage_noise,
        fragments=FragmentModel(fragment_mean, fragment_sd, read_length),
        num_processes=processes,
        device=choose_device(device).type,
    )
    names = np.array([f"type_{number}" for number in types])
    summary = simulate_cells(out, known, expression, names, generator, options)
    report({"out": str(out), **summary._asdict()}, as_json=json)


def _read(transcripts: Path, t2g: Path | None, isoforms: int | None) -> Transcripts:
    from ..data.transcripts import read_transcripts

    if isoforms is not None:
        raise DataError("--isoforms: is of simulated genes; leave it out with --transcripts")
    known, notes = read_transcripts(transcripts, t2g)
    for note in notes:
        print("exvae:", note, file=sys.stderr)
    return known
