"""Results of kallisto and salmon in memory."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata

from ..data.quantified.importing import ImportOptions, import_cells


def read_quantified(
    directories: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    *,
    sheet: str | Path | None = None,
    t2g: str | Path | None = None,
    obs: str | Path | None = None,
    obs_key: str | None = None,
    only_listed: bool = False,
    skip_bad: bool = False,
    max_bootstraps: int | None = None,
    layers: int | None = None,
) -> anndata.AnnData:
    """Read cells that kallisto or salmon quantified with bootstraps.

    Parameters
    ----------
    directories
        Output folder of a cell, or a folder of such folders; one or several.
    sheet
        Table of the names and paths of cells, columns ``name`` and ``path``; the folders may then
        be left out.
    t2g
        Table of transcript and gene, separated by a tab.
    obs
        CSV table of cells.
    obs_key
        Column of ``obs`` with the names of the cells; by default the first.
    only_listed
        Whether to leave out cells that ``obs`` lacks.
    skip_bad
        Whether to go on without cells that are damaged, empty or have no bootstraps; their names
        are then in ``uns["exvae_import"]["bad_cells"]``.
    max_bootstraps
        Bootstraps of each cell to read; None reads all.
    layers
        Bootstraps to keep beside the statistics of all; None keeps all.

    Returns
    -------
    anndata.AnnData
        Cells by isoforms, as ``exvae isoforms import`` writes them: estimated counts (reads) in
        ``X``, bootstraps in ``layers["infRep1"] ...``, ``var["gene"]`` and ``var["length"]``.

    Raises
    ------
    DataError
        If anything is wrong with the files.

    Warns
    -----
    UserWarning
        If the files hold something that one should know.

    Examples
    --------
    >>> import exvae
    >>> adata = exvae.read_quantified("quantified", t2g="t2g.tsv")
    """
    if isinstance(directories, str | os.PathLike):
        directories = [directories]
    t2g, obs, sheet = (None if path is None else Path(path) for path in (t2g, obs, sheet))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        options = ImportOptions(
            max_bootstraps,
            layers,
            skip_bad=skip_bad,
            sheet=sheet,
            obs_key=obs_key,
            only_listed=only_listed,
        )
        summary = import_cells(directories, path, t2g, obs, options)
        for note in summary.notes:
            warnings.warn(note, stacklevel=2)
        return anndata.read_h5ad(path)
