"""Isoform models from cells to fit, and from fit to figures of merit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...data.cells import (
    CellBatch,
    Cells,
    CellTensors,
    CountTensors,
    expression_scales,
    input_scales,
    noise_variances,
)
from ...data.errors import DataError
from ...data.overdispersion import inferential_dispersions
from ...guides.cells import SCVIGuide
from ...guides.paper_isoforms import IsoformGuide
from ...models.isoforms import EffectiveReadIsoforms
from ...models.paper_isoforms import BootstrapIsoforms
from ...models.scvi import SCVI
from ..fitting import fits
from ..fitting.training import Trainer, TrainingConfig, TrainingResult, choose_device
from . import inference
from .settings import DROPOUT, MODELS, POISSON_ONLY_WITH, IsoformConfig

# Held-out cells scored after each epoch.
MONITORED_CELLS = 500


@dataclass(frozen=True)
class IsoformFit:
    """A fitted model of isoforms and its guide, both in evaluation mode."""

    model: SCVI
    guide: SCVIGuide
    isoforms: list[str]
    config: dict[str, Any]
    device: torch.device

    @property
    def batch_key(self) -> str | None:
        """Column of ``obs`` that tells the batch of a cell."""
        return self.config["data"]["batch_key"]

    def conform(self, cells: Cells) -> Cells:
        """Give cells the batch codes of the fit; DataError if they are not of its isoforms."""
        return cells.recoded(self.isoforms, self.config["data"]["batch_names"])

    def tensors(self, cells: Cells) -> CellTensors | CountTensors:
        """Give the arguments of model and guide for cells with the isoforms of the fit."""
        return tensors_of(IsoformConfig(**self.config["model"]), cells, self.device)


class TrainingCells:
    """The cells that are trained on.

    Parameters
    ----------
    tensors
        All cells.
    positions
        Which of them to train on, shape (cells,).
    num_bootstraps
        How many bootstraps the guide reads; None for all.
    """

    unit = "cells"
    element = "cell"

    def __init__(
        self,
        tensors: CellTensors | CountTensors,
        positions: np.ndarray,
        num_bootstraps: int | None,
    ) -> None:
        self.tensors = tensors
        self.positions = positions
        self.num_bootstraps = num_bootstraps

    def __len__(self) -> int:
        """Count the cells."""
        return len(self.positions)

    def batch(self, positions: np.ndarray) -> CellBatch:
        """Gather the arguments of model and guide for the cells at these positions."""
        batch = self.tensors.batch(self.positions[positions], len(self), self.num_bootstraps)
        indices = torch.as_tensor(positions, device=batch.indices.device)
        return batch._replace(indices=indices)

    def size(self, positions: np.ndarray) -> int:
        """Count the cells at these positions."""
        return len(positions)


class Monitor:
    """Loss of held-out cells after each epoch, always with the same random draws.

    Parameters
    ----------
    model, guide
        Those under training.
    tensors
        All cells.
    positions
        Those held out; the first :data:`MONITORED_CELLS` are scored.
    """

    def __init__(
        self,
        model: SCVI,
        guide: SCVIGuide,
        tensors: CellTensors | CountTensors,
        positions: np.ndarray,
    ) -> None:
        self.model = model
        self.guide = guide
        self.tensors = tensors
        self.positions = positions[:MONITORED_CELLS]

    def __call__(self) -> dict[str, float]:
        """Measure; nothing where no cell is held out."""
        if not len(self.positions):
            return {}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            loss = inference.loss_per_cell(self.model, self.guide, self.tensors, self.positions)
        return {"held_out_loss_per_cell": loss}


def genes_of(cells: Cells) -> np.ndarray:
    """Names of the genes within which isoforms are looked at together, shape (isoforms,).

    Each isoform is a gene of its own where genes are not known, or no bootstraps are kept beside
    their statistics to show how isoforms scatter together.
    """
    return cells.genes if cells.genes is not None and cells.keeps_bootstraps else cells.isoforms


def build(config: IsoformConfig, genes: Sequence[str], num_batches: int) -> tuple[SCVI, SCVIGuide]:
    """Build model and guide.

    Parameters
    ----------
    config
        Which.
    genes
        The gene of each isoform.
    num_batches
        Batches of cells.

    Raises
    ------
    DataError
        If the configuration names a model or an option that does not exist.
    """
    if config.model not in MODELS:
        raise DataError(f"--model is {config.model!r}; choose one of {', '.join(MODELS)}")
    if min(config.latent_size, config.noise_latent_size) < 1:
        raise DataError("a latent variable has no dimensions; give at least 1")
    num_isoforms, noise = len(genes), config.chosen_noise()
    if noise == "poisson" and (config.error, config.zeros) != POISSON_ONLY_WITH:
        raise DataError(
            f"--error {config.error} and --zeros {config.zeros} need normal noise; choose another "
            "--noise"
        )
    decoder = {
        "latent_size": config.latent_size,
        "dispersion": config.dispersion,
        "dropout": config.dropout or DROPOUT[noise if config.model == "bootstrap" else "scvi"],
    }
    encoder = {"pooling": config.pooling, "input_dropout": config.input_dropout}
    try:
        if config.model == "scvi":
            model = SCVI(num_isoforms, num_batches, **decoder)
            return model, SCVIGuide(model, **encoder)
        if noise == "poisson":
            codes = torch.from_numpy(np.unique(genes, return_inverse=True)[1])
            model = EffectiveReadIsoforms(codes, num_batches, **decoder)
            return model, SCVIGuide(model, **encoder)
        model = BootstrapIsoforms(
            num_isoforms,
            num_batches,
            noise_latent_size=config.noise_latent_size,
            error=config.error,
            zeros=config.zeros,
            noise=noise,
            **decoder,
        )
        return model, IsoformGuide(model, **encoder)
    except ValueError as error:
        raise DataError(str(error)) from error


def tensors_of(
    config: IsoformConfig, cells: Cells, device: torch.device
) -> CellTensors | CountTensors:
    """Put what the model reads and observes of the cells within reach of a device."""
    return (CountTensors if config.model == "scvi" else CellTensors)(cells, device)


def split_cells(num_cells: int, train_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the cells to train on, and of those held out, both in random order."""
    order = np.random.default_rng(seed).permutation(num_cells)
    num_train = round(train_fraction * num_cells)
    return order[:num_train], order[num_train:]


def fit(
    cells: Cells,
    config: IsoformConfig,
    training: TrainingConfig,
    folder: Path,
    *,
    train_fraction: float = 0.9,
    batch_key: str | None = None,
    resume: bool = False,
) -> TrainingResult:
    """Fit a model of isoforms and keep it in a folder.

    Trains on a fraction of the cells, chosen by the seed. The loss of the others is recorded after
    each epoch and, with ``training.patience``, decides when to stop.

    Raises
    ------
    DataError
        If the folder holds another fit or the cells are not such as the model needs.
    """
    device = choose_device(training.device)
    torch.manual_seed(training.seed)
    genes = genes_of(cells)
    model, guide = build(config, genes, len(cells.batch_names))
    tensors = tensors_of(config, cells, device)
    trained_on, held_out = split_cells(cells.num_cells, train_fraction, training.seed)
    if not len(trained_on) or (training.patience and not len(held_out)):
        raise DataError(
            f"{cells.source}: of {cells.num_cells} cells --train-fraction {train_fraction} leaves "
            f"{len(trained_on)} to train on and {len(held_out)} held out; choose another"
        )
    description = {
        "kind": "isoforms",
        "model": asdict(config),
        "training": asdict(training),
        "split": {"train_fraction": train_fraction},
        "data": {
            "source": cells.source,
            "fingerprint": cells.fingerprint,
            "cells": cells.num_cells,
            "training_cells": len(trained_on),
            "isoforms": cells.num_isoforms,
            "genes": hashlib.sha256("\n".join(genes).encode()).hexdigest(),
            "batch_key": batch_key,
            "batch_names": list(cells.batch_names),
        },
        "versions": fits.versions(),
    }
    fits.create_folder(folder, resume=resume)
    if resume:
        fits.check_same_fit(folder, description)
    fits.write_config(folder, description)
    fits.write_vocabulary(folder, cells.isoforms.tolist(), fits.ISOFORMS)
    fits.write_vocabulary(folder, genes.tolist(), fits.GENES)
    if not resume:
        initialise(model, guide, cells, tensors, trained_on)
    trainer = Trainer(
        model.to(device),
        guide.to(device),
        TrainingCells(tensors, trained_on, config.encoder_bootstraps or None),
        training,
        folder,
        monitor=Monitor(model, guide, tensors, held_out),
        score="held_out_loss_per_cell" if training.patience else None,
    )
    return trainer.train(resume=resume)


def initialise(
    model: SCVI,
    guide: SCVIGuide,
    cells: Cells,
    tensors: CellTensors | CountTensors,
    positions: np.ndarray,
) -> None:
    """Start model and guide from what the cells at these positions tell of them themselves."""
    counts = tensors.estimates[positions]
    batches = cells.batches[positions]
    model.initialise(expression_scales(counts, batches, len(cells.batch_names)))
    guide.initialise(input_scales(counts))
    if isinstance(model, EffectiveReadIsoforms):
        genes = model.gene_codes.cpu().numpy()
        model.initialise_noise(inferential_dispersions(cells, positions, genes))
    elif isinstance(model, BootstrapIsoforms):
        relative = model.likelihood["noise"] != "absolute"
        model.initialise_noise(noise_variances(cells, positions, relative=relative))


def load(folder: Path, device: str = "auto") -> IsoformFit:
    """Load a fit into freshly built objects on any device.

    Raises
    ------
    DataError
        If the folder holds no fit of a model of isoforms, or a damaged one.
    """
    chosen = choose_device(device)
    config = fits.read_config(folder, "isoforms")
    isoforms = fits.read_vocabulary(folder, fits.ISOFORMS)
    genes = fits.read_vocabulary(folder, fits.GENES)
    num_batches = len(config["data"]["batch_names"])
    model, guide = build(IsoformConfig(**config["model"]), genes, num_batches)
    fits.load_modules(folder, chosen, {"model": model, "guide": guide})
    return IsoformFit(model, guide, isoforms, config, chosen)
