"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Fit = Annotated[Path, typer.Argument(metavar="FIT", help="Folder of a fit.")]
NewFit = Annotated[Path, typer.Option(metavar="FIT", help="Folder to write.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all random draws.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
