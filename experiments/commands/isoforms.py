"""The commands ``exvae isoforms ...``."""

# What is heavy is imported where it is used, so that the command line starts at once.
from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.core import TyperCommand

from ...data.files import require_folder
from ..isoforms import settings
from .options import Device, Fit, Json, NewFit, Resume, Seed
from .reports import report

if TYPE_CHECKING:
    from ...data.cells import Cells

app = typer.Typer(help="Isoform expression of cells from bootstraps.", no_args_is_help=True)

CellsFile = Annotated[
    Path, typer.Argument(metavar="CELLS.h5ad", help="As exvae isoforms import writes them.")
]
Samples = Annotated[
    int, typer.Option(min=1, help="Draws of the latent variables to average expression over.")
]


class ManyQuantiles(TyperCommand):
    """A command whose option ``--quantiles`` takes all numbers up to the next option."""

    def parse_args(self, context, arguments: list[str]) -> list[str]:
        """Repeat the option before each of its numbers."""
        repeated, within = [], False
        for argument in arguments:
            if argument == "--quantiles":
                within = True
                continue
            within = within and not argument.startswith("-")
            repeated += ["--quantiles", argument] if within else [argument]
        return super().parse_args(context, repeated)


def _tell_of_genes(cells: Cells) -> None:
    """Say so where isoforms cannot be looked at together with those of their gene."""
    if cells.genes is None:
        reason = "var has no column gene, which exvae isoforms import --t2g makes"
    elif not cells.keeps_bootstraps:
        reason = "no two bootstraps are kept beside their statistics (import --layers 5 keeps some)"
    else:
        return
    print(
        f"exvae: {cells.source}: each isoform is taken by itself and not with its gene: {reason}",
        file=sys.stderr,
    )


@app.command()
def fit(
    cells: CellsFile,
    out: NewFit,
    model: Annotated[
        Literal["bootstrap", "scvi"],
        typer.Option(help="Of bootstraps, or scVI of the rounded counts in X."),
    ] = "bootstrap",
    error: Annotated[
        Literal["shared", "independent"],
        typer.Option(help="Whether bootstraps scatter around the estimate or the truth."),
    ] = "shared",
    zeros: Annotated[
        Literal["rectified", "atom"], typer.Option(help="How a bootstrap becomes zero.")
    ] = "rectified",
    noise: Annotated[
        Literal["poisson", "adaptive", "relative", "absolute"] | None,
        typer.Option(
            help="How estimates scatter: as counts of effective reads, or normal with one of three "
            "scales; poisson, but adaptive with --error independent or --zeros atom."
        ),
    ] = None,
    batch_key: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of obs with the batch of a cell.")
    ] = None,
    train_fraction: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of the cells; the others are held out.")
    ] = 0.9,
    encoder_bootstraps: Annotated[
        int,
        typer.Option(min=0, metavar="B", help="That the guide reads of a cell; 0 for all."),
    ] = settings.IsoformConfig.encoder_bootstraps,
    latent: Annotated[
        int, typer.Option(min=1, metavar="Z", help="Dimensions of a cell's state.")
    ] = settings.IsoformConfig.latent_size,
    dispersion: Annotated[
        Literal["isoform", "isoform-batch", "isoform-cell"],
        typer.Option(
            help="What dispersion is learned for; genes, with poisson noise, not isoforms."
        ),
    ] = settings.IsoformConfig.dispersion,
    dropout: Annotated[
        Literal["network", "isoform", "none"] | None,
        typer.Option(
            help="What the probability of dropout is learned for; by default the network, but "
            "none with normal noise. With poisson noise genes drop out, not isoforms."
        ),
    ] = None,
    pooling: Annotated[
        Literal["sum", "mean", "max", "moments"], typer.Option(help="Of the guide.")
    ] = "mean",
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of obs that colours the picture.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = settings.EPOCHS,
    batch_size: Annotated[int, typer.Option(min=1, help="Cells.")] = settings.BATCH_SIZE,
    learning_rate: Annotated[
        float, typer.Option(min=0.0, help="Of Adam.")
    ] = settings.LEARNING_RATE,
    patience: Annotated[
        int,
        typer.Option(
            min=0,
            help="Stop after this many epochs without a better loss of the cells held out; 0 "
            "trains to the end.",
        ),
    ] = 0,
    seed: Seed = 0,
    device: Device = "auto",
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Fit a model of isoforms; pictures of the training and of the cells are put beside it."""
    import numpy as np

    from ...data.cells import read_cells
    from ..drawing.isoforms import draw_states
    from ..drawing.saving import save
    from ..drawing.training import draw_training
    from ..fitting import fits
    from ..fitting.training import TrainingConfig
    from ..isoforms import fitting, inference

    config = settings.IsoformConfig(
        model=model,
        error=error,
        zeros=zeros,
        noise=noise,
        latent_size=latent,
        dispersion=dispersion,
        dropout=dropout,
        pooling=pooling,
        encoder_bootstraps=encoder_bootstraps,
    )
    training = TrainingConfig(epochs, batch_size, learning_rate, seed, device, patience)
    data = read_cells(cells, batch_key)
    groups = _groups(data, label or batch_key)
    if model == "scvi" and (data.counts.data % 1).any():
        print(f"exvae: {cells}: X is not whole everywhere; scVI takes it rounded", file=sys.stderr)
    if model == "bootstrap" and config.chosen_noise() == "poisson" and data.summary is not None:
        _tell_of_genes(data)
    result = fitting.fit(
        data,
        config,
        training,
        out,
        train_fraction=train_fraction,
        batch_key=batch_key,
        resume=resume,
    )
    metrics = fits.read_metrics(out)
    pictures = [out / "training.png", out / "states.png"]
    save(draw_training(metrics), pictures[0])
    loaded = fitting.load(out, device)
    states = inference.mean_states(
        loaded.guide,
        fitting.tensors_of(config, data, loaded.device),
        np.arange(data.num_cells),
    )
    save(draw_states(states, groups).figure, pictures[1])
    last = metrics.iloc[-1].to_dict()
    values = {"fit": str(out), **asdict(result), **last, "epoch": int(last["epoch"])}
    report({**values, "pictures": [str(picture) for picture in pictures]}, as_json=json)


def _groups(cells: Cells, column: str | None):
    """Names by which cells are coloured; DataError if there is no such column."""
    if column is None:
        return None
    return cells.column(column, "--label").astype(str)


@app.command()
def evaluate(
    fit: Fit,
    cells: CellsFile,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="TRUTH",
            help="An .npz with arrays expected, cell_type and transcripts, or the .h5ad of cells "
            "that exvae isoforms simulate has written.",
        ),
    ] = None,
    subset: Annotated[Literal["all", "train", "held-out"], typer.Option()] = "all",
    likelihood_samples: Annotated[
        int, typer.Option(min=1, help="Behind the likelihood of the point estimates.")
    ] = settings.LIKELIHOOD_SAMPLES,
    samples: Samples = settings.POSTERIOR_SAMPLES,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure loss and likelihood, and accuracy and calibration where the truth is known."""
    from ...data.cells import read_cells
    from ...data.isoform_truth import read_truth
    from ..isoforms import evaluation, fitting

    loaded = fitting.load(fit, device)
    data = read_cells(cells, loaded.batch_key)
    known = None if truth is None else read_truth(truth, data)
    measured = evaluation.evaluate(
        loaded,
        data,
        subset=subset,
        truth=known,
        likelihood_samples=likelihood_samples,
        posterior_samples=samples,
        seed=seed,
    )
    report(measured, as_json=json)


@app.command(cls=ManyQuantiles)
def export(
    fit: Fit,
    cells: CellsFile,
    out: Annotated[Path, typer.Option(metavar="OUT.h5ad", help="The file to write.")],
    quantiles: Annotated[
        list[float], typer.Option(metavar="Q...", help="Of the posterior, between 0 and 1.")
    ] = list(settings.QUANTILES),  # noqa: B006  (read only)
    samples: Samples = settings.POSTERIOR_SAMPLES,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Write the cells with their states and the posterior of their expression, for scanpy."""
    from ..isoforms import exporting, fitting

    loaded = fitting.load(fit, device)
    written = exporting.export(
        loaded, cells, out, quantiles=quantiles, num_samples=samples, seed=seed
    )
    report(written, as_json=json)


@app.command()
def gene(
    exported: Annotated[
        Path, typer.Argument(metavar="OUT.h5ad", help="As exvae isoforms export writes it.")
    ],
    name: Annotated[str, typer.Argument(metavar="GENE", help="A gene, or an isoform.")],
    out: Annotated[Path, typer.Option(metavar="GENE.png", help="The picture to write.")],
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of obs to group the cells by.")
    ] = None,
    json: Json = False,
) -> None:
    """Draw the isoforms of a gene in every cell, with the intervals of their expression."""
    from ..drawing.isoforms import draw_gene
    from ..drawing.saving import save
    from ..isoforms.exporting import read_gene

    require_folder(out)
    table = read_gene(exported, name, group)
    save(draw_gene(table, name), out)
    report({"picture": str(out), "isoforms": int(table["isoform"].nunique())}, as_json=json)
