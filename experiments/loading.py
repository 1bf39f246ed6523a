"""Models of either kind, loaded from the folder of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .fitting import fits

if TYPE_CHECKING:
    from anndata import AnnData

    from ..data.corpora import Corpus
    from .isoform_model import IsoformModel
    from .topic_model import TopicModel


def load(
    folder: str | Path, data: AnnData | Corpus | str | Path | None = None, **options: Any
) -> IsoformModel | TopicModel:
    """Load a model that a command or a method ``save`` wrote.

    Parameters
    ----------
    folder
        Folder of the fit.
    data
        Cells or documents that methods take by default.
    **options
        ``device``: ``auto`` (CUDA if there is one), ``cpu`` or ``cuda``. ``trust``: whether classes
        that are not of this package, and that the fit names, may run; loading runs their code.

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
    if fits.read_config(Path(folder)).get("kind") == "lda":
        from .topic_model import TopicModel

        return TopicModel.load(folder, data, **options)
    from .isoform_model import IsoformModel

    return IsoformModel.load(folder, data, **options)
