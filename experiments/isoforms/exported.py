"""Expression of some genes, read from the file of an export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from ...data.errors import DataError
from ...data.row_blocks import blocks
from ..pl.choosing import dense, groups_of, interval_layers, isoforms_of, widest_interval

if TYPE_CHECKING:
    from anndata import AnnData

_LAYER = "expression"


def read_exported(
    path: Path, genes: Sequence[str], groupby: str | None = None
) -> tuple[AnnData, tuple[float, float]]:
    """Read the isoforms of some genes, and nothing else of the file.

    Parameters
    ----------
    path
        The file that :func:`~exvae.experiments.isoforms.exporting.export` wrote.
    genes
        Genes or isoforms.
    groupby
        Column of ``obs`` that must be there.

    Returns
    -------
    cells
        All cells with the isoforms of these genes, their expression (reads), and the widest
        interval in the file; ``uns["exvae"]`` describes the fit.
    interval
        Probabilities of the ends of this interval.

    Raises
    ------
    DataError
        If the file is no export, or has no such gene or column.
    """
    from anndata import AnnData
    from anndata.io import read_elem

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: is no readable .h5ad file; give one that export wrote") from error
    with file:
        layers = file.get("layers", {})
        if _LAYER not in layers:
            raise DataError(f"{path}: has no layer {_LAYER}; give a file that export wrote")
        obs, var = read_elem(file["obs"]), read_elem(file["var"])
        groups_of(obs, groupby, f"{path}: obs")
        columns = np.unique(np.concatenate([isoforms_of(var, gene, str(path)) for gene in genes]))
        interval = widest_interval(list(layers), _LAYER, str(path))
        names = (_LAYER, *interval_layers(layers, _LAYER, interval, str(path)))
        found = {name: _columns(layers[name], columns, len(var)) for name in names}
        uns = {"exvae": read_elem(file["uns/exvae"])} if "uns/exvae" in file else {}
    return AnnData(obs=obs, var=var.iloc[columns], layers=found, uns=uns), interval


def _columns(layer: h5py.Dataset | h5py.Group, columns: np.ndarray, width: int) -> np.ndarray:
    """Read columns of a stored matrix, dense or sparse, some rows at a time."""
    from anndata.io import sparse_dataset

    stored = sparse_dataset(layer) if isinstance(layer, h5py.Group) else layer
    parts = [dense(stored[rows])[:, columns] for rows in blocks(stored.shape[0], width)]
    return np.concatenate(parts)
