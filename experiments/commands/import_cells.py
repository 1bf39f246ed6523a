"""The command ``exvae isoforms import``."""

# What is heavy is imported where it is used, so that the command line starts at once.
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .reports import report


def import_cells(
    directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Output of kallisto quant or salmon quant for one cell, or folders of such.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="CELLS.h5ad", help="The file to write.")],
    t2g: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Transcript and gene, a line each, separated by a tab."),
    ] = None,
    obs: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Columns about cells; the first names them."),
    ] = None,
    max_bootstraps: Annotated[
        int | None,
        typer.Option(min=1, metavar="B", help="Read the first B of each cell; by default all."),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="L", help="Keep the first L bootstraps beside the statistics of all."
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="That read; by default one for each core, if it pays."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Import cells that kallisto or salmon has quantified with bootstraps."""
    from ...data.quantified import importing

    options = importing.ImportOptions(max_bootstraps, layers, processes)
    summary = importing.import_cells(directories, out, t2g, obs, options)
    for note in summary.notes:
        print("exvae:", " ".join(note.split()), file=sys.stderr)
    values = {"out": os.fspath(out), **summary._asdict()}
    del values["notes"]
    report(values, as_json=json)
