"""The command ``exvae figures``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ...data.errors import DataError
from ...data.files import require_folder
from ..figures.registry import FIGURES, GROUPS, chosen, module_of
from . import panels
from .options import GeneKey, Json, Seed
from .reports import report

if TYPE_CHECKING:
    from types import ModuleType

    from ...data.cells import Cells
    from ...data.corpora import Corpus
    from ..figures.workshop import Workshop


def figures(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A figure, lda, isoforms, or all; list names.")
    ],
    out: Annotated[
        Path | None, panels.common(metavar="DIR", help="Folder for NAME.png and NAME.csv.")
    ] = None,
    quick: Annotated[
        bool, panels.common("--quick", help="Tiny sizes, to see whether everything runs.")
    ] = False,
    corpus: Annotated[
        list[Path] | None,
        panels.common(metavar="CORPUS", help="Shown beside the simulated one; may be repeated."),
    ] = None,
    cells: Annotated[
        list[Path] | None,
        panels.common(metavar="CELLS.h5ad", help="Shown beside simulated ones; may be repeated."),
    ] = None,
    gene_key: GeneKey = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Draw the paper's figures: a PNG and the numbers behind it as CSV, one figure after another.

    Figures of an earlier run are replaced one by one.

    $ exvae figures list

    $ exvae figures lda --quick --out figures
    """
    if name == "list":
        report(FIGURES, as_json=json)
        return
    names = chosen(name)
    if not names:
        known = ", ".join([*FIGURES, *GROUPS, "all"])
        raise DataError(f"{name}: is no figure; choose one of {known}")
    if out is None:
        raise DataError("--out: is missing; give a folder for the figures")
    require_folder(out)
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file; choose another --out")
    from ..figures.workshop import Workshop

    corpora = {name: _read_corpus(path) for name, path in _named(corpus).items()}
    given = {name: _read_cells(path, gene_key) for name, path in _named(cells).items()}
    modules = {each: module_of(each) for each in names}
    out.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder), quick, seed, corpora, given)
        made = {each: _draw(each, module, workshop, out) for each, module in modules.items()}
    report(made, as_json=json)


def _named(paths: list[Path] | None) -> dict[str, Path]:
    """Name files by their own names, or by those of their folders."""
    named: dict[str, Path] = {}
    for path in paths or []:
        # Files are often all called corpus, or cells; then their folders tell them apart.
        plain = path.stem in ("corpus", "cells") and path.parent.name
        name = path.parent.name if plain else path.stem
        if name in named:
            raise DataError(f"{path}: is called {name} as {named[name]} is; rename one of them")
        named[name] = path
    return named


def _read_corpus(path: Path) -> Corpus:
    from ...data.corpus_formats import read_corpus

    return read_corpus(path)


def _read_cells(path: Path, gene_key: str | None) -> Cells:
    from ...data.h5ad.reading import read_cells

    cells = read_cells(path, gene_key=gene_key)
    cells.require_bootstraps()
    if not cells.bootstraps:
        raise DataError(
            f"{path}: holds statistics of the bootstraps only; import it with bootstraps"
        )
    return cells


def _draw(name: str, module: ModuleType, workshop: Workshop, out: Path) -> dict[str, object]:
    """Make one figure; the picture is drawn from the CSV that is left beside it."""
    import pandas as pd

    from ..drawing.saving import save, save_table

    print(f"exvae: {name}: {FIGURES[name]}", file=sys.stderr)
    started = time.perf_counter()
    table = module.measure(workshop)
    numbers, picture = out / f"{name}.csv", out / f"{name}.png"
    save_table(table, numbers)
    table = pd.read_csv(numbers, float_precision="round_trip")
    save(module.draw(table), picture)
    summary = module.summarise(table)
    seconds = time.perf_counter() - started
    return {**summary, "seconds": seconds, "picture": str(picture), "numbers": str(numbers)}
