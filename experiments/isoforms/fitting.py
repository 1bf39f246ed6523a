"""Fits of isoform models: build, train, save and load."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...data.arguments import require
from ...data.cell_batches import OBSERVATIONS, BatchSource, batch_source
from ...data.cell_tables import CellTable
from ...data.errors import DataError
from ...data.initial_values import InitialValues
from ...guides import CELL_GUIDES
from ...guides.base import Guide
from ...guides.cells import CellGuide
from ...guides.sets import POOLINGS, Pooling
from ...models import MODELS
from ...models.cells import CellModel
from ...models.decoders import DECODERS
from ..fitting import fits, workers
from ..fitting.classes import construct, distribute, find_class, name_of
from ..fitting.constructors import check_options, defaults_of, options_of
from ..fitting.datasets import Subset
from ..fitting.devices import choose_device
from ..fitting.errors import ArgumentError
from ..fitting.training import Trainer, TrainingConfig, TrainingResult
from ..fitting.user_code import told_in_one_line
from .monitor import Monitor
from .settings import IsoformConfig

# Fields of the configuration that may be classes.
CLASSES = ("model", "guide", "pooling", "decoder")
# How cells of unknown batches are treated.
NEW_BATCHES = (None, "average")
# Registered classes of each argument, and how many arguments they are given by position.
_REGISTRIES = {"model": (MODELS, 2), "guide": (CELL_GUIDES, 1), "decoder": (DECODERS, 3)}
_REGISTERED = {"model": MODELS, "guide": CELL_GUIDES, "pooling": POOLINGS, "decoder": DECODERS}


@dataclass(frozen=True)
class IsoformFit:
    """A fitted isoform model and its guide, both in evaluation mode."""

    model: CellModel
    guide: CellGuide
    isoforms: list[str]
    genes: list[str]
    config: dict[str, Any]
    device: torch.device

    @property
    def vocabularies(self) -> dict[str, list[str]]:
        """Names of the isoforms and of the gene of each, by file of the fit."""
        return {fits.ISOFORMS: self.isoforms, fits.GENES: self.genes}

    @property
    def batch_key(self) -> str | None:
        """Column of ``obs`` with the batch of a cell."""
        return self.config["data"]["batch_key"]

    @property
    def keys(self) -> dict[str, str | None]:
        """Columns by which other cells are read as those of the fit, arguments of ``get_cells``."""
        return {name: self.config["data"][name] for name in ("batch_key", "gene_key")}

    @property
    def options(self) -> dict[str, Any]:
        """Values of the options of model, decoder and guide by name, defaults included."""
        chosen = self.config["model"]
        parts = ((self.guide, 1), (self.model.decoder, 3), (self.model, 2))
        defaults = [defaults_of(type(part), given) for part, given in parts]
        return {**defaults[0], **defaults[1], **defaults[2], **chosen, **chosen["options"]}

    def source(self, cells: CellTable) -> BatchSource:
        """Prepare cells for the model, on its device."""
        source = batch_source(cells, self.model.observes, self.device)
        source.follow(self.model, self.guide)
        return source

    @property
    def batch_names(self) -> list[str]:
        """Names of the batches, in the order of their codes."""
        return self.config["data"]["batch_names"]

    def conform(self, cells: CellTable, new_batches: str | None = None) -> CellTable:
        """Select the isoforms of the fit and give cells its batch codes.

        Parameters
        ----------
        cells
            Cells with the isoforms of the fit, in any order and among others.
        new_batches
            ``average`` treats cells of unknown batches as of each known batch in turn; None
            refuses them.

        Raises
        ------
        DataError
            If an isoform is missing or a batch is unknown.
        """
        require("new_batches", new_batches, NEW_BATCHES)
        chosen = cells.selected(self.isoforms)
        return chosen.recoded(self.batch_names, average=new_batches == "average")

    @property
    def gene_names(self) -> list[str]:
        """Names of the genes, in the order of gene-level expression."""
        return sorted(set(self.genes))

    def code_of_batch(self, name: str) -> int:
        """Code of a batch of the fit; DataError if there is none of this name."""
        name = str(name)  # as the names of batches are
        if name not in self.batch_names:
            known = ", ".join(map(repr, self.batch_names))
            raise DataError(f"transform_batch is {name!r}; choose one of {known}")
        return self.batch_names.index(name)


def genes_of(cells: CellTable, config: IsoformConfig) -> np.ndarray:
    """Names of the genes that group isoforms in a model, shape (isoforms,).

    Each isoform is a gene of its own if genes are not known, or if the model needs the covariance
    of isoforms, and the cells hold only statistics of the bootstraps, which lack it.
    """
    known = cells.keeps_bootstraps or class_of_model(config).observes == "reads"
    return cells.genes if cells.genes is not None and known else cells.isoforms


def class_of_model(config: IsoformConfig) -> type[CellModel]:
    """Find the class of the model; DataError if there is no such class, or it is no model."""
    found = find_class(config.model, MODELS, "model", CellModel, ["likelihood"])
    if found.observes not in OBSERVATIONS:
        raise ArgumentError(
            f"model {found.__name__} observes {found.observes!r}; choose one of "
            f"{', '.join(OBSERVATIONS)}"
        )
    return found


def build(
    config: IsoformConfig, genes: Sequence[str], num_batches: int
) -> tuple[CellModel, CellGuide]:
    """Build model and guide.

    Parameters
    ----------
    config
        Their classes and options.
    genes
        Name of the gene of each isoform, shape (isoforms,).
    num_batches
        Number of batches of cells.

    Raises
    ------
    DataError
        If a class or an option does not exist, is of another kind, or has no such value.
    """
    model_class = class_of_model(config)
    decoder = find_class(config.decoder, DECODERS, "decoder", nn.Module)
    default = model_class.default_guide
    guide_class = find_class(config.guide or default, CELL_GUIDES, "guide", Guide, ["posteriors"])
    pooling = find_class(config.pooling, POOLINGS, "pooling", Pooling)
    taken = options_of(guide_class, 1)
    of_model, of_guide = distribute(
        config.options, [options_of(model_class, 2) | options_of(decoder, 3), taken], _REGISTRIES
    )
    if "pooling" in taken:
        of_guide["pooling"] = pooling
    elif config.pooling != IsoformConfig.pooling:
        raise ArgumentError(f"pooling is of no use: guide {guide_class.__name__} takes none")
    check_options([decoder], of_model)
    codes = torch.from_numpy(np.unique(genes, return_inverse=True)[1])
    model = construct(model_class, codes, num_batches, decoder=decoder, **of_model)
    _check_decoder(model)
    return model, construct(guide_class, model, **of_guide)


def _check_decoder(model: CellModel) -> None:
    """Require the layer whose bias starts from the mean expression."""
    bias = getattr(getattr(model.decoder, "output", None), "bias", None)
    size = sum(model.heads.values())
    if bias is None or bias.shape != (size,):
        found = "none" if bias is None else f"one of {len(bias)}"
        raise ArgumentError(
            f"decoder {type(model.decoder).__name__} needs a layer output with a bias of "
            f"output_size = {size} values, and has {found}; write self.output = nn.Linear(..., "
            "output_size)"
        )


def split_cells(num_cells: int, train_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of training and of held-out cells, shapes (cells,), both in random order."""
    order = np.random.default_rng(seed).permutation(num_cells)
    if not 0 < train_fraction <= 1:
        raise ArgumentError(f"train_fraction is {train_fraction}; choose more than 0 and at most 1")
    num_train = round(train_fraction * num_cells)
    return order[:num_train], order[num_train:]


def check(cells: CellTable, config: IsoformConfig) -> None:
    """Raise a DataError unless model and guide can be built for the cells."""
    with torch.random.fork_rng(devices=[]):  # the seed of the training decides the first values
        _build_for(cells, config)


def _build_for(cells: CellTable, config: IsoformConfig) -> tuple[CellModel, CellGuide]:
    cells.require_shared_batches()
    number = config.encoder_bootstraps
    if not isinstance(number, Integral) or number < 0:
        raise ArgumentError(f"encoder_bootstraps is {number!r}; give a whole number, 0 for all")
    return build(config, genes_of(cells, config), len(cells.batch_names))


def prepare(
    cells: CellTable, config: IsoformConfig, positions: np.ndarray, device: torch.device
) -> tuple[Subset, CellModel, CellGuide]:
    """Build model and guide, initialise both from the training cells, and gather these.

    Parameters
    ----------
    cells
        All cells.
    config
        Classes and options of model and guide.
    positions
        Positions of the training cells, shape (cells,).
    device
        Device of model, guide and minibatches.

    Raises
    ------
    DataError
        If the cells lack data that the model needs, or the configuration is wrong.
    """
    model, guide = _build_for(cells, config)
    source = batch_source(cells, model.observes, device)
    values = InitialValues(source, positions)
    with told_in_one_line([("model", type(model)), ("guide", type(guide))], "in initialise"):
        model.initialise(values)
        guide.initialise(values)
    source.follow(model, guide)
    options = source.training_options(config.encoder_bootstraps or None)
    training_cells = Subset(source, positions, unit="cells", element="cell", **options)
    return training_cells, model.to(device), guide.to(device)


def fit(
    cells: CellTable,
    config: IsoformConfig,
    training: TrainingConfig,
    folder: Path,
    *,
    train_fraction: float = 0.9,
    resume: bool = False,
) -> TrainingResult:
    """Fit an isoform model and save it in a folder.

    Trains on a fraction of the cells, chosen by the seed. The loss of the others is recorded after
    each epoch and, with ``training.patience``, decides when to stop.

    Raises
    ------
    DataError
        If the folder holds another fit, or the cells lack data that the model needs.
    """
    first = workers.current().first
    if first:
        fits.check_folder(folder, resume=resume)
    trainer, fitted = set_up(cells, config, training, folder, train_fraction=train_fraction)
    begun = fits.begun(folder, fitted.config, fitted.vocabularies, resume=resume)
    with begun if first else nullcontext():
        return trainer.train(resume=resume)


def set_up(
    cells: CellTable,
    config: IsoformConfig,
    training: TrainingConfig,
    folder: Path | None = None,
    *,
    train_fraction: float = 0.9,
    progress: bool = True,
) -> tuple[Trainer, IsoformFit]:
    """Make a trainer, and the fit that it trains.

    Parameters
    ----------
    cells, config, training, train_fraction
        As for :func:`fit`.
    folder
        Folder of the fit; None saves nothing.
    progress
        Whether to show a progress bar.

    Raises
    ------
    DataError
        If the cells lack data that the model needs, or the configuration is wrong.
    """
    device = choose_device(training.device)
    torch.manual_seed(training.seed)
    trained_on, held_out = split_cells(cells.num_cells, train_fraction, training.seed)
    if not len(trained_on) or (training.patience and not len(held_out)):
        raise DataError(
            f"{cells.source}: of {cells.num_cells} cells train_fraction {train_fraction} leaves "
            f"{len(trained_on)} to train on and {len(held_out)} held out; choose another"
        )
    training_cells, model, guide = prepare(cells, config, trained_on, device)
    trainer = Trainer(
        model,
        guide,
        training_cells,
        training,
        folder,
        monitor=Monitor(model, guide, training_cells.source, held_out),
        score="held_out_loss_per_cell" if training.patience else None,
        progress=progress,
    )
    trainer.check(loose=False)
    description = _describe(cells, config, training, train_fraction)
    isoforms, genes = cells.isoforms.tolist(), genes_of(cells, config).tolist()
    return trainer, IsoformFit(model, guide, isoforms, genes, description, device)


def _describe(
    cells: CellTable, config: IsoformConfig, training: TrainingConfig, train_fraction: float
) -> dict[str, Any]:
    """Content of ``config.json``."""
    return {
        "kind": "isoforms",
        "model": {**asdict(config), **{key: name_of(getattr(config, key)) for key in CLASSES}},
        "training": asdict(training),
        "split": {"train_fraction": train_fraction},
        "data": {
            "source": cells.source,
            "fingerprint": cells.fingerprint,
            "cells": cells.num_cells,
            "training_cells": round(train_fraction * cells.num_cells),
            "isoforms": cells.num_isoforms,
            "gene_key": cells.gene_key,
            "genes": hashlib.sha256("\n".join(genes_of(cells, config)).encode()).hexdigest(),
            "batch_key": cells.batch_key,
            "batch_names": list(cells.batch_names),
        },
        "versions": fits.versions(),
    }


def load(folder: Path, device: str = "auto", *, trust: bool = False) -> IsoformFit:
    """Load a fit into freshly built objects on any device.

    With ``trust`` classes of other packages, which the fit names, may run.

    Raises
    ------
    DataError
        If the folder holds no fit of an isoform model, or a damaged or untrusted one.
    """
    chosen = choose_device(device)
    config = fits.read_config(folder, "isoforms")
    isoforms, genes = fits.read_columns(folder, fits.ISOFORMS, fits.GENES)
    num_batches = len(config["data"]["batch_names"])
    classes = fits.config_of(IsoformConfig, folder, config)
    with fits.building(folder, classes, _REGISTERED, trust=trust):
        model, guide = build(classes, genes, num_batches)
    fits.load_modules(folder, chosen, {"model": model, "guide": guide})
    if getattr(model, "ensemble", None) is not None:
        model.ensemble.load()  # training may have ended while a member had its turn
    return IsoformFit(model, guide, isoforms, genes, config, chosen)
