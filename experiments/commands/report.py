"""The command ``exvae report``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...data.errors import DataError
from ..checks.settings import REPLICATES
from . import panels
from .corpora import DropUnknown, Id, Label, Text, Vocabulary, read_for
from .isoforms import read
from .options import (
    Backed,
    Device,
    Fit,
    Json,
    Seed,
    Trust,
    existing_cells,
    existing_corpus,
    names_in,
)
from .reports import report as print_report

if TYPE_CHECKING:
    from ...data.corpora import Corpus
    from ..topic_model import TopicModel


def report(
    fit: Fit,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA", help="Cells (.h5ad) or a corpus; without them only the fit is shown."
        ),
    ] = None,
    out: Annotated[
        Path, panels.common(metavar="REPORT.html", help="The page, replaced if it exists.")
    ] = Path("report.html"),
    genes: Annotated[
        Path | None,
        panels.common(
            metavar="FILE",
            help="Genes that the page must hold, one a line or by spaces; those that vary most "
            "between cells fill the rest.",
        ),
    ] = None,
    groupby: Annotated[
        str | None,
        panels.common(metavar="COLUMN", help="Column of obs that groups the cells at first."),
    ] = None,
    text: Text = None,
    label: Label = None,
    id: Id = None,
    vocabulary: Vocabulary = None,
    drop_unknown: DropUnknown = False,
    replicates: Annotated[
        int,
        panels.advanced(
            min=0,
            metavar="R",
            help="Replicates of the posterior predictive check, at least 2; 0 leaves it out.",
        ),
    ] = REPLICATES,
    seed: Seed = 0,
    device: Device = "auto",
    backed: Backed = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Write one HTML page about a fit: training, quality, checks, cells and genes, or topics.

    $ exvae report FIT cells.h5ad --groupby cell_type --out report.html

    $ exvae report TOPICS corpus.tsv --out report.html
    """
    from ..loading import load
    from ..report.reporting import check_arguments
    from ..report.reporting import report as make
    from ..topic_model import TopicModel

    check_arguments(out, replicates)
    model = load(fit, device=device, trust=trust)
    content = None
    if isinstance(model, TopicModel):
        _refuse("an isoform model", genes=genes, groupby=groupby, backed=backed)
        content = _corpus(model, data, (text, label, id, vocabulary), drop_unknown)
    else:
        options = {"text": text, "label": label, "id": id, "vocabulary": vocabulary}
        options |= {"drop-unknown": drop_unknown or None}
        _refuse("a topic model", **options)
        if data is not None:
            model._cells = read(existing_cells(data), backed, **model._keys)
    names = [] if genes is None else names_in(genes)
    options = {"groupby": groupby, "replicates": replicates, "seed": seed}
    print_report(make(model, content, out, genes=names, **options), as_json=json)


def _refuse(kind: str, **options: Any) -> None:
    """Raise a DataError if an option is given that the fit has no use for."""
    for name, value in options.items():
        if value is not None:
            raise DataError(f"--{name} is for {kind}, and the fit is of the other kind; omit it")


def _corpus(
    model: TopicModel, path: Path | None, columns: tuple[Any, ...], drop_unknown: bool
) -> Corpus | None:
    """Read documents in the vocabulary of a model."""
    if path is None:
        return None
    return read_for(model.fitted, existing_corpus(path), *columns, drop_unknown=drop_unknown)
