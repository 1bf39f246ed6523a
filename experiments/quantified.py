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
    """Read cells that kallisto, salmon, oarfish or piscem-infer quantified with bootstraps.

    Parameters
    ----------
    directories
        Output folder of a cell, or a folder of such folders; one or several.
    sheet
        Table with columns ``name`` and ``path`` of cells, instead of folders or beside them.
    t2g
        Table of transcript and gene, separated by a tab.
    obs, obs_key, only_listed
        CSV table of cells (cell types, batches ...), its column of their names (by default the
        first, and they are names of folders), and whether to leave out cells that it lacks.
    skip_bad
        Whether to leave out bad cells; ``uns["exvae_import"]["bad_cells"]`` has their names.
    max_bootstraps, layers
        Bootstraps of each cell to read, and to keep beside the statistics; None takes all.

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
    >>> adata = exvae.read_quantified("quantified", t2g="t2g.tsv", obs="cells.csv")
    >>> list(adata.obs["cell_type"].cat.categories)
    ['type0', 'type1']
    """
    if isinstance(directories, str | os.PathLike):
        directories = [directories]
    t2g, obs, sheet = (None if path is None else Path(path) for path in (t2g, obs, sheet))
    options = ImportOptions(max_bootstraps, layers, None, skip_bad, sheet, obs_key, only_listed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        for note in import_cells(directories, path, t2g, obs, options).notes:
            warnings.warn(note, stacklevel=2)
        return anndata.read_h5ad(path)
