"""The commands ``exvae lda check`` and ``exvae isoforms check``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ...data.errors import DataError
from ...data.files import require_folder
from ..checks.settings import MAX_CELLS, REPLICATES
from . import panels
from .corpora import CorpusPath, DropUnknown, Id, Label, Text, Vocabulary, read_for
from .isoforms import read
from .options import Backed, CellsFile, Device, Fit, Json, Seed, Trust
from .reports import report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..checks.comparison import Check
    from ..drawing.panels import Panel

Out = Annotated[
    Path,
    panels.common(
        metavar="DIR", help="Folder for check.png, check_statistics.csv and check_curves.csv."
    ),
]
Latents = Annotated[
    Literal["posterior", "prior"],
    panels.common(
        help="posterior replicates the given datapoints, with latent variables from the guide; "
        "prior makes new ones, with latent variables from the prior."
    ),
]
Replicates = Annotated[
    int,
    panels.common(
        min=2,
        metavar="R",
        help="Number of data sets to generate; p-values are told apart by 1 / (R + 1).",
    ),
]


def check_documents(
    fit: Fit,
    corpus: CorpusPath,
    out: Out,
    split: Annotated[
        Literal["train", "val", "test", "all"], panels.common(help="Documents to check.")
    ] = "test",
    latents: Latents = "posterior",
    replicates: Replicates = REPLICATES,
    text: Text = None,
    label: Label = None,
    id: Id = None,
    vocabulary: Vocabulary = None,
    drop_unknown: DropUnknown = False,
    seed: Seed = 0,
    device: Device = "auto",
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Compare documents with documents that the fit generates: word frequencies and bursts.

    $ exvae lda check TOPICS corpus.tsv --out check
    """
    from ..checks import documents
    from ..checks.comparison import Replication
    from ..lda import fitting as lda

    _make(out)
    loaded = lda.load(fit, device, trust=trust)
    check = documents.check_documents(
        loaded,
        read_for(loaded, corpus, text, label, id, vocabulary, drop_unknown=drop_unknown),
        split=split,
        replication=Replication(latents, replicates, seed),
    )
    _report(check, documents.PANELS, out, as_json=json)


def check_cells(
    fit: Fit,
    cells: CellsFile,
    out: Out,
    subset: Annotated[
        Literal["all", "train", "held-out"], panels.common(help="Cells to check.")
    ] = "all",
    latents: Latents = "posterior",
    replicates: Replicates = REPLICATES,
    max_cells: Annotated[
        int,
        panels.common(min=1, metavar="N", help="Of more cells N, drawn at random, are checked."),
    ] = MAX_CELLS,
    seed: Seed = 0,
    device: Device = "auto",
    backed: Backed = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Compare cells with cells that the fit generates: zeros, variances and library sizes.

    $ exvae isoforms check FIT cells.h5ad --out check
    """
    from ..checks import cells as checks
    from ..checks.comparison import Replication
    from ..isoforms import fitting as isoforms

    _make(out)
    loaded = isoforms.load(fit, device, trust=trust)
    check = checks.check_cells(
        loaded,
        read(cells, backed, **loaded.keys),
        subset=subset,
        replication=Replication(latents, replicates, seed),
        max_cells=max_cells,
    )
    _report(check, checks.PANELS, out, as_json=json)


def _make(folder: Path) -> None:
    require_folder(folder)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; choose another --out")


def _report(check: Check, panels: Sequence[Panel], out: Path, *, as_json: bool) -> None:
    """Write picture and numbers, and print verdicts and paths."""
    from ..drawing.checks import draw_check
    from ..drawing.saving import save, save_table

    out.mkdir(exist_ok=True)
    picture = out / "check.png"
    tables = {
        out / "check_statistics.csv": check.statistics,
        out / "check_curves.csv": check.curves,
    }
    save(draw_check(check, panels), picture)
    for path, table in tables.items():
        save_table(table, path)
    files = [str(path) for path in (picture, *tables)]
    if as_json:
        verdicts = dict(
            zip(check.statistics["statistic"], check.statistics["verdict"], strict=True)
        )
        values = {"p_values": check.p_values, "verdicts": verdicts, "scope": check.scope}
        report({**values, "files": files}, as_json=True)
        return
    print(check)
    report({"files": files}, as_json=False)
