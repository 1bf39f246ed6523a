"""The command ``exvae isoforms filter``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

from pathlib import Path
from typing import Annotated

from . import panels
from .options import CellsFile, Json
from .reports import report


def filter_isoforms(
    cells: CellsFile,
    out: Annotated[
        Path, panels.common(metavar="OUT.h5ad", help="The file to write, replaced if it exists.")
    ],
    min_cells: Annotated[
        int,
        panels.common(min=1, metavar="N", help="Least number of cells with reads of an isoform."),
    ],
    min_reads: Annotated[
        float,
        panels.common(
            min=0.0,
            metavar="R",
            help="Least mean bootstrap (reads) that counts; by default any above zero.",
        ),
    ] = 0.0,
    json: Json = False,
) -> None:
    """Keep the isoforms that have reads in enough cells, so that a fit takes less time.

    $ exvae isoforms filter all.h5ad --min-cells 10 --out cells.h5ad
    """
    from ...data.quantified import filtering

    summary = filtering.filter_isoforms(cells, out, min_cells, min_reads)
    report({"out": str(out), **summary._asdict()}, as_json=json)
