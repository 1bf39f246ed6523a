"""States, expression and usage of cells: methods of :class:`exvae.IsoformModel`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from ...data.errors import DataError
from . import inference
from .expression import Scale, layers_of, usage_layers
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
            ``observed`` for reads at the depth of each cell; a number for reads in a cell of that
            many; ``tpm`` for transcripts per million, by the isoforms' effective lengths.
        transform_batch
            A batch; expression is converted to this batch.
        return_sd
            Whether to give the posterior standard deviation.
        quantiles
            Probabilities of quantiles to give.
        num_samples
            Number of draws of the latent variables.
        seed
            Seed of the draws.
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
        scale = self._scale(level, library_size, cells)
        columns = self._columns(level, isoforms, genes)
        layers: dict[str, list[np.ndarray]] = {}
        for draws in self._draws(cells, num_samples, seed, transform_batch):
            for name, values in layers_of(
                draws, self.module.genes, {"expression": scale}, quantiles
            ):
                layers.setdefault(name, []).append(values[:, columns].cpu().numpy())
        joined = {name: np.concatenate(parts) for name, parts in layers.items()}
        var = self.features(level).iloc[columns]
        if not return_sd and not quantiles:
            return pd.DataFrame(joined["expression"], index=cells.names, columns=var.index)
        return AnnData(joined.pop("expression"), obs=cells.obs, var=var, layers=joined)

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
        layers: dict[str, list[np.ndarray]] = {}
        for draws in self._draws(cells, num_samples, seed):
            for name, values in usage_layers(draws, self.module.genes, quantiles):
                layers.setdefault(name, []).append(values[:, columns].cpu().numpy())
        joined = {name: np.concatenate(parts) for name, parts in layers.items()}
        var = self.features().iloc[columns]
        if not return_sd and not quantiles:
            return pd.DataFrame(joined["usage"], index=cells.names, columns=var.index)
        return AnnData(joined.pop("usage"), obs=cells.obs, var=var, layers=joined)

    def annotate(
        self,
        adata: AnnData | None = None,
        *,
        library_size: float | str = LIBRARY_SIZE,
        quantiles: Sequence[float] = QUANTILES,
        num_samples: int = POSTERIOR_SAMPLES,
        seed: int = 0,
        new_batches: str | None = None,
    ) -> None:
        """Add states and expression to cells, as ``exvae isoforms export`` does.

        Parameters
        ----------
        adata
            Cells with the isoforms of the model, in any order; those of the model by default. Gets
            ``obsm["X_exvae"]``, and layers ``expression`` (reads at the depth of each cell),
            ``expression_normalised`` (in a cell of ``library_size`` reads), and for each ``_sd``,
            ``_log1p`` and quantiles ``_q0.025`` ....
        library_size, quantiles, num_samples, seed, new_batches
            As for :meth:`get_expression`.

        Raises
        ------
        DataError
            If the cells have other isoforms, or none are in memory.
        """
        adata = self._adata if adata is None else adata
        if adata is None:
            raise DataError("the cells of the model are in a file; give annotate an AnnData")
        places = pd.Index(self._trained().isoforms).get_indexer(adata.var_names)
        if (places < 0).any():
            raise DataError(
                f"adata has {(places < 0).sum()} isoforms that the model does not know, such as "
                f"{adata.var_names[places < 0][0]}; select those of the model"
            )
        cells = self._conformed(adata, new_batches)
        scales = {
            "expression": Scale(),
            "expression_normalised": self._scale("isoform", library_size, cells),
        }
        start = 0
        for draws in self._draws(cells, num_samples, seed):
            rows = slice(start, start + draws.shape[1])
            for name, values in layers_of(draws, self.module.genes, scales, quantiles):
                if not start:
                    adata.layers[name] = np.empty(adata.shape, np.float32)
                adata.layers[name][rows] = values[:, places].cpu().numpy()
            start = rows.stop
        adata.obsm["X_exvae"] = self.get_latent_representation(adata, new_batches=new_batches)

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
            kept = scale.apply(draws, self.module.genes).unflatten(0, (max(n, 2), -1))[:n, 0]
            parts.append(kept.cpu().numpy())
        kept = np.concatenate(parts, 1)
        layers = {f"infRep{number + 1}": own for number, own in enumerate(kept)}
        return AnnData(kept.mean(0), obs=cells.obs, var=self.features(level), layers=layers)
