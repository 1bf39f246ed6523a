"""Isoform models for notebooks: train on an AnnData, and ask for states and expression."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from ..data.cells import Cells
from ..data.errors import DataError, DataWarning
from ..data.h5ad.reading import read_cells
from ..data.progress import progress_bar
from .fitting import fits
from .fitting.errors import TrainingInterrupted
from .fitting.training import TrainingConfig
from .isoforms import evaluation, fitting, inference
from .isoforms.expression import Scale, draw_expression, layers_of
from .isoforms.notes import notes_of_cells
from .isoforms.settings import (
    BATCH_SIZE,
    EPOCHS,
    LEARNING_RATE,
    LIBRARY_SIZE,
    POSTERIOR_SAMPLES,
    QUANTILES,
    IsoformConfig,
)
from .preparing import config_with

if TYPE_CHECKING:
    from ..data.isoform_truth import IsoformTruth

_MILLION = 1e6


class IsoformModel:
    """A model of isoform expression for cells in memory.

    Parameters
    ----------
    adata
        Cells with bootstraps in ``layers["infRep1"] ...``, as :func:`exvae.read_quantified` gives,
        or the path of their ``.h5ad``; ``var["gene"]`` names the gene of each isoform.
    batch_key
        Column of ``obs`` with the batch of a cell.
    **options
        ``model``, ``guide``, ``pooling``, ``decoder``: a registered name, ``module:Class`` or a
        class; ``encoder_bootstraps``; and keyword arguments of the constructors, such as
        ``latent_size``.

    Raises
    ------
    DataError
        If the cells cannot be used.

    Warns
    -----
    DataWarning
        If the cells are few, lack genes, or must be rounded.

    Examples
    --------
    >>> import exvae
    >>> model = exvae.IsoformModel("cells.h5ad", latent_size=5).train(max_epochs=2)
    >>> model
    IsoformModel effective-reads: 24 cells, 24 isoforms of 8 genes, trained 2 epochs
    >>> model.get_latent_representation().shape
    (24, 5)
    """

    def __init__(
        self, adata: AnnData | str | Path, *, batch_key: str | None = None, **options: Any
    ) -> None:
        self._cells: Cells | None = read_cells(adata, batch_key)
        self._adata: AnnData | None = adata if isinstance(adata, AnnData) else None
        self._batch_key = batch_key
        self._config = config_with(IsoformConfig, options)
        for note in notes_of_cells(self._cells, fitting.class_of_model(self._config)):
            warnings.warn(note, DataWarning, stacklevel=2)
        self._fit: fitting.IsoformFit | None = None
        self._state: dict[str, Any] = {}
        self._metrics: list[dict[str, float]] = []

    def __repr__(self) -> str:
        name = self._config.model if self._fit is None else self._fit.config["model"]["model"]
        if self._fit is None:
            genes, size = fitting.genes_of(self._cells), self._cells.num_cells
            state = "not trained"
        else:
            genes, size = self._fit.genes, self._fit.config["data"]["cells"]
            state = f"trained {len(self._metrics)} epochs"
        name = name if isinstance(name, str) else name.__name__
        return (
            f"IsoformModel {name}: {size} cells, {len(genes)} isoforms of {len(set(genes))} "
            f"genes, {state}"
        )

    # Training

    def train(
        self,
        max_epochs: int = EPOCHS,
        *,
        batch_size: int = BATCH_SIZE,
        learning_rate: float = LEARNING_RATE,
        train_fraction: float = 0.9,
        patience: int = 0,
        seed: int = 0,
        device: str = "auto",
        progress: bool = True,
    ) -> IsoformModel:
        """Train, or train further; an interrupt ends training and leaves the model usable.

        Parameters
        ----------
        max_epochs
            Passes over the cells.
        batch_size
            Cells per step.
        learning_rate
            Learning rate of Adam.
        train_fraction
            Fraction of the cells to train on; the loss of the others is in :attr:`history`.
        patience
            Epochs without a better held-out loss before training stops; 0 trains to the end.
        seed
            Seed of all random draws.
        device
            ``auto`` (CUDA if there is one), ``cpu`` or ``cuda``.
        progress
            Whether to show a progress bar.

        Returns
        -------
        IsoformModel
            This model.

        Raises
        ------
        DataError
            If the cells lack data that the model needs.
        LossNotFinite
            If the loss becomes NaN or infinite.
        """
        epochs = max_epochs + len(self._metrics)
        training = TrainingConfig(epochs, batch_size, learning_rate, seed, device, patience)
        trainer, fit = fitting.set_up(
            self._own_cells(),
            self._config,
            training,
            train_fraction=train_fraction,
            batch_key=self._batch_key,
            progress=progress,
        )
        if self._fit is not None:
            fits.require_same(self._fit.config, fit.config, "this model")
            trainer.metrics = self._metrics
        try:
            trainer.train(state=self._state or None)
        except TrainingInterrupted as interruption:
            warnings.warn(f"{interruption}; the model is usable, and train() goes on", stacklevel=2)
        for module in trainer.modules.values():
            module.eval()
        self._fit, self._state, self._metrics = fit, trainer.last_state, trainer.metrics
        return self

    @property
    def history(self) -> pd.DataFrame:
        """Losses (nats per cell) and seconds after each epoch, a row for each."""
        return pd.DataFrame(self._metrics)

    @property
    def module(self) -> Any:
        """The Pyro model."""
        return self._trained().model

    @property
    def guide(self) -> Any:
        """The Pyro guide."""
        return self._trained().guide

    # States and expression

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
        adata.uns["exvae"] = {"config": json.dumps(self._trained().config)}
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

    def features(self, level: str = "isoform") -> pd.DataFrame:
        """Table of the isoforms, with the gene of each, or of the genes."""
        fit = self._trained()
        if level == "gene":
            return pd.DataFrame(index=pd.Index(fit.gene_names, name="gene"))
        return pd.DataFrame({"gene": fit.genes}, index=pd.Index(fit.isoforms, name="isoform"))

    # Measures

    def evaluate(
        self,
        adata: AnnData | str | Path | None = None,
        *,
        truth: IsoformTruth | None = None,
        subset: str = "all",
        seed: int = 0,
    ) -> dict[str, Any]:
        """Measure loss and likelihood and, with a truth, accuracy and calibration.

        Arguments and result as for :func:`exvae.experiments.isoforms.evaluation.evaluate`.
        """
        return evaluation.evaluate(
            self._trained(), self._read(adata), subset=subset, truth=truth, seed=seed
        )

    # On disk

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder, as ``exvae isoforms fit`` does.

        Raises
        ------
        DataError
            If the folder holds a fit already, or cannot be written.
        """
        fit, folder = self._trained(), Path(folder)
        fits.begin(folder, fit.config, fit.vocabularies, resume=False)
        fits.write_metrics(folder, self._metrics)
        fits.write_checkpoint(folder, self._state)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        adata: AnnData | str | Path | None = None,
        *,
        device: str = "auto",
    ) -> IsoformModel:
        """Load a model that :meth:`save` or ``exvae isoforms fit`` wrote.

        Parameters
        ----------
        folder
            The folder.
        adata
            Cells that methods take by default.
        device
            ``auto`` (CUDA if there is one), ``cpu`` or ``cuda``.

        Raises
        ------
        DataError
            If the folder holds no isoform model, or a damaged one.
        """
        model = cls.__new__(cls)
        folder = Path(folder)
        model._fit = fitting.load(folder, device)
        model._config = fits.config_of(IsoformConfig, folder, model._fit.config)
        model._batch_key = model._fit.batch_key
        model._state = fits.read_checkpoint(folder)
        model._metrics = fits.read_metrics(folder).to_dict("records")
        model._adata = adata if isinstance(adata, AnnData) else None
        model._cells = None if adata is None else read_cells(adata, model._batch_key)
        return model

    # Inside

    def _trained(self) -> fitting.IsoformFit:
        if self._fit is None:
            raise DataError("the model is not trained; call its method train() first")
        return self._fit

    def _own_cells(self) -> Cells:
        if self._cells is None:
            raise DataError("the model was loaded without cells; give adata")
        return self._cells

    def _read(self, adata: AnnData | str | Path | None) -> Cells:
        return self._own_cells() if adata is None else read_cells(adata, self._batch_key)

    def _conformed(self, adata: AnnData | str | Path | None, new_batches: str | None) -> Cells:
        return self._trained().conform(self._read(adata), new_batches)

    def _draws(
        self, cells: Cells, num_samples: int, seed: int, transform_batch: str | None = None
    ) -> Iterator[torch.Tensor]:
        """Draw the expression of cells (reads), block by block, (draws, cells, isoforms)."""
        fit = self._trained()
        code = None if transform_batch is None else fit.code_of_batch(transform_batch)
        torch.manual_seed(seed)
        source, everything = fit.source(cells), np.arange(cells.num_cells)
        with progress_bar(cells.num_cells, "expression", delay=1.0) as bar:
            for rows, draws in draw_expression(
                fit, source, everything, num_samples, transform_batch=code
            ):
                yield draws
                bar.update(rows.stop - rows.start)

    @staticmethod
    def _scale(level: str, library_size: float | str, cells: Cells) -> Scale:
        """Scale of expression from the arguments of :meth:`get_expression`."""
        if library_size == "observed":
            return Scale(level)
        if library_size != "tpm":
            return Scale(level, float(library_size))
        if cells.effective_lengths is None:
            raise DataError(
                f"{cells.source}: var has no effective_length, which transcripts per million need"
            )
        return Scale(level, _MILLION, torch.from_numpy(cells.effective_lengths))

    def _columns(
        self, level: str, isoforms: Sequence[str] | None, genes: Sequence[str] | None
    ) -> np.ndarray:
        """Positions of chosen isoforms or genes, in the order of the fit; all if none is chosen."""
        table = self.features(level)
        chosen = np.ones(len(table), bool)
        for what, names in (("gene", genes), ("isoform", isoforms)):
            if names is None:
                continue
            if what == "isoform" and level == "gene":
                raise ValueError("isoforms selects isoforms, but level is gene; give genes")
            known = table["gene"] if what == "gene" and level == "isoform" else table.index
            missing = set(names) - set(known)
            if missing:
                raise DataError(f"the model has no {what} {min(missing)!r}")
            chosen &= np.asarray(known.isin(list(names)))
        return np.flatnonzero(chosen)
