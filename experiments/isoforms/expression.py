"""Posterior of expression: of isoforms or genes, at the depth of each cell or normalised.

Every summary comes from the same draws: a gene's expression is the sum of its isoforms' draws, and
normalised expression divides each draw by its own sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...data.arguments import require
from ...data.cell_batches import BatchSource, CellBatch
from ...data.errors import DataError
from ...data.genes import Genes
from ...data.posteriors import SampledPosterior
from . import inference
from .stratified import can_stratify, conversion, stratified_expression

if TYPE_CHECKING:
    from ...data.cells import Cells
    from ...data.count_posterior import CountPosterior
    from .fitting import IsoformFit

LEVELS = ("isoform", "gene")
_MILLION = 1e6


@dataclass(frozen=True)
class Scale:
    """Level and unit of expression.

    Attributes
    ----------
    level
        ``isoform`` or ``gene``.
    library_size
        Sum over the cell to which expression is normalised; None for reads at the cell's depth.
    effective_lengths
        Effective lengths of the isoforms (bases), shape (isoforms,), by which reads are divided
        before they are normalised; with a library size of a million this gives transcripts per
        million.
    """

    level: str = "isoform"
    library_size: float | None = None
    effective_lengths: Tensor | None = None

    def __post_init__(self) -> None:
        require("level", self.level, LEVELS)
        if self.library_size is not None and not self.library_size > 0:
            raise ValueError(f"library_size is {self.library_size}; give a positive number")

    @property
    def unit(self) -> str:
        """Unit of expression."""
        if self.library_size is None:
            return "reads"
        if self.effective_lengths is not None:
            return "transcripts per million"
        return f"reads of {self.library_size:,.10g}"

    def apply(self, reads: Tensor, genes: Genes) -> Tensor:
        """Convert expression at the cell's depth.

        Parameters
        ----------
        reads
            Expression of isoforms (reads), shape (..., isoforms).
        genes
            The gene of each isoform.

        Returns
        -------
        Tensor
            Shape (..., isoforms) or (..., genes).
        """
        if self.effective_lengths is not None:
            reads = reads / self.effective_lengths.to(reads)
        if self.library_size is not None:
            tiny = torch.finfo(reads.dtype).tiny
            reads = reads * (self.library_size / reads.sum(-1, keepdim=True).clamp(min=tiny))
        return genes.sums(reads) if self.level == "gene" else reads


def scale_of(level: str, library_size: float | str, cells: Cells) -> Scale:
    """Make a scale from what users give.

    Parameters
    ----------
    level
        ``isoform`` or ``gene``.
    library_size
        ``observed`` for reads at the depth of each cell; a number for reads in a cell of that many;
        ``tpm`` for transcripts per million, by the isoforms' effective lengths.
    cells
        Cells with the isoforms of the fit.

    Raises
    ------
    DataError
        If transcripts per million are asked for and the effective lengths are not known.
    """
    if library_size == "observed":
        return Scale(level)
    if library_size != "tpm":
        return Scale(level, float(library_size))
    if cells.effective_lengths is None:
        raise DataError(
            f"{cells.source}: var has no effective_length, which transcripts per million need"
        )
    return Scale(level, _MILLION, torch.from_numpy(cells.effective_lengths))


@torch.no_grad()
def draw_expression(
    fit: IsoformFit,
    source: BatchSource,
    positions: np.ndarray,
    num_samples: int,
    *,
    transform_batch: int | None = None,
    common_error: bool = True,
    block: int = inference.POSTERIOR_BLOCK,
) -> Iterator[tuple[slice, Tensor]]:
    """Draw the expression of the isoforms of cells from its posterior, some cells at a time.

    Cells of an unknown batch (code -1) are drawn as cells of each known batch in turn.

    Parameters
    ----------
    fit
        The fit.
    source
        The cells.
    positions
        Positions of the cells, shape (cells,).
    num_samples
        Number of draws of the latent variables; for each the model draws expression several times.
    transform_batch
        Code of a batch: expression is multiplied by the ratio of the model's mean in that batch to
        its mean in the cell's own. None leaves it as it is.
    common_error
        Whether draws have the errors that all cells share, each cell one of its own.
    block
        Entries (cells x isoforms) that are drawn at once.

    Yields
    ------
    tuple
        Slice of the positions, and draws (reads), shape (draws, cells, isoforms).
    """
    start = 0
    for batch in inference.batches_of(source, positions, block):
        rows = slice(start, start + len(batch.indices))
        if can_stratify(fit):
            stratified = stratified_expression(
                fit,
                source,
                batch,
                num_samples,
                transform_batch=transform_batch,
                common_error=common_error,
            )
            yield rows, stratified.draws()
        else:
            parts = [
                _draw(fit, source, assumed, number, transform_batch, common_error)
                for assumed, number in inference.assumed_batches(
                    batch, fit.model.num_batches, num_samples
                )
            ]
            yield rows, torch.cat(parts)
        start = rows.stop


def _draw(
    fit: IsoformFit,
    source: BatchSource,
    batch: CellBatch,
    num_samples: int,
    transform_batch: int | None,
    common_error: bool,
) -> Tensor:
    """Draw the expression of a minibatch (reads), shape (draws, cells, isoforms)."""
    model = fit.model
    draw = model.draw_expression if common_error else model.draw_own_expression
    draws = []
    for own, latents in inference.draw_latents(fit.guide, source, batch, num_samples):
        drawn = draw(latents, own.batches, own.obs)
        if transform_batch is not None:
            drawn = drawn * conversion(model, latents, own.batches, transform_batch)
        draws.append(drawn)
    return torch.cat(draws)


@torch.no_grad()
def posteriors_of_expression(
    fit: IsoformFit,
    source: BatchSource,
    positions: np.ndarray,
    num_samples: int,
    *,
    block: int = inference.POSTERIOR_BLOCK,
) -> Iterator[tuple[slice, SampledPosterior | CountPosterior]]:
    """Give the posterior of the isoforms' expression, some cells at a time.

    Arguments as for :func:`draw_expression`; the posterior of a model in closed form is no draw.

    Yields
    ------
    tuple
        Slice of the positions, and the posterior (reads), batch shape (cells, isoforms).
    """
    start = 0
    for batch in inference.batches_of(source, positions, block):
        rows = slice(start, start + len(batch.indices))
        if can_stratify(fit):
            stratified = stratified_expression(fit, source, batch, num_samples)
            yield rows, SampledPosterior(stratified.draws())
        else:
            parts = [
                fit.model.expression([latents], own.batches, own.obs)
                for own, latents in inference.draw_latents(fit.guide, source, batch, num_samples)
            ]
            yield rows, type(parts[0]).mixture(parts)
        start = rows.stop


def layers_of(
    draws: Tensor, genes: Genes, scales: Mapping[str, Scale], quantiles: Sequence[float] = ()
) -> Iterator[tuple[str, Tensor]]:
    """Summarise draws of expression, each summary under the name of its layer.

    Parameters
    ----------
    draws
        Expression of isoforms (reads), shape (draws, cells, isoforms).
    genes
        The gene of each isoform.
    scales
        Scale by name of layer: ``expression``.
    quantiles
        Probabilities between 0 and 1.

    Yields
    ------
    tuple
        Name and values, shape (cells, isoforms) or (cells, genes): ``expression``, its mean;
        ``expression_sd``; ``expression_log1p``, the mean of log(1 + expression);
        ``expression_q0.025`` and further quantiles.
    """
    for name, scale in scales.items():
        yield from layers_of_scaled(scale.apply(draws, genes), name, quantiles)


def layers_of_scaled(
    draws: Tensor, name: str, quantiles: Sequence[float] = ()
) -> Iterator[tuple[str, Tensor]]:
    """Summarise draws that have been scaled, shape (draws, ...), see :func:`layers_of`."""
    posterior = SampledPosterior(draws)
    yield name, posterior.mean
    yield f"{name}_sd", posterior.variance.sqrt()
    yield f"{name}_log1p", posterior.log1p_mean
    for level in quantiles:
        yield f"{name}_q{level:g}", posterior.quantile(level)


def usage_layers(
    draws: Tensor, genes: Genes, quantiles: Sequence[float] = ()
) -> Iterator[tuple[str, Tensor]]:
    """Summarise draws of expression as usage, each summary under the name of its layer.

    Draws in which a gene is not expressed say nothing of its usage; without others it is NaN.

    Parameters
    ----------
    draws
        Expression of isoforms (reads), shape (draws, cells, isoforms).
    genes
        The gene of each isoform.
    quantiles
        Probabilities between 0 and 1.

    Yields
    ------
    tuple
        Name and values, shape (cells, isoforms): ``usage``, its mean, ``usage_sd``, and quantiles
        ``usage_q0.025`` ....
    """
    usage = draws / genes.spread(genes.sums(draws))
    mean = usage.nanmean(0)
    yield "usage", mean
    yield "usage_sd", (usage - mean).square().nanmean(0).sqrt()
    if len(quantiles):
        number = usage.isfinite().sum(0)
        ascending = usage.sort(0).values  # NaN come last
    for level in quantiles:
        place = level * (number - 1).clamp(min=0)
        low, high = (ascending.gather(0, end.long()[None])[0] for end in (place, place.ceil()))
        yield f"usage_q{level:g}", low.lerp(high, place - place.floor())


def spaced_draws(draws: Tensor, number: int) -> Tensor:
    """Choose draws at equal distances, so that they share few latent variables.

    Parameters
    ----------
    draws
        Shape (draws, ...), all draws that share latent variables one after another.
    number
        Number of draws to choose, at most all.

    Returns
    -------
    Tensor
        Shape (number, ...).
    """
    return draws[torch.arange(number, device=draws.device) * len(draws) // number]
