"""The command ``exvae isoforms simulate``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...data.errors import DataError
from . import panels
from .options import Json, Seed
from .reports import report, tell

if TYPE_CHECKING:
    import numpy as np

    from ...data.reads.transcripts import Transcripts
    from ...data.simulators.expression import GeneExpression

# Defaults: reads of a cell for each isoform, isoforms, cell types, and captured share of molecules.
_READS_PER_ISOFORM, _ISOFORMS, _CELL_TYPES, _CAPTURE = 10.0, 500, 5, 0.1
# Bounds far beyond any experiment.
_MOST_READS, _LONGEST_FRAGMENT = 1e9, 1e5


def simulate(
    out: Annotated[
        Path, typer.Argument(metavar="OUT.h5ad", help="The file to write, replaced if it exists.")
    ],
    cells: Annotated[int, panels.common(min=1, metavar="N", help="Number of cells.")] = 200,
    isoforms: Annotated[
        int | None,
        panels.common(
            min=1, metavar="G", help=f"Number of isoforms of made-up genes; default {_ISOFORMS}."
        ),
    ] = None,
    bootstraps: Annotated[int, panels.common(min=1, metavar="B", help="Bootstraps per cell.")] = 30,
    expression: Annotated[
        Literal["symsim", "simple"],
        panels.model(
            help="Gene expression: as in SymSim, or log-normal changes between cell types without "
            "loss before sequencing."
        ),
    ] = "symsim",
    tree: Annotated[
        str | None,
        panels.model(
            metavar="NEWICK",
            help="Tree of SymSim's populations, the cell types, such as "
            "'((A:1,B:1):2,C:3);'; by default SymSim's Phyla5.",
        ),
    ] = None,
    capture: Annotated[
        float | None,
        panels.model(
            min=0.001,
            max=1.0,
            metavar="SHARE",
            help=f"Mean captured share of a cell's molecules in SymSim; default {_CAPTURE}.",
        ),
    ] = None,
    cell_types: Annotated[
        int | None,
        panels.model(
            min=1, metavar="T", help=f"Cell types of --expression simple; default {_CELL_TYPES}."
        ),
    ] = None,
    batches: Annotated[
        int, panels.model(min=1, metavar="N", help="Batches, each of which scales genes.")
    ] = 1,
    batch_depth_ratio: Annotated[
        float,
        panels.model(
            min=1e-4, max=1e4, metavar="R", help="Depth of the last batch over that of the first."
        ),
    ] = 1.0,
    depth: Annotated[
        float | None,
        panels.common(
            min=1.0,
            max=_MOST_READS,
            metavar="READS",
            help=f"Mean reads per cell; by default {_READS_PER_ISOFORM:g} for each isoform.",
        ),
    ] = None,
    switching: Annotated[
        float,
        panels.model(
            min=0.0,
            max=1.0,
            help="Share of the genes with several isoforms whose usage differs between cell types.",
        ),
    ] = 0.35,
    usage_noise: Annotated[
        float,
        panels.model(
            min=0.0,
            max=0.99,
            help="Variance of usage between cells of a type: 0 none, near 1 one isoform per cell.",
        ),
    ] = 0.0,
    transcripts: Annotated[
        Path | None,
        panels.data(
            metavar="FASTA",
            help="Real transcripts, such as a chromosome's, instead of made-up ones.",
        ),
    ] = None,
    t2g: Annotated[
        Path | None,
        panels.data(metavar="FILE", help="Table of transcript and gene, separated by a tab."),
    ] = None,
    fragment_mean: Annotated[
        float,
        panels.data(min=1.0, max=_LONGEST_FRAGMENT, help="Mean length of fragments (bases)."),
    ] = 220.0,
    fragment_sd: Annotated[
        float, panels.data(min=1.0, help="Standard deviation of the length.")
    ] = 30.0,
    read_length: Annotated[
        int, panels.data(min=31, help="Bases read from each end of a fragment.")
    ] = 75,
    layers: Annotated[
        int | None,
        panels.advanced(
            min=0, metavar="L", help="Keep the first L bootstraps beside the statistics of all."
        ),
    ] = None,
    processes: Annotated[
        int | None,
        panels.advanced(
            min=1, metavar="P", help="Processes that quantify; by default one per core, if it pays."
        ),
    ] = None,
    reads: Annotated[
        bool, panels.data("--reads", help="Write the reads by the isoforms that they fit, too.")
    ] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Simulate cells that kallisto quantified with bootstraps; the file holds the truth.

    $ exvae isoforms simulate simulated.h5ad --cells 200 --isoforms 300
    """
    import numpy as np

    from ...data.files import require_h5ad
    from ...data.reads.class_probabilities import FragmentModel
    from ...data.simulators.cells import SimulationOptions, simulate_cells
    from ...data.simulators.expression import add_batches, draw_simple_expression
    from ...data.simulators.gene_structures import draw_transcripts

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
        drawn = add_batches(drawn, batches, generator, depth_ratio=batch_depth_ratio)
    options = SimulationOptions(
        num_bootstraps=bootstraps,
        num_layers=layers,
        switching_share=switching,
        usage_noise=usage_noise,
        fragments=FragmentModel(fragment_mean, fragment_sd, read_length),
        keep_reads=reads,
        num_processes=processes,
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
    """Refuse an option of another kind of expression."""
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
    from ...data.reads.transcripts import read_transcripts

    if isoforms is not None:
        raise DataError("--isoforms: is of simulated genes; leave it out with --transcripts")
    known, notes = read_transcripts(transcripts, t2g)
    tell(notes)
    return known
