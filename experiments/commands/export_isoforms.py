"""The command ``exvae isoforms export``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer.core import TyperCommand

from ...data.errors import DataError
from ..isoforms import settings
from . import panels
from .isoforms import Samples
from .options import CellsFile, Device, Fit, Json, Seed, Trust, names_in
from .reports import report, tell


class ManyQuantiles(TyperCommand):
    """A command whose option ``--quantiles`` takes all numbers up to the next option."""

    def parse_args(self, context, arguments: list[str]) -> list[str]:
        """Repeat the option before each of its numbers."""
        repeated, within = [], False
        for argument in arguments:
            if argument == "--quantiles":
                within = True
                continue
            within = within and not argument.startswith("-")
            repeated += ["--quantiles", argument] if within else [argument]
        return super().parse_args(context, repeated)


def export(
    fit: Fit,
    cells: CellsFile,
    out: Annotated[
        Path,
        panels.common(
            metavar="OUT.h5ad|OUT.zarr",
            help="The file, replaced if it exists, or the new zarr store to write.",
        ),
    ],
    level: Annotated[
        Literal["isoform", "gene"], panels.common(help="Isoforms, or sums over each gene.")
    ] = "isoform",
    library_size: Annotated[
        str,
        panels.common(
            metavar="N|tpm",
            help="Reads in the cell to which expression_normalised is normalised; tpm: transcripts "
            "per million.",
        ),
    ] = f"{settings.LIBRARY_SIZE:g}",
    quantiles: Annotated[
        list[float], panels.common(metavar="Q...", help="Probabilities of exported quantiles.")
    ] = list(settings.QUANTILES),  # noqa: B006  (read only)
    transform_batch: Annotated[
        str | None, panels.data(metavar="NAME", help="Batch to which expression is converted.")
    ] = None,
    new_batches: Annotated[
        Literal["average"] | None,
        panels.data(help="Take cells of unknown batches as of each known batch in turn."),
    ] = None,
    draws: Annotated[
        int,
        panels.data(
            min=0,
            metavar="N",
            help="Number of posterior draws to write as infRep1 ... instead of the bootstraps.",
        ),
    ] = 0,
    genes: Annotated[
        Path | None,
        panels.data(metavar="FILE", help="Names of the genes to write, one a line or by spaces."),
    ] = None,
    no_bootstraps: Annotated[
        bool,
        panels.data("--no-bootstraps", help="Leave out the bootstraps and their statistics."),
    ] = False,
    csv: Annotated[
        Path | None,
        panels.data(metavar="DIR", help="New folder for a copy in CSV and MatrixMarket, for R."),
    ] = None,
    samples: Samples = settings.POSTERIOR_SAMPLES,
    seed: Seed = 0,
    device: Device = "auto",
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Export cells with their states and expression for scanpy, or for R.

    An entry of the sparse layers is zero if more than one read is improbable (less than 5 %).

    $ exvae isoforms export FIT cells.h5ad --out expression.h5ad

    $ exvae isoforms export FIT cells.h5ad --level gene --out genes.h5ad
    """
    from ..isoforms import exporting, fitting
    from ..isoforms.notes import notes_of_intervals

    loaded = fitting.load(fit, device, trust=trust)
    written = exporting.export(
        loaded,
        cells,
        out,
        csv=csv,
        level=level,
        library_size=_library_size(library_size),
        quantiles=quantiles,
        num_samples=samples,
        seed=seed,
        transform_batch=transform_batch,
        new_batches=new_batches,
        draws=draws,
        genes=None if genes is None else names_in(genes),
        bootstraps=not no_bootstraps,
    )
    tell(notes_of_intervals(loaded.config["model"]["model"]))
    report(written, as_json=json)


def _library_size(value: str) -> float | str:
    if value == "tpm":
        return value
    try:
        return float(value)
    except ValueError:
        raise DataError(f"--library-size is {value}; give a positive number or tpm") from None
