"""Expression of some genes, read from the file of an export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...data.h5ad.reading import CellFile, open_cells
from ...data.row_blocks import blocks
from ..pl.choosing import dense, groups_of, interval_layers, isoforms_of, widest_interval

if TYPE_CHECKING:
    from anndata import AnnData

_LAYER = "expression"
ESTIMATES = "estimates"
"""Layer of what the quantifier estimated."""


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
        All cells with the isoforms of these genes, their expression (reads), the widest interval
        in the file, and the layer ``estimates``; ``uns["exvae"]`` describes the fit.
    interval
        Probabilities of the ends of this interval.

    Raises
    ------
    DataError
        If the file is no export, or has no such gene or column.
    """
    from anndata import AnnData

    with open_cells(path, "give one that export wrote") as file:
        layers, obs, var = file.layers, file.obs, file.var
        if _LAYER not in layers:
            raise file.error(f"has no layer {_LAYER}; give a file that export wrote")
        groups_of(obs, groupby, f"{path}: obs")
        columns = np.unique(np.concatenate([isoforms_of(var, gene, str(path)) for gene in genes]))
        interval = widest_interval(list(layers), _LAYER, str(path))
        names = (_LAYER, *interval_layers(layers, _LAYER, interval, str(path)))
        found = {name: _columns(file, f"layers/{name}", columns) for name in names}
        found[ESTIMATES] = _columns(file, "X", columns)
        uns = {"exvae": file.element("uns/exvae")} if file.has("uns/exvae") else {}
    return AnnData(obs=obs, var=var.iloc[columns], layers=found, uns=uns), interval


def _columns(file: CellFile, place: str, columns: np.ndarray) -> np.ndarray:
    """Read columns of a stored matrix, dense or sparse, some rows at a time."""
    parts = [dense(file.read_rows(place, rows))[:, columns] for rows in blocks(*file.shape)]
    return np.concatenate(parts)
