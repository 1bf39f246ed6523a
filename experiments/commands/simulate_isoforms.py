"""The command ``exvae isoforms simulate``."""

# What is heavy is imported where it is used, so that the command line starts at once.
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...data.errors import DataError
from .options import Device, Json, Seed
from .reports import report

if TYPE_CHECKING:
    import numpy as np

    from ...data.simulators.expression import GeneExpression
    from ...data.simulators.transcripts import Transcripts

# Reads of a cell for each isoform, isoforms, cell types, and the share of molecules that is
# captured, where nothing is said.
_READS_PER_ISOFORM, _ISOFORMS, _CELL_TYPES, _CAPTURE = 10.0, 500, 5, 0.1
# Far beyond any experiment.
_MOST_READS, _LONGEST_FRAGMENT = 1e9, 1e5


def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT.h5ad", help="The file to write.")],
    cells: Annotated[int, typer.Option(min=1, metavar="N")] = 200,
    isoforms: Annotated[
        int | None,
        typer.Option(min=1, metavar="G", help=f"Of simulated genes; {_ISOFORMS} by default."),
    ] = None,
    bootstraps: Annotated[int, typer.Option(min=1, metavar="B", help="Of each cell.")] = 30,
    expression: Annotated[
        Literal["symsim", "simple"],
        typer.Option(
            help="Of genes: as SymSim simulates it, or log-normal changes between cell types, with "
            "nothing lost before sequencing."
        ),
    ] = "symsim",
    tree: Annotated[
        str | None,
        typer.Option(
            metavar="NEWICK",
            help="Of the populations of SymSim, which are the cell types, such as "
            "'((A:1,B:1):2,C:3);'; by default its Phyla5.",
        ),
    ] = None,
    capture: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1.0,
            metavar="SHARE",
            help=f"Of the molecules of a cell in SymSim, on average; {_CAPTURE} by default.",
        ),
    ] = None,
    cell_types: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="T", help=f"With --expression simple; {_CELL_TYPES} by default."
        ),
    ] = None,
    batches: Annotated[
        int, typer.Option(min=1, metavar="N", help="Each scales genes; in column batch of obs.")
    ] = 1,
    depth: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            max=_MOST_READS,
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
        float, typer.Option(min=1.0, max=_LONGEST_FRAGMENT, help="Length of fragments (bases).")
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

    from ...data.files import require_h5ad
    from ...data.simulators.cells import SimulationOptions, simulate_cells
    from ...data.simulators.expression import add_batches, draw_simple_expression
    from ...data.simulators.gene_structures import draw_transcripts
    from ...data.simulators.kallisto.equivalence_classes import FragmentModel
    from ..fitting.training import choose_device

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
    if expression == "symsim":
        _refuse(cell_types, "--cell-types", "simple")
        drawn = _draw_symsim(cells, known.gene_lengths, depth, tree, capture or _CAPTURE, generator)
    else:
        _refuse(tree, "--tree", "symsim")
        _refuse(capture, "--capture", "symsim")
        num_genes = len(known.gene_lengths)
        drawn = draw_simple_expression(
            cells, cell_types or _CELL_TYPES, num_genes, depth, generator
        )
    if batches > 1:
        drawn = add_batches(drawn, batches, generator)
    options = SimulationOptions(
        num_bootstraps=bootstraps,
        num_layers=layers,
        switching_share=switching,
        usage_noise=usage_noise,
        fragments=FragmentModel(fragment_mean, fragment_sd, read_length),
        num_processes=processes,
        device=choose_device(device).type,
    )
    summary = simulate_cells(
        out,
        known,
        drawn.molecules,
        drawn.cell_types,
        generator,
        options,
        obs=drawn.obs,
        provenance={**drawn.provenance, "seed": seed},
    )
    report({"out": str(out), **summary._asdict()}, as_json=json)


def _refuse(value: object, option: str, expression: str) -> None:
    """Refuse an option that another simulation of expression has."""
    if value is not None:
        raise DataError(f"{option}: is of --expression {expression}; choose that, or leave it out")


def _draw_symsim(
    cells: int,
    gene_lengths: np.ndarray,
    depth: float,
    tree: str | None,
    capture: float,
    generator: np.random.Generator,
) -> GeneExpression:
    from ...data.simulators.expression import draw_symsim_expression
    from ...data.simulators.symsim.population_tree import parse_newick
    from ...data.simulators.symsim.settings import PHYLA5

    tree = PHYLA5 if tree is None else tree
    try:
        populations = parse_newick(tree).populations
    except ValueError as error:
        raise DataError(f"--tree: {error}") from error
    if cells < len(populations):
        raise DataError(
            f"--cells: is {cells}, but the tree has {len(populations)} populations; simulate more"
        )
    return draw_symsim_expression(cells, gene_lengths, depth, generator, tree=tree, capture=capture)


def _read(transcripts: Path, t2g: Path | None, isoforms: int | None) -> Transcripts:
    from ...data.simulators.transcripts import read_transcripts

    if isoforms is not None:
        raise DataError("--isoforms: is of simulated genes; leave it out with --transcripts")
    known, notes = read_transcripts(transcripts, t2g)
    for note in notes:
        print("exvae:", note, file=sys.stderr)
    return known
