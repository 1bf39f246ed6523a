"""The command ``exvae isoforms import``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .options import existing_folders
from .reports import report, tell


def _folders(paths: list[Path] | None) -> list[Path]:
    return existing_folders(paths or [])


def import_cells(
    out: Annotated[Path, typer.Option(metavar="CELLS.h5ad", help="The file to write.")],
    directories: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[DIR...]",
            help="Output folder of kallisto quant or salmon quant, or a folder of such folders.",
            callback=_folders,
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv", help="Table with the columns name and path, a row for each cell."
        ),
    ] = None,
    t2g: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of transcript and gene, separated by a tab."),
    ] = None,
    obs: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Table of cells; the first column has their names."),
    ] = None,
    obs_key: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of --obs with the names, if not the first."),
    ] = None,
    only_listed: Annotated[
        bool, typer.Option("--only-listed", help="Leave out cells that --obs lacks.")
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Go on without bad cells, and list them in bad_cells.csv."),
    ] = False,
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
            min=1, metavar="N", help="Processes that read; by default one per core, if it pays."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Import cells that kallisto or salmon quantified with bootstraps."""
    from ...data.quantified import importing

    if not directories and sheet is None:
        raise typer.BadParameter("give folders of cells, or --sheet")
    options = importing.ImportOptions(
        max_bootstraps, layers, processes, skip_bad, sheet, obs_key, only_listed
    )
    summary = importing.import_cells(directories or [], out, t2g, obs, options)
    tell(summary.notes)
    values = {"out": os.fspath(out), **summary._asdict()}
    del values["notes"]
    report(values, as_json=json)
