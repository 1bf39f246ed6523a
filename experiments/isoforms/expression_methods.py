"""States, expression and usage of cells: methods of :class:`exvae.IsoformModel`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from torch import Tensor

from ...data.cell_tables import CellTable
from ...data.errors import DataError
from . import annotating, exporting, inference
from .export_writing import ExportOptions
from .expression import Scale, layers_of, scale_of, spaced_draws, usage_layers
from .fitted_model import FittedModel
from .settings import LIBRARY_SIZE, POSTERIOR_SAMPLES, QUANTILES


class ExpressionMethods(FittedModel):
    """Posteriors of the states, the expression and the isoform usage of cells."""

    def get_latent_representation(
        self,
        adata: AnnData | str | Path | None = None,
        *,
        return_sd: bool = False,
        new_batches: str | None = None,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Posterior mean of each cell's state z, shape (cells, latent_size).

        Parameters
        ----------
        adata
            Cells; those of the model by default. Isoforms are selected by name.
        return_sd
            Whether to return the posterior standard deviation too.
        new_batches
            ``average`` treats cells of unknown batches as of each known batch in turn.
        """
        source = self._trained().source(self._conformed(adata, new_batches))
        states = inference.states_of(self.guide, source, np.arange(source.cells.num_cells))
        return tuple(states) if return_sd else states.mean

    def get_expression(
        self,
        adata: AnnData | str | Path | None = None,
        *,
        level: str = "isoform",
        isoforms: Sequence[str] | None = None,
        genes: Sequence[str] | None = None,
        library_size: float | str = "observed",
        transform_batch: str | None = None,
        return_sd: bool = False,
        quantiles: Sequence[float] = (),
        num_samples: int = POSTERIOR_SAMPLES,
        seed: int = 0,
        new_batches: str | None = None,
    ) -> pd.DataFrame | AnnData:
        """Posterior of expression.

        Parameters
        ----------
        adata
            Cells; those of the model by default. Isoforms are selected by name.
        level
            ``isoform`` or ``gene``.
        isoforms, genes
            Names of isoforms, or of genes, to which the result is limited.
        library_size
            ``observed`` for reads at the depth of each cell (of models ``scvi`` and ``paper``, with
            the reads that dropout or noise hid); a number for reads in a cell of that many; ``tpm``
            for transcripts per million, by the isoforms' effective lengths.
        transform_batch
            A batch; expression is converted to this batch.
        return_sd
            Whether to give the posterior standard deviation.
        quantiles
            Probabilities of quantiles to give.
        num_samples
            Number of draws of the latent variables.
        seed
            Seed of the draws. Cells are drawn together: in another selection or order of cells a
            cell has other draws, and its mean differs by the error of ``num_samples``, about 0.08
            posterior standard deviations for 10.
        new_batches
            ``average`` treats cells of unknown batches as of each known batch in turn.

        Returns
        -------
        pandas.DataFrame or anndata.AnnData
            Posterior means, a row for each cell; an AnnData if standard deviation or quantiles are
            asked for: the means in ``X``, and layers ``expression_sd``, ``expression_log1p``,
            ``expression_q0.025`` ....
        """
        cells = self._conformed(adata, new_batches)
        scale = scale_of(level, library_size, cells)
        columns = self._columns(level, isoforms, genes)
        summaries = (
            layers_of(draws, self.module.genes, {"expression": scale}, quantiles)
            for draws in self._draws(cells, num_samples, seed, transform_batch)
        )
        only_mean = not return_sd and not quantiles
        return _gathered(summaries, cells, self.features(level), columns, only_mean=only_mean)

    def get_usage(
        self,
        adata: AnnData | str | Path | None = None,
        *,
        isoforms: Sequence[str] | None = None,
        genes: Sequence[str] | None = None,
        return_sd: bool = False,
        quantiles: Sequence[float] = (),
        num_samples: int = POSTERIOR_SAMPLES,
        seed: int = 0,
        new_batches: str | None = None,
    ) -> pd.DataFrame | AnnData:
        """Posterior of usage, the share of an isoform in the expression of its gene.

        Parameters
        ----------
        adata, isoforms, genes, return_sd, quantiles, num_samples, seed, new_batches
            As for :meth:`get_expression`.

        Returns
        -------
        pandas.DataFrame or anndata.AnnData
            Posterior means, a row for each cell; an AnnData if standard deviation or quantiles are
            asked for: the means in ``X``, and layers ``usage_sd``, ``usage_q0.025`` .... Missing
            where the gene is surely not expressed.

        Examples
        --------
        >>> model = exvae.IsoformModel("cells.h5ad", latent_size=5).train(max_epochs=2)
        >>> usage = model.get_usage(genes=["gene1"])
        >>> usage.shape
        (24, 3)
        >>> bool((abs(usage.sum(axis=1) - 1) < 1e-4).all())
        True
        """
        cells = self._conformed(adata, new_batches)
        columns = self._columns("isoform", isoforms, genes)
        summaries = (
            usage_layers(draws, self.module.genes, quantiles)
            for draws in self._draws(cells, num_samples, seed)
        )
        only_mean = not return_sd and not quantiles
        return _gathered(summaries, cells, self.features(), columns, only_mean=only_mean)

    def annotate(
        self,
        adata: AnnData | None = None,
        *,
        library_size: float | str = LIBRARY_SIZE,
        transform_batch: str | None = None,
        quantiles: Sequence[float] = QUANTILES,
        num_samples: int = POSTERIOR_SAMPLES,
        seed: int = 0,
        new_batches: str | None = None,
    ) -> None:
        """Add states and expression to cells, the same as :meth:`export` writes.

        Parameters
        ----------
        adata
            Cells with the isoforms of the model, in any order; those of the model by default. Gets
            ``obsm["X_exvae"]``, and sparse layers ``expression`` (reads at the depth of each cell),
            ``expression_normalised`` (in a cell of ``library_size`` reads), for each ``_sd`` and
            ``_log1p``, and ``expression_q0.025`` ....
        library_size, transform_batch, quantiles, num_samples, seed, new_batches
            As for :meth:`get_expression`.

        Raises
        ------
        DataError
            If the cells have other isoforms, or none are in memory.
        """
        adata = self._adata if adata is None else adata
        if adata is None:
            raise DataError("the cells of the model are in a file; give annotate an AnnData")
        options = ExportOptions(
            library_size=library_size,
            quantiles=quantiles,
            num_samples=num_samples,
            seed=seed,
            transform_batch=transform_batch,
            new_batches=new_batches,
        )
        annotating.annotate(self._trained(), adata, options)

    def export(
        self, path: str | Path, adata: AnnData | str | Path | None = None, **options: Any
    ) -> dict[str, object]:
        """Write cells with their states and expression, as ``exvae isoforms export`` does.

        Parameters
        ----------
        path
            ``.h5ad`` or ``.zarr`` to write.
        adata
            Cells; those of the model by default.
        **options
            Those of :func:`exvae.experiments.isoforms.exporting.export`: ``level``,
            ``library_size``, ``quantiles``, ``genes``, ``draws`` ....
        """
        if adata is None:
            adata = Path(self._own_cells().source) if self._adata is None else self._adata
        return exporting.export(self._trained(), adata, Path(path), **options)

    def posterior_samples(
        self,
        adata: AnnData | str | Path | None = None,
        n: int = 30,
        *,
        level: str = "isoform",
        seed: int = 0,
        new_batches: str | None = None,
    ) -> AnnData:
        """Draws of expression, for tools that read inferential replicates.

        Parameters
        ----------
        adata, level, seed, new_batches
            As for :meth:`get_expression`.
        n
            Number of draws.

        Returns
        -------
        anndata.AnnData
            Posterior mean of expression at the depth of each cell (reads) in ``X``, draws in
            ``layers["infRep1"] ...``, as fishpond's swish reads them.
        """
        if n < 1:
            raise ValueError(f"n is {n}; give at least 1")
        cells = self._conformed(adata, new_batches)
        scale = Scale(level)
        parts = []
        for draws in self._draws(cells, max(n, 2), seed):
            kept = spaced_draws(scale.apply(draws, self.module.genes), n)
            parts.append(kept.cpu().numpy())
        kept = np.concatenate(parts, 1)
        layers = {f"infRep{number + 1}": own for number, own in enumerate(kept)}
        return AnnData(kept.mean(0), obs=cells.obs, var=self.features(level), layers=layers)


def _gathered(
    summaries: Iterable[Iterable[tuple[str, Tensor]]],
    cells: CellTable,
    features: pd.DataFrame,
    columns: np.ndarray,
    *,
    only_mean: bool,
) -> pd.DataFrame | AnnData:
    """Gather summaries of draws, block by block of cells; the means come first in each block."""
    layers: dict[str, list[np.ndarray]] = {}
    for block in summaries:
        for name, values in block:
            layers.setdefault(name, []).append(values[:, columns].cpu().numpy())
    mean, *others = ((name, np.concatenate(parts)) for name, parts in layers.items())
    var = features.iloc[columns]
    if only_mean:
        return pd.DataFrame(mean[1], index=cells.names, columns=var.index)
    return AnnData(mean[1], obs=cells.obs, var=var, layers=dict(others))
