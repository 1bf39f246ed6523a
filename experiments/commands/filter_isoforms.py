"""The command ``exvae isoforms filter``."""

# What is heavy is imported where it is used, so that the command line starts at once.
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json
from .reports import report


def filter_isoforms(
    cells: Annotated[
        Path, typer.Argument(metavar="CELLS.h5ad", help="As exvae isoforms import writes them.")
    ],
    out: Annotated[Path, typer.Option(metavar="OUT.h5ad", help="The file to write.")],
    min_cells: Annotated[
        int, typer.Option(min=1, metavar="N", help="Cells in which an isoform must have reads.")
    ],
    min_reads: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="R",
            help="That count as such, the mean of the bootstraps; by default all above zero.",
        ),
    ] = 0.0,
    json: Json = False,
) -> None:
    """Keep the isoforms that have reads in enough cells, for a fit that takes less time."""
    from ...data.quantified import filtering

    summary = filtering.filter_isoforms(cells, out, min_cells, min_reads)
    report({"out": str(out), **summary._asdict()}, as_json=json)
