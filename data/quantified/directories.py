"""Directories of cells quantified by kallisto or salmon with bootstraps: found, and read.

===================== ==========================================================================
kallisto              ``abundance.h5``
kallisto --plaintext  ``abundance.tsv``, ``bs_abundance_0.tsv`` or ``bs_abundance_0.tsv.gz`` ...,
                      ``run_info.json``
salmon                ``quant.sf``, ``aux_info/bootstrap/bootstraps.gz`` and ``names.tsv.gz``,
                      ``aux_info/meta_info.json``
===================== ==========================================================================

Whatever is wrong with a directory ends in a DataError of one line that names it and the remedy.
This module loads neither torch nor anndata, because every process that reads cells imports it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..errors import DataError
from .kallisto import KALLISTO_H5, KALLISTO_TABLE, read_kallisto_h5, read_kallisto_plaintext
from .quantifications import Quantification, check_values, reordered, require_distinct
from .salmon import SALMON_TABLE, read_salmon


def find_cells(paths: Iterable[str | os.PathLike[str]]) -> dict[str, Path]:
    """Find the directories of cells.

    Parameters
    ----------
    paths
        Directories of cells, or directories that hold such at any depth.

    Returns
    -------
    dict
        The directory of each cell by its name, the name of the directory; in the order of
        ``paths``, and sorted within each.

    Raises
    ------
    DataError
        If a path holds no cell, or two directories have the same name.
    """
    cells: dict[str, Path] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            problem = "is a file" if path.exists() else "does not exist"
            raise DataError(f"{path}: {problem}; give directories of kallisto or salmon results")
        found = False
        for directory in _walk(path, ()):
            found = True
            # The name of "." is found in its full path; links keep their own name.
            name = os.path.basename(os.path.abspath(directory))
            known = cells.setdefault(name, directory)
            if known != directory and not os.path.samefile(known, directory):
                raise DataError(
                    f"{directory}: has the same name as the cell {known}; rename one of them or "
                    "give only one"
                )
        if not found:
            raise DataError(
                f"{path}: holds no cell, no directory with {KALLISTO_H5}, {KALLISTO_TABLE} or "
                f"{SALMON_TABLE}; give the output of kallisto quant or salmon quant"
            )
    return cells


def _walk(directory: Path, parents: tuple[str, ...]) -> Iterator[Path]:
    """Yield the directories of cells in a directory, itself among them, following links."""
    real = os.path.realpath(directory)
    if real in parents:
        return  # a link to a directory that it lies in
    try:
        with os.scandir(directory) as entries:
            entries = sorted(entries, key=lambda entry: entry.name)
            names = {entry.name for entry in entries}
            subdirectories = [entry.name for entry in entries if entry.is_dir()]
    except OSError as error:
        raise DataError(
            f"{directory}: cannot be listed ({error.strerror}); make it readable"
        ) from error
    if names & {KALLISTO_H5, KALLISTO_TABLE, SALMON_TABLE}:
        yield directory
        return
    for name in subdirectories:
        yield from _walk(directory / name, (*parents, real))


def read_quantification(
    directory: Path,
    max_bootstraps: int | None = None,
    transcripts: np.ndarray | None = None,
) -> Quantification:
    """Read one cell.

    Parameters
    ----------
    directory
        Directory of the cell. ``abundance.h5`` takes precedence over plain text beside it.
    max_bootstraps
        Largest number of bootstraps to read; None reads all.
    transcripts
        Order of the values, shape (isoforms,), bytes; None keeps the order of the files.

    Raises
    ------
    DataError
        If files are missing, damaged or without bootstraps, if values are no counts, or if the
        cell has other transcripts.
    """
    is_salmon = (directory / SALMON_TABLE).exists()
    is_h5 = (directory / KALLISTO_H5).exists()
    if is_salmon and (is_h5 or (directory / KALLISTO_TABLE).exists()):
        raise DataError(
            f"{directory}: holds results of both kallisto and salmon; give each a directory"
        )
    read = read_kallisto_h5 if is_h5 else read_kallisto_plaintext
    # Estimates that float32 cannot hold become infinite, and are refused as such.
    with np.errstate(over="ignore"):
        cell = (read_salmon if is_salmon else read)(directory, max_bootstraps)
    check_values(directory, cell)
    if transcripts is None:
        require_distinct(directory, cell.transcripts)
        return cell
    return reordered(directory, cell, transcripts)
