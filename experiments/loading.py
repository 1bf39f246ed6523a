"""Models of either kind, loaded from the folder of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .fitting import fits

if TYPE_CHECKING:
    from anndata import AnnData

    from .isoform_model import IsoformModel


def load(
    folder: str | Path, adata: AnnData | str | Path | None = None, **options: Any
) -> IsoformModel:
    """Load a model that a command or a method ``save`` wrote.

    Parameters
    ----------
    folder
        Folder of the fit.
    adata
        Data that methods take by default.
    **options
        ``device``: ``auto`` (CUDA if there is one), ``cpu`` or ``cuda``.

    Raises
    ------
    DataError
        If the folder holds no fit, or a damaged one.

    Examples
    --------
    >>> import exvae
    >>> model = exvae.IsoformModel("cells.h5ad").train(max_epochs=1)
    >>> model.save("FIT")
    >>> exvae.load("FIT", "cells.h5ad")
    IsoformModel effective-reads: 24 cells, 24 isoforms of 8 genes, trained 1 epochs
    """
    from .isoform_model import IsoformModel

    fits.read_config(Path(folder), "isoforms")
    return IsoformModel.load(folder, adata, **options)
