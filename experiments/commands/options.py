"""Arguments and options that several commands share."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ...data.errors import DataError
from ...data.files import reading
from . import panels

# Checked before anything heavy is imported, so that errors come at once.


def existing_fit(folder: Path) -> Path:
    """Return a folder; DataError if it holds no fit."""
    if not os.path.isfile(folder / "config.json"):
        raise DataError(f"{folder}: is no fit (config.json cannot be read); give its folder")
    if not (folder / "checkpoint.pt").is_file():
        raise DataError(f"{folder}: is no fit (it has no checkpoint.pt yet); fit again")
    return folder


def existing_cells(path: Path) -> Path:
    """Return a path; DataError if it is neither an HDF5 file nor a zarr store."""
    from ...data.h5ad.opening import open_h5ad
    from ...data.h5ad.zarr_stores import is_zarr, open_zarr

    if is_zarr(path):
        open_zarr(path)
        return path
    with open_h5ad(path):
        return path


def existing_folders(paths: list[Path]) -> list[Path]:
    """Return paths; DataError if one is no folder."""
    for path in paths:
        if not os.path.isdir(path):
            problem = "is a file" if os.path.exists(path) else "does not exist"
            raise DataError(f"{path}: {problem}; give directories of kallisto or salmon results")
    return paths


def existing_corpus(path: Path) -> Path:
    """Return a path; DataError if there is no such file or folder."""
    if not os.path.exists(path):
        raise DataError(f"{path}: no such file or folder; check the path")
    return path


def names_in(path: Path) -> list[str]:
    """Read names of genes, one a line or by spaces.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    with reading(path, "no such file", "give a text file with names of genes"):
        return path.read_text(encoding="utf-8").split()


Fit = Annotated[Path, typer.Argument(metavar="FIT", help="Folder of a fit.", callback=existing_fit)]
CellsFile = Annotated[
    Path,
    typer.Argument(
        metavar="CELLS.h5ad",
        help="Cells, from exvae isoforms import; or a .zarr store.",
        callback=existing_cells,
    ),
]
GeneKey = Annotated[
    str | None,
    panels.data(
        metavar="COLUMN",
        help="Column of var with the gene of an isoform; by default gene, or gene_id of tximeta.",
    ),
]
Backed = Annotated[
    bool | None,
    panels.advanced(
        "--backed/--in-memory",
        help="Leave the cells on disk, or read all into memory; by default those stay on disk that "
        "do not fit.",
    ),
]
NewFit = Annotated[Path, panels.common(metavar="FIT", help="Folder to write.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], panels.advanced(help="Device to compute on.")]
Seed = Annotated[int, panels.advanced(min=0, help="Seed of all random draws.")]
Resume = Annotated[bool, panels.training("--resume", help="Resume from the checkpoint.")]
Trust = Annotated[
    bool,
    panels.advanced(
        "--trust", help="Run classes of other packages that the fit names, as module:Class."
    ),
]
Json = Annotated[bool, panels.common("--json", help="One JSON object on standard output.")]
Epochs = Annotated[int, panels.training(min=1, help="Passes over the data.")]
LearningRate = Annotated[float, panels.training(min=0.0, help="Learning rate of Adam.")]
Pooling = Annotated[
    str,
    panels.model(
        metavar="NAME", help="Pooling of the encoder: sum, mean, max, moments or module:Class."
    ),
]
Set = Annotated[
    list[str],
    panels.model(
        "--set",
        metavar="NAME=VALUE",
        help="Argument of the constructor of a model, decoder or guide; may be repeated. VALUE is "
        "a word or JSON: 5, 0.5, true, [64,32].",
    ),
]


def parse_settings(
    settings: list[str], apart: Sequence[str] = (), **others: str | None
) -> dict[str, Any]:
    """Read options ``name=value``; a value that is not JSON is a string.

    Parameters
    ----------
    settings
        Values of ``--set``.
    apart
        Names that have options of their own and cannot be set.
    **others
        Options of the constructors that have an option of their own too; None if not given.

    Raises
    ------
    DataError
        If an option has no name or no value, is given twice, or cannot be set.

    Examples
    --------
    >>> parse_settings(["hidden_sizes=[64, 32]", "dispersion=batch"])
    {'hidden_sizes': [64, 32], 'dispersion': 'batch'}
    """
    options: dict[str, Any] = {name: own for name, own in others.items() if own is not None}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (name.isidentifier() and equals and value):
            raise DataError(f"--set {setting} is not of the form NAME=VALUE")
        if name in apart:
            raise DataError(f"--set {setting}: {name} has an option of its own; give --{name}")
        if name in options:
            raise DataError(f"--set {setting}: {name} is given twice; give it once")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options
