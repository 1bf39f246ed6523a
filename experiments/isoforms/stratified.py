"""Stratified draws of expression, for models whose posterior of rates and usage is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...data.cell_batches import BatchSource, CellBatch
from ...models.cells import CellModel
from . import inference

if TYPE_CHECKING:
    from .draws.stratified_expression import StratifiedExpression
    from .fitting import IsoformFit

# Methods whose replacement changes the posterior of expression.
_DRAWING = {
    "likelihood",
    "expression",
    "draw_expression",
    "draw_own_expression",
    "draw_rates",
    "draw_common_error",
    "add_common_error",
}
# Draws of expression for each draw of the latent variables, a power of two.
_DRAWS_PER_SAMPLE = 64


def can_stratify(fit: IsoformFit) -> bool:
    """Whether the model knows its posterior of rates, and is on the CPU, as compiled loops are."""
    return fit.device.type == "cpu" and has_rate_posterior(fit.model)


def has_rate_posterior(model: CellModel) -> bool:
    """Whether a model's posterior of rates is known and agrees with its methods that draw.

    It does not if a subclass, or this object, has its own method to draw and no new posterior.
    """
    for place in type(model).__mro__:
        if "rate_posterior" in vars(place):
            return place is not CellModel and not vars(model).keys() & _DRAWING
        if vars(place).keys() & _DRAWING:
            return False
    return False


@torch.no_grad()
def stratified_expression(
    fit: IsoformFit,
    source: BatchSource,
    batch: CellBatch,
    num_samples: int,
    *,
    transform_batch: int | None = None,
    common_error: bool = True,
) -> StratifiedExpression:
    """Prepare stratified draws of the expression of a minibatch, see :func:`can_stratify`.

    Parameters
    ----------
    fit, source, num_samples, transform_batch, common_error
        As for :func:`~exvae.experiments.isoforms.expression.draw_expression`.
    batch
        The minibatch.
    """
    model = fit.model
    posteriors, factors = [], []
    for assumed, number in inference.assumed_batches(batch, model.num_batches, num_samples):
        for own, latents in inference.draw_latents(fit.guide, source, assumed, number):
            posterior = model.rate_posterior(latents, own.batches, own.obs)
            posteriors.append(posterior)
            if transform_batch is not None:
                factors.append(conversion(model, latents, own.batches, transform_batch))
    from .draws.stratified_expression import StratifiedExpression  # loads numba

    error = model.common_error() if common_error else None
    return StratifiedExpression(posteriors, error, model.genes, _DRAWS_PER_SAMPLE, factors)


def conversion(
    model: CellModel, latents: dict[str, Tensor], batches: Tensor, transform_batch: int
) -> Tensor:
    """Ratio of the model's mean in a batch to its mean in a cell's own, (..., cells, isoforms).

    ``batches`` are the cells' own, shape (cells,), int64.
    """
    there = torch.full_like(batches, transform_batch)
    return model.decode_mean(latents, there) / model.decode_mean(latents, batches)
