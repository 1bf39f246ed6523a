"""The command ``exvae isoforms import``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from ..fitting.workers import joined, number_of_processes
from . import panels
from .options import Json, existing_folders
from .reports import report, tell


def _folders(paths: list[Path] | None) -> list[Path]:
    return existing_folders(paths or [])


Directories = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[DIR...]",
        help="Output folder of kallisto quant or salmon quant, or a folder of such folders.",
        callback=_folders,
    ),
]
Out = Annotated[
    Path | None,
    panels.common(metavar="CELLS.h5ad", help="The file to write, replaced if it exists."),
]
Sheet = Annotated[
    Path | None,
    panels.data(
        metavar="FILE.csv", help="Table with the columns name and path, a row for each cell."
    ),
]
Genes = Annotated[
    Path | None,
    panels.common(metavar="FILE", help="Table of transcript and gene, separated by a tab."),
]
Obs = Annotated[
    Path | None,
    panels.common(metavar="FILE.csv", help="Table of cells; the first column has their names."),
]
ObsKey = Annotated[
    str | None,
    panels.data(metavar="COLUMN", help="Column of --obs with the names, if not the first."),
]
OnlyListed = Annotated[bool, panels.data("--only-listed", help="Leave out cells not in --obs.")]
SkipBad = Annotated[
    bool,
    panels.data("--skip-bad", help="Go on without bad cells, and list them in bad_cells.csv."),
]
MaxBootstraps = Annotated[
    int | None,
    panels.data(min=1, metavar="B", help="Read the first B of each cell; by default all."),
]
Layers = Annotated[
    int | None,
    panels.data(
        min=0, metavar="L", help="Keep the first L bootstraps beside the statistics of all."
    ),
]
Processes = Annotated[
    int | None,
    panels.advanced(
        min=1, metavar="N", help="Processes that read; by default one per core, if it pays."
    ),
]
List = Annotated[
    bool, panels.common("--list", help="Show cells, formats and problems; write nothing.")
]
Reads = Annotated[
    bool,
    panels.reads(
        "--reads",
        help="Import classes of reads, of kallisto bus and bustools or of salmon --dumpEq.",
    ),
]
Bootstraps = Annotated[
    int, panels.reads(min=2, metavar="B", help="With --reads: bootstraps to draw for each cell.")
]
MaxMembers = Annotated[
    int | None,
    panels.reads(
        min=1, metavar="N", help="With --reads: leave out reads that fit more isoforms than N."
    ),
]
Lengths = Annotated[
    Path | None,
    panels.reads(
        metavar="FILE",
        help="With --reads: names and lengths of transcripts, or FASTA, where bustools' folder "
        "has none.",
    ),
]
Transcripts = Annotated[
    Path | None,
    panels.reads(
        metavar="FASTA",
        help="With --reads: transcripts that were indexed; the isoforms that a read fits are then "
        "weighed by their sequences, not only by their lengths; stands for --lengths as well.",
    ),
]
ReadLength = Annotated[
    int,
    panels.reads(
        min=31, metavar="BASES", help="With --transcripts: bases read from each end of a fragment."
    ),
]
FragmentMean = Annotated[
    float | None,
    panels.reads(
        min=1.0,
        metavar="BASES",
        help="With --transcripts: mean length of fragments, and its standard deviation "
        "(--fragment-sd); by default as counted by kallisto bus.",
    ),
]
FragmentSd = Annotated[float | None, panels.reads(min=1.0, metavar="BASES", hidden=True)]
Seed = Annotated[int, panels.reads(min=0, help="With --reads: seed of the bootstraps.")]


def import_cells(
    directories: Directories = None,
    out: Out = None,
    sheet: Sheet = None,
    t2g: Genes = None,
    obs: Obs = None,
    obs_key: ObsKey = None,
    only_listed: OnlyListed = False,
    skip_bad: SkipBad = False,
    max_bootstraps: MaxBootstraps = None,
    layers: Layers = None,
    list_only: List = False,
    reads: Reads = False,
    bootstraps: Bootstraps = 20,
    max_members: MaxMembers = None,
    lengths: Lengths = None,
    transcripts: Transcripts = None,
    read_length: ReadLength = 75,
    fragment_mean: FragmentMean = None,
    fragment_sd: FragmentSd = None,
    seed: Seed = 0,
    processes: Processes = None,
    json: Json = False,
) -> None:
    """Import cells that kallisto or salmon quantified with bootstraps, or their reads.

    $ exvae isoforms import quantified --list

    $ exvae isoforms import quantified --t2g t2g.tsv --out all.h5ad
    """
    if not directories and sheet is None:
        raise typer.BadParameter("give folders of cells, or --sheet")
    if list_only:
        _show(directories or [], sheet, json)
        return
    if reads and (max_bootstraps or processes):
        raise typer.BadParameter("--reads draws --bootstraps B in this process; leave out others")
    if transcripts and not reads:
        raise typer.BadParameter("--transcripts weighs classes of reads; give --reads as well")
    if out is None:
        raise typer.BadParameter("give --out CELLS.h5ad, or --list to see the cells")
    several = number_of_processes() > 1
    if several and processes:
        raise typer.BadParameter("torchrun has started the processes; leave out --processes")
    if reads:
        from ...data.reads.importing import ReadOptions
        from ...data.reads.importing import import_reads as import_all

        drawn = (bootstraps, layers, max_members, seed)
        weighed = (transcripts, read_length, fragment_mean, fragment_sd)
        options = ReadOptions(*drawn, skip_bad, lengths, *weighed, sheet, obs_key, only_listed)
    else:
        from ...data.quantified.importing import ImportOptions
        from ...data.quantified.importing import import_cells as import_all

        options = ImportOptions(
            max_bootstraps, layers, processes, skip_bad, sheet, obs_key, only_listed
        )
    with joined(out) as workers:
        if not workers.first:
            deque(workers.map_in_order(None, []), maxlen=0)  # works on cells of the first one
            return
        shared = workers.map_in_order if several else None
        summary = import_all(directories or [], out, t2g, obs, options, shared)
    tell(summary.notes)
    values = {"out": os.fspath(out), **summary._asdict()}
    del values["notes"]
    report(values, as_json=json)


def _show(directories: list[Path], sheet: Path | None, as_json: bool) -> None:
    """Print a table of the cells, or one JSON object."""
    from ...data.quantified.overview import ListedCell, list_cells

    cells, notes = list_cells(directories, sheet)
    tell(notes)
    num_bad = sum(bool(cell.problem) for cell in cells)
    values = {"cells": len(cells), "with_problems": num_bad}
    if as_json:
        report({**values, "table": [cell._asdict() for cell in cells]}, as_json=True)
        return
    shown = [name for name in ListedCell._fields if name != "path"]
    rows = [
        ["" if value is None else str(value) for value in map(cell._asdict().get, shown)]
        for cell in cells
    ]
    widths = [max(map(len, column)) for column in zip(shown, *rows, strict=True)]
    for row in (shown, *rows):
        padded = (f"{text:<{width}}" for text, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())
    print()
    report(values, as_json=False)
