"""States and expression of cells in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from ...data.errors import DataError
from ...data.h5ad.reading import read_cells
from ...data.progress import progress_bar
from . import inference
from .compact_layers import CompactLayers
from .effective_draws import EffectiveDraws
from .export_writing import ExportOptions, compact_blocks
from .fitting import IsoformFit


def annotate(fit: IsoformFit, adata: AnnData, options: ExportOptions) -> None:
    """Add to cells what :func:`exvae.experiments.isoforms.exporting.export` writes.

    Parameters
    ----------
    fit
        The fit.
    adata
        Cells with the isoforms of the fit, in any order. Gets ``obsm["X_exvae"]``, layers of
        expression and ``uns["exvae"]``, and ``var["gene"]`` if the genes have another name there.
    options
        The layers to make, of isoforms.

    Raises
    ------
    DataError
        If the cells have other isoforms, or lack one.
    """
    places = pd.Index(fit.isoforms).get_indexer(adata.var_names)
    if (places < 0).any():
        raise DataError(
            f"adata has {(places < 0).sum()} isoforms that the model does not know, such as "
            f"{adata.var_names[places < 0][0]}; annotate a selection of the others: "
            "adata[:, model.features().index].copy()"
        )
    cells = fit.conform(read_cells(adata, **fit.keys), options.new_batches)
    parts, effective = [], EffectiveDraws()
    with progress_bar(cells.num_cells, "expression", delay=1.0) as bar:
        for part in compact_blocks(fit, cells, options, effective=effective):
            parts.append(part)
            bar.update(len(part.sizes))
    layers = CompactLayers.joined(parts)
    for name in layers.values:
        adata.layers[name] = layers.matrix(name, len(places))[:, places].sorted_indices()
    everything = np.arange(cells.num_cells)
    adata.obsm["X_exvae"] = inference.mean_states(fit.guide, fit.source(cells), everything)
    if cells.genes is not None and (cells.gene_key or "gene" not in adata.var):
        adata.var["gene"] = cells.genes[places]
    adata.uns["exvae"] = {**options.description(fit), **effective.figures()}
