"""Small models of isoforms whose parameters are known, and minibatches for them."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import Tensor

from exvae.data.bootstraps import BootstrapMean
from exvae.data.cell_batches import CellBatch
from exvae.data.initial_values import ExpressionScales
from exvae.data.overdispersion import InferentialDispersions
from exvae.models.cells import CellModel
from exvae.models.isoforms import EffectiveReadIsoforms
from exvae.models.scvi import SCVI

LATENT_SIZE = 3


def observation(bootstraps: Tensor) -> Tensor:
    """Turn bootstraps (reads), shape (..., isoforms, bootstraps), into what a model observes."""
    return BootstrapMean.of(bootstraps).stacked()


def minibatch(obs: object, batches: Tensor, *, num_bootstraps: int = 1) -> CellBatch:
    """Make a minibatch of all cells; what the guide would read is of no account here."""
    cells = len(batches)
    return CellBatch(
        torch.ones(cells * num_bootstraps, 1),
        torch.arange(cells + 1) * num_bootstraps,
        batches,
        torch.arange(cells),
        cells,
        obs,
    )


def initialised(model: CellModel, fractions: Sequence[float], **measured: object) -> CellModel:
    """Give a model these fractions, and batches library sizes that differ."""
    numbers = torch.arange(model.num_batches)
    scales = ExpressionScales(4.0 + numbers, 0.3 + 0.3 * numbers, torch.tensor(list(fractions)))
    model.initialise(SimpleNamespace(expression=scales, **measured))
    return model


def effective_reads(
    genes: Sequence[int],
    fractions: Sequence[float],
    *,
    totals: Sequence[float],
    divisions: Sequence[float],
    num_batches: int = 1,
    **options: object,
) -> EffectiveReadIsoforms:
    """Build the model of effective reads with these dispersions of genes."""
    codes = torch.tensor(genes)
    sizes = {"latent_size": LATENT_SIZE, "hidden_sizes": (8,)}
    measured = InferentialDispersions(torch.tensor(totals), torch.tensor(divisions))
    model = EffectiveReadIsoforms(codes, num_batches, **{**sizes, **options})
    return initialised(model, fractions, overdispersion=lambda codes: measured)


def scvi(fractions: Sequence[float], *, num_batches: int = 1, **options: object) -> SCVI:
    """Build scVI."""
    sizes = {"latent_size": LATENT_SIZE, "hidden_sizes": (8,)}
    return initialised(SCVI(len(fractions), num_batches, **{**sizes, **options}), fractions)


def without_states(model: SCVI) -> SCVI:
    """Let means be library sizes times the fractions, whatever the state of a cell."""
    torch.nn.init.zeros_(model.decoder.output.weight)
    return model


def with_batches(model: SCVI) -> SCVI:
    """Let the decoder tell batches apart, as if it had learned to."""
    for table in model.decoder.batches:
        torch.nn.init.normal_(table.weight, std=2.0)
    torch.nn.init.normal_(model.decoder.output.weight)
    return model


def latents_of(library: Sequence[float]) -> dict[str, Tensor]:
    """Make values of the latent variables of cells with these library sizes (reads)."""
    cells = len(library)
    return {"z": torch.zeros(cells, 1, LATENT_SIZE), "library": torch.tensor([library]).T}
