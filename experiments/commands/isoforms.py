"""The commands ``exvae isoforms ...``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...data.files import require_folder, unchanged
from ...models import MODELS
from ..isoforms import settings
from . import panels
from .options import (
    Backed,
    CellsFile,
    Device,
    Epochs,
    Fit,
    GeneKey,
    Json,
    LearningRate,
    NewFit,
    Pooling,
    Resume,
    Seed,
    Set,
    Trust,
    parse_settings,
)
from .reports import report, report_fit, tell

if TYPE_CHECKING:
    import pandas as pd

    from ...data.cell_tables import CellTable

app = typer.Typer(
    help="Isoform expression of cells from bootstraps.\n\n"
    "$ exvae isoforms fit cells.h5ad --out FIT",
    no_args_is_help=True,
)

Samples = Annotated[int, panels.advanced(min=1, help="Number of draws of the latent variables.")]


@app.command()
def fit(
    cells: CellsFile,
    out: NewFit,
    model: Annotated[
        str,
        panels.model(metavar="NAME", help=f"Model: {', '.join(MODELS)} or module:Class."),
    ] = settings.IsoformConfig.model,
    guide: Annotated[
        str | None,
        panels.model(
            metavar="NAME", help="Guide: cells, paper or module:Class; the model's default."
        ),
    ] = None,
    pooling: Pooling = settings.IsoformConfig.pooling,
    decoder: Annotated[
        str, panels.model(metavar="NAME", help="Decoder: network, linear or module:Class.")
    ] = settings.IsoformConfig.decoder,
    set_: Set = [],  # noqa: B006  (read only)
    error: Annotated[
        Literal["independent", "shared"] | None,
        panels.model(help="Model paper: bootstraps scatter around the truth, or the estimate."),
    ] = None,
    noise: Annotated[
        Literal["absolute", "relative"] | None,
        panels.model(
            help="Model paper: noise that is constant, or grows with the root of the count."
        ),
    ] = None,
    batch_key: Annotated[
        str | None, panels.common(metavar="COLUMN", help="Column of obs with the batch of a cell.")
    ] = None,
    gene_key: GeneKey = None,
    train_fraction: Annotated[
        float, panels.training(min=0.0, max=1.0, help="Fraction of the cells to train on.")
    ] = 0.9,
    encoder_bootstraps: Annotated[
        int,
        panels.training(
            min=0, metavar="B", help="Bootstraps per cell that the guide reads in a step; 0: all."
        ),
    ] = settings.IsoformConfig.encoder_bootstraps,
    label: Annotated[
        str | None, panels.common(metavar="COLUMN", help="Column of obs that colours the cells.")
    ] = None,
    epochs: Epochs = settings.EPOCHS,
    batch_size: Annotated[
        int, panels.training(min=1, help="Cells per step.")
    ] = settings.BATCH_SIZE,
    learning_rate: LearningRate = settings.LEARNING_RATE,
    patience: Annotated[
        int,
        panels.training(
            min=0,
            help="Epochs without a better loss of the held-out cells before training stops; 0 "
            "trains to the end.",
        ),
    ] = 0,
    seed: Seed = 0,
    device: Device = "auto",
    backed: Backed = None,
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Fit an isoform model; draw the training and the cells.

    $ exvae isoforms fit cells.h5ad --label cell_type --out FIT

    $ exvae isoforms fit cells.h5ad --model paper --noise relative --out PAPER
    """
    from ..fitting.training import TrainingConfig
    from ..fitting.workers import joined
    from ..isoforms import fitting
    from ..isoforms.notes import notes_of_cells

    apart = ("model", "guide", "pooling", "decoder")
    options = parse_settings(set_, apart, error=error, noise=noise)
    config = settings.IsoformConfig(model, guide, pooling, decoder, options, encoder_bootstraps)
    training = TrainingConfig(epochs, batch_size, learning_rate, seed, device, patience)
    with unchanged([cells]):
        data = read(cells, backed, batch_key, gene_key)
    groups = _groups(data, label or batch_key)
    tell(notes_of_cells(data, fitting.class_of_model(config)))
    with joined(out) as processes:
        result = fitting.fit(
            data,
            config,
            training,
            out,
            train_fraction=train_fraction,
            resume=resume,
        )
    if processes.first:
        _report_fit(out, data, groups, asdict(result), device, as_json=json)


def _report_fit(
    folder: Path,
    cells: CellTable,
    groups: pd.Series | None,
    result: dict[str, object],
    device: str,
    *,
    as_json: bool,
) -> None:
    """Draw a finished fit and print its result."""
    import numpy as np

    from ..drawing.embeddings import draw_states
    from ..drawing.saving import save
    from ..drawing.training import draw_training
    from ..fitting import fits
    from ..isoforms import fitting, inference

    metrics = fits.read_metrics(folder)
    pictures = [folder / "training.png", folder / "states.png"]
    save(draw_training(metrics), pictures[0])
    loaded = fitting.load(folder, device, trust=True)
    everything = np.arange(cells.num_cells)
    states = inference.mean_states(loaded.guide, loaded.source(cells), everything)
    save(draw_states(states, groups).figure, pictures[1])
    report_fit(folder, result, metrics, pictures, as_json=as_json)


def read(
    cells: Path,
    backed: bool | None,
    batch_key: str | None = None,
    gene_key: str | None = None,
) -> CellTable:
    """Read cells into memory, or leave them on disk and tell so."""
    from ...data.any_cells import get_cells, told_storage

    data = get_cells(cells, batch_key, gene_key, backed=backed)
    tell(filter(None, [told_storage(data)]))
    return data


def _groups(cells: CellTable, column: str | None):
    """Values of the column that colours cells; DataError if there is no such column."""
    if column is None:
        return None
    return cells.column(column, "--label").astype(str)


@app.command()
def evaluate(
    fit: Fit,
    cells: CellsFile,
    truth: Annotated[
        Path | None,
        panels.common(
            metavar="TRUTH",
            help="Truth: an .npz with arrays expected, cell_type and transcripts, or the .h5ad "
            "from exvae isoforms simulate.",
        ),
    ] = None,
    subset: Annotated[
        Literal["all", "train", "held-out"], panels.common(help="Cells to measure.")
    ] = "all",
    likelihood_samples: Annotated[
        int, panels.advanced(min=1, help="Number of samples for nll_point_estimates.")
    ] = settings.LIKELIHOOD_SAMPLES,
    samples: Samples = settings.POSTERIOR_SAMPLES,
    completion: Annotated[
        bool,
        panels.common(
            "--completion",
            help="Predict half of each cell's reads from the other half; the cells need reads by "
            "class (import --reads).",
        ),
    ] = False,
    seed: Seed = 0,
    device: Device = "auto",
    backed: Backed = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Measure loss and likelihood and, with a truth, accuracy and calibration.

    The loss of effective reads is a quasi-likelihood and compares only fits of that model;
    nll_point_estimates compares all models, and so does --completion, which needs no truth.

    $ exvae isoforms evaluate FIT cells.h5ad --subset held-out
    """
    from ...data.isoform_truth import read_truth
    from ..isoforms import evaluation, fitting

    loaded = fitting.load(fit, device, trust=trust)
    data = read(cells, backed, **loaded.keys)
    known = None if truth is None else read_truth(truth, data)
    measured = evaluation.evaluate(
        loaded,
        data,
        subset=subset,
        truth=known,
        likelihood_samples=likelihood_samples,
        posterior_samples=samples,
        completion=completion,
        seed=seed,
    )
    report(measured, as_json=json)


@app.command()
def gene(
    exported: Annotated[
        Path, typer.Argument(metavar="OUT.h5ad", help="Cells, from exvae isoforms export.")
    ],
    names: Annotated[
        list[str], typer.Argument(metavar="GENE...", help="Names of genes or isoforms.")
    ],
    out: Annotated[Path, panels.common(metavar="GENE.png", help="The picture to write.")],
    groupby: Annotated[
        str | None,
        panels.common(
            "--groupby", "--group", metavar="COLUMN", help="Column of obs to group the cells by."
        ),
    ] = None,
    max_isoforms: Annotated[
        int | None,
        panels.common(min=1, metavar="N", help="Isoforms of a gene to draw, the most expressed."),
    ] = None,
    json: Json = False,
) -> None:
    """Draw the isoforms of genes in every cell, with intervals.

    $ exvae isoforms gene expression.h5ad gene5 --groupby cell_type --out g5.png
    """
    from .. import pl
    from ..drawing.saving import save
    from ..isoforms.exported import ESTIMATES, read_exported
    from ..isoforms.notes import model_of, notes_of_intervals

    require_folder(out)
    cells, interval = read_exported(exported, names, groupby)
    shown = {"interval": interval, "max_isoforms": max_isoforms, "estimates": ESTIMATES}
    figure = pl.gene(cells, names, groupby, **shown)
    save(figure, out)
    tell(notes_of_intervals(model_of(cells)))
    report({"picture": str(out), "isoforms": cells.n_vars}, as_json=json)
