"""The commands ``exvae lda check`` and ``exvae isoforms check``."""

# What is heavy is imported where it is used, so that the command line starts at once.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...data.errors import DataError
from ...data.files import require_folder
from .isoforms import CellsFile
from .lda import Corpus, DropUnknown
from .options import Device, Fit, Json, Seed
from .reports import report

if TYPE_CHECKING:
    from ..checks.comparison import Check

Out = Annotated[
    Path,
    typer.Option(
        metavar="DIR", help="Folder for check.png, check_statistics.csv and check_curves.csv."
    ),
]
Latents = Annotated[
    Literal["posterior", "prior"],
    typer.Option(
        help="Whether the very datapoints are replicated, their latent variables drawn from the "
        "guide, or new ones, drawn from the prior."
    ),
]
Replicates = Annotated[int, typer.Option(min=2, metavar="R", help="Data sets to generate.")]


def check_documents(
    fit: Fit,
    corpus: Corpus,
    out: Out,
    split: Annotated[Literal["train", "val", "test", "all"], typer.Option()] = "test",
    latents: Latents = "posterior",
    replicates: Replicates = 100,
    drop_unknown: DropUnknown = False,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Compare documents with documents that the fit generates: word frequency and lengths."""
    from ...data.corpus_formats import read_corpus
    from ..checks import documents
    from ..lda import fitting as lda

    _make(out)
    loaded = lda.load(fit, device)
    check = documents.check_documents(
        loaded,
        read_corpus(corpus, loaded.vocabulary, drop_unknown),
        split=split,
        latents=latents,
        num_replicates=replicates,
        seed=seed,
    )
    _report(check, documents.PANELS, out, as_json=json)


def check_cells(
    fit: Fit,
    cells: CellsFile,
    out: Out,
    subset: Annotated[Literal["all", "train", "held-out"], typer.Option()] = "all",
    latents: Latents = "posterior",
    replicates: Replicates = 100,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Compare cells with cells that the fit generates: zeros, variances and library sizes."""
    from ...data.h5ad.reading import read_cells
    from ..checks import cells as checks
    from ..isoforms import fitting as isoforms

    _make(out)
    loaded = isoforms.load(fit, device)
    check = checks.check_cells(
        loaded,
        read_cells(cells, loaded.batch_key),
        subset=subset,
        latents=latents,
        num_replicates=replicates,
        seed=seed,
    )
    _report(check, checks.PANELS, out, as_json=json)


def _make(folder: Path) -> None:
    require_folder(folder)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; choose another --out")


def _report(check: Check, panels: tuple, out: Path, *, as_json: bool) -> None:
    from ..drawing.checks import write_check

    out.mkdir(exist_ok=True)
    paths = write_check(check, panels, out)
    values = {"p_values": check.p_values, "files": [str(path) for path in paths]}
    report(values, as_json=as_json)
