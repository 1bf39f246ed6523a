"""Isoform models for notebooks: train on an AnnData, and ask for states and expression."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from ..data.any_cells import get_cells
from ..data.cell_tables import CellTable
from ..data.errors import DataWarning
from ..data.isoform_truth import read_truth
from .checks.cells import check_cells
from .checks.comparison import Check, Replication
from .checks.settings import REPLICATES
from .fitting import fits
from .fitting.errors import TrainingInterrupted, require_at_least_one, require_positive
from .fitting.optimizers import with_rates_scaled
from .fitting.training import TrainingConfig
from .isoforms import evaluation, fitting
from .isoforms.expression_methods import ExpressionMethods
from .isoforms.group_methods import GroupMethods
from .isoforms.notes import notes_of_cells
from .isoforms.settings import BATCH_SIZE, EPOCHS, LEARNING_RATE, IsoformConfig
from .preparing import config_with

if TYPE_CHECKING:
    from ..data.isoform_truth import IsoformTruth


class IsoformModel(ExpressionMethods, GroupMethods):
    """A model of isoform expression for cells in memory or on disk.

    Parameters
    ----------
    adata
        Cells with bootstraps in ``layers["infRep1"] ...``, as :func:`exvae.read_quantified` gives,
        or the path of their ``.h5ad``.
    batch_key
        Column of ``obs`` with the batch of a cell.
    gene_key
        Column of ``var`` with the gene of each isoform; by default ``gene``, or ``gene_id`` of
        tximeta.
    backed
        Whether the cells of a file stay on disk; by default those that do not fit in memory do.
    **options
        ``model``, ``guide``, ``pooling``, ``decoder``: a registered name, ``module:Class`` or a
        class; ``encoder_bootstraps``; and keyword arguments of the constructors, such as
        ``latent_size``.

    Raises
    ------
    DataError
        If the cells cannot be used, or an option does not exist or has no such value.

    Warns
    -----
    DataWarning
        If the cells are few, or few in a batch, lack genes, or must be rounded.

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
        self,
        adata: AnnData | str | Path,
        *,
        batch_key: str | None = None,
        gene_key: str | None = None,
        backed: bool | None = None,
        **options: Any,
    ) -> None:
        self._keys = {"batch_key": batch_key, "gene_key": gene_key}
        self._cells: CellTable | None = get_cells(adata, **self._keys, backed=backed)
        self._adata: AnnData | None = adata if isinstance(adata, AnnData) else None
        self._config = config_with(IsoformConfig, options)
        fitting.check(self._cells, self._config)
        for note in notes_of_cells(self._cells, fitting.class_of_model(self._config)):
            warnings.warn(note, DataWarning, stacklevel=2)
        self._fit: fitting.IsoformFit | None = None
        self._state: dict[str, Any] = {}
        self._metrics: list[dict[str, float]] = []

    def __repr__(self) -> str:
        name = self._config.model if self._fit is None else self._fit.config["model"]["model"]
        if self._fit is None:
            genes, size = fitting.genes_of(self._cells, self._config), self._cells.num_cells
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

        Training goes on where it ended, with another learning rate, batch size or patience if they
        are given.

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
        require_at_least_one("max_epochs", max_epochs)
        require_positive("learning_rate", learning_rate)
        epochs = max_epochs + len(self._metrics)
        training = TrainingConfig(epochs, batch_size, learning_rate, seed, device, patience)
        trainer, fit = fitting.set_up(
            self._own_cells(),
            self._config,
            training,
            train_fraction=train_fraction,
            progress=progress,
        )
        if self._fit is not None:
            trainer.metrics = self._metrics
        try:
            trainer.train(state=self._state_for(fit) or None)
        except TrainingInterrupted as interruption:
            warnings.warn(f"{interruption}; the model is usable, and train() goes on", stacklevel=2)
        for module in trainer.modules.values():
            module.eval()
        self._fit, self._state, self._metrics = fit, trainer.last_state, trainer.metrics
        return self

    def _state_for(self, fit: fitting.IsoformFit) -> dict[str, Any]:
        """State from which the training of a fit begins; empty for the first."""
        if self._fit is None:
            return {}
        progress, begun = self._state["progress"], self._fit.config
        changeable = ["learning_rate", "patience"]
        if not progress["batches_done"]:  # else it counts minibatches of an epoch
            changeable.append("batch_size")
        fits.require_same(begun, fit.config, "this model", changeable)
        own, earlier = fit.config["training"], begun["training"]
        if 0 < own["patience"] <= progress["epochs_since_best"]:  # this ended the training before
            progress = {**progress, "epochs_since_best": 0}
        factor = own["learning_rate"] / earlier["learning_rate"]
        optimizer = with_rates_scaled(self._state["optimizer"], factor)
        return {**self._state, "progress": progress, "optimizer": optimizer}

    @property
    def history(self) -> pd.DataFrame:
        """Losses (nats per cell) and seconds after each epoch, a row for each."""
        return pd.DataFrame(self._metrics)

    # Measures

    def evaluate(
        self,
        adata: AnnData | str | Path | None = None,
        *,
        truth: IsoformTruth | str | Path | None = None,
        subset: str = "all",
        completion: bool = False,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Measure loss and likelihood and, with a truth, accuracy and calibration.

        ``truth`` may be the path of a file with the truth; ``completion`` also predicts one half of
        each cell's reads from the other. Other arguments and the result as for
        :func:`exvae.experiments.isoforms.evaluation.evaluate`.
        """
        cells = self._read(adata)
        if isinstance(truth, str | Path):
            truth = read_truth(truth, self._trained().conform(cells))
        asked = {"subset": subset, "truth": truth, "completion": completion, "seed": seed}
        return evaluation.evaluate(self._trained(), cells, **asked)

    def check(
        self,
        adata: AnnData | str | Path | None = None,
        *,
        replicates: int = REPLICATES,
        latents: str = "posterior",
        seed: int = 0,
    ) -> Check:
        """Compare cells with cells that the model generates, see docs/checks.md.

        Parameters
        ----------
        adata
            Cells; those of the model by default.
        replicates
            Number of data sets to generate.
        latents
            ``posterior`` replicates these cells, ``prior`` makes new ones.
        seed
            Seed of all random draws.

        Returns
        -------
        Check
            Its attribute ``verdicts`` tells in words how well each statistic fits.
        """
        replication = Replication(latents, replicates, seed)
        return check_cells(self._trained(), self._read(adata), replication=replication)

    # On disk

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a folder, as ``exvae isoforms fit`` does.

        Parameters
        ----------
        folder
            The folder.
        overwrite
            Whether a fit in the folder is replaced.

        Raises
        ------
        DataError
            If the folder holds a fit that is not to be replaced, or cannot be written.
        """
        fit = self._trained()
        content = fit.config, fit.vocabularies, self._metrics, self._state
        fits.save(Path(folder), *content, overwrite=overwrite)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        adata: AnnData | str | Path | None = None,
        *,
        device: str = "auto",
        trust: bool = False,
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
        trust
            Whether classes that are not of this package, and that the fit names, may run.

        Raises
        ------
        DataError
            If the folder holds no isoform model, or a damaged one.
        """
        model = cls.__new__(cls)
        folder = Path(folder)
        model._fit = fitting.load(folder, device, trust=trust)
        model._config = fits.config_of(IsoformConfig, folder, model._fit.config)
        model._keys = model._fit.keys
        model._state = fits.read_checkpoint(folder)
        model._metrics = fits.read_metrics(folder).to_dict("records")
        model._adata = adata if isinstance(adata, AnnData) else None
        model._cells = None if adata is None else get_cells(adata, **model._keys)
        return model
