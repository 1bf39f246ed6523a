"""Data, model and guide for training loops of your own."""

from __future__ import annotations

import warnings
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.corpora import Corpus
from ..data.errors import DataWarning
from .fitting.datasets import Subset
from .fitting.devices import choose_device
from .fitting.errors import ArgumentError

if TYPE_CHECKING:
    import torch
    from anndata import AnnData
    from torch import nn

    from ..data.cell_tables import CellTable


def prepare(
    data: AnnData | Corpus | str | Path,
    *,
    topics: int | None = None,
    batch_key: str | None = None,
    gene_key: str | None = None,
    backed: bool | None = None,
    device: str = "auto",
    **options: Any,
) -> tuple[Subset, nn.Module, nn.Module]:
    """Build data, model and guide as ``exvae isoforms fit`` and ``exvae lda fit`` do.

    Parameters
    ----------
    data
        Cells: an AnnData with bootstraps, or the path of its ``.h5ad``. Documents: a corpus, or the
        path of one together with ``topics``; documents without words are left out.
    topics
        Number of topics, for documents; 20 by default for a corpus in memory.
    batch_key
        Column of ``obs`` with the batch of a cell.
    gene_key
        Column of ``var`` with the gene of each isoform; by default ``gene`` or ``gene_id``.
    backed
        Whether cells of a file stay on disk; by default those that do not fit in memory do.
    device
        ``auto`` (CUDA if there is one), ``cpu`` or ``cuda``.
    **options
        ``model``, ``guide``, ``pooling``, ``decoder``: a registered name, ``module:Class`` or a
        class; ``encoder_bootstraps``; and keyword arguments of the constructors.

    Returns
    -------
    tuple
        Training data, whose method ``batches(size)`` gives minibatches, and ``batch(positions)``
        datapoints with all their bootstraps or words; model; guide.

    Raises
    ------
    DataError
        If the data cannot be read, or an option does not exist.

    Warns
    -----
    DataWarning
        If the cells are few, or few in a batch, lack genes, or must be rounded.

    Examples
    --------
    >>> import exvae
    >>> from pyro.infer import SVI, TraceMeanField_ELBO
    >>> data, model, guide = exvae.prepare("cells.h5ad", latent_size=5)
    >>> svi = SVI(model, guide, exvae.optimizer(model, guide, 5e-3), TraceMeanField_ELBO())
    >>> losses = [svi.step(*batch) for batch in data.batches(32)]
    """
    from ..data.any_cells import get_cells

    chosen = choose_device(device)
    _require_data(data, topics)
    if topics is not None or isinstance(data, Corpus):
        return _prepare_documents(data, 20 if topics is None else topics, chosen, options)
    return _prepare_cells(get_cells(data, batch_key, gene_key, backed=backed), chosen, options)


def _prepare_cells(
    cells: CellTable, device: torch.device, options: dict[str, Any]
) -> tuple[Subset, nn.Module, nn.Module]:
    from .isoforms import fitting
    from .isoforms.notes import notes_of_cells

    config = config_with(fitting.IsoformConfig, options)
    for note in notes_of_cells(cells, fitting.class_of_model(config)):
        warnings.warn(note, DataWarning, stacklevel=3)
    return fitting.prepare(cells, config, np.arange(cells.num_cells), device)


def _prepare_documents(
    data: Corpus | str | Path, topics: int, device: torch.device, options: dict[str, Any]
) -> tuple[Subset, nn.Module, nn.Module]:
    from ..data.corpus_formats import read_corpus
    from .lda import fitting

    corpus = data if isinstance(data, Corpus) else read_corpus(Path(data))
    config = config_with(fitting.LDAConfig, options, num_topics=topics)
    return fitting.prepare(corpus, config, np.flatnonzero(corpus.lengths), device)


def _require_data(data: Any, topics: int | None) -> None:
    """Require cells or documents; the number of topics tells that a path is of documents."""
    from anndata import AnnData

    if not isinstance(data, AnnData | Corpus | str | Path):
        name = type(data).__name__
        raise ArgumentError(f"data is of type {name}; give an AnnData, a Corpus or a path")
    if (
        topics is None
        and isinstance(data, str | Path)
        and Path(data).suffix not in (".h5ad", ".zarr")
    ):
        raise ArgumentError(
            f"topics is missing: {data} is no .h5ad or .zarr of cells; give topics=, the number of "
            "topics"
        )


def config_with(kind: type, options: dict[str, Any], **known: Any) -> Any:
    """Make a configuration; options that are no field of it go to the constructors."""
    names = {field.name for field in fields(kind)} - {"options"}
    own = {name: value for name, value in options.items() if name in names}
    others = {name: value for name, value in options.items() if name not in names}
    return kind(**known, **own, options=others)
