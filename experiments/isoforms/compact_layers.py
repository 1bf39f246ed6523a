"""Layers of expression in little space: sparse, and rounded to what their draws can tell.

An entry is zero in all layers if more than one read is improbable, both at the depth of the cell
and in the normalised cell. All other values are rounded to a power of two: the next one above their
Monte Carlo error, but no finer than an eighth of a read (a sixteenth on log scale). The rounding
adds at most a third to the Monte Carlo variance of a value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from ...data.genes import Genes
from .expression import Scale, layers_of_scaled, spaced_draws

if TYPE_CHECKING:
    from .draws.stratified_expression import StratifiedExpression

# An entry is zero unless it exceeds so many reads with this probability.
NEGLIGIBLE_READS, IMPROBABLE = 1.0, 0.05
# Finest steps of values (reads), and of values on log scale.
_FINEST, _FINEST_LOG1P = 1 / 8, 1 / 16

EXPRESSION, NORMALISED = "expression", "expression_normalised"
# Ends of the names of layers of both.
_MOMENTS = ("", "_sd", "_log1p")


class CompactLayers(NamedTuple):
    """Layers of some cells whose entries have the same places.

    Attributes
    ----------
    sizes
        Number of entries of each cell, shape (cells,).
    indices
        Columns of the entries, cell by cell in ascending order, shape (entries,), int32.
    values
        Entries by name of the layer (reads, or log1p of reads), shape (entries,), float32.
    """

    sizes: np.ndarray
    indices: np.ndarray
    values: dict[str, np.ndarray]

    @classmethod
    def joined(cls, parts: Sequence[CompactLayers]) -> CompactLayers:
        """Join the layers of consecutive cells."""
        values = {
            name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values
        }
        sizes, indices = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
        return cls(sizes, indices, values)

    def matrix(self, name: str, num_columns: int) -> csr_matrix:
        """Give one layer, shape (cells, columns)."""
        ends = np.concatenate([[0], self.sizes.cumsum()])
        shape = (len(self.sizes), num_columns)
        return csr_matrix((self.values[name], self.indices, ends), shape=shape)


def compact_layers(
    draws: Tensor,
    genes: Genes,
    scales: Mapping[str, Scale],
    quantiles: Sequence[float],
    *,
    columns: np.ndarray | None = None,
    num_replicates: int = 0,
) -> CompactLayers:
    """Summarise draws of expression in the layers that are exported.

    Parameters
    ----------
    draws
        Expression of isoforms (reads), shape (draws, cells, isoforms).
    genes
        The gene of each isoform.
    scales
        Scale of ``expression`` and of ``expression_normalised``.
    quantiles
        Probabilities of the quantiles of ``expression``; ``expression_normalised`` has none.
    columns
        Positions of isoforms or genes to which the layers are limited; None takes all.
    num_replicates
        Number of draws to keep as ``infRep1`` ....
    """
    chosen = slice(None) if columns is None else torch.from_numpy(columns).to(draws.device)
    layers: dict[str, Tensor] = {}
    likely = []
    for name, scale in scales.items():
        scaled = scale.apply(draws, genes)[..., chosen]
        likely.append((scaled > NEGLIGIBLE_READS).to(scaled.dtype).mean(0) >= IMPROBABLE)
        layers |= dict(layers_of_scaled(scaled, name, quantiles if name == EXPRESSION else ()))
        if name == EXPRESSION:
            kept = spaced_draws(scaled, num_replicates) if num_replicates else ()
            replicates = {f"infRep{number + 1}": draw for number, draw in enumerate(kept)}
    layers |= replicates
    keep = torch.stack(likely).any(0)
    sizes, indices = keep.sum(-1), keep.nonzero()[:, 1].to(torch.int32)
    values = {key: own[keep] for key, own in layers.items()}
    rounded = _rounded(values, quantiles, len(draws))
    return CompactLayers(sizes.cpu().numpy(), indices.cpu().numpy(), rounded)


def stratified_layers(
    stratified: StratifiedExpression,
    scales: Mapping[str, Scale],
    quantiles: Sequence[float],
    num_draws: int,
    *,
    columns: np.ndarray | None = None,
    num_replicates: int = 0,
) -> CompactLayers:
    """Summarise stratified draws of expression as :func:`compact_layers` does independent ones.

    Parameters
    ----------
    stratified
        The draws.
    scales, quantiles, columns, num_replicates
        As for :func:`compact_layers`.
    num_draws
        Number of independent draws whose Monte Carlo error tells how values are rounded.
    """
    from .draws.compiled_expression import Wanted  # loads numba

    normalised = scales[NORMALISED]
    lengths, levels = normalised.effective_lengths, sorted(quantiles)
    of_genes = normalised.level == "gene"
    number = stratified.genes.number if of_genes else len(stratified.genes.codes)
    places = np.arange(number) if columns is None else columns
    column = np.full(number, -1, np.int32)
    column[places] = np.arange(len(places))
    wanted = Wanted(
        columns=column,
        of_genes=of_genes,
        weights=np.empty(0, np.float32) if lengths is None else 1 / lengths.float().numpy(),
        library_size=float(normalised.library_size),
        levels=np.array(levels, float),
        replicates=np.arange(num_replicates) * stratified.num_draws // max(1, num_replicates),
        threshold=NEGLIGIBLE_READS,
        probability=IMPROBABLE,
    )
    sizes, indices, found = stratified.summaries(wanted)
    of_scales = [f"{name}{kind}" for name in (EXPRESSION, NORMALISED) for kind in _MOMENTS]
    of_levels = [f"{EXPRESSION}_q{level:g}" for level in levels]
    draws = [f"infRep{replicate + 1}" for replicate in range(num_replicates)]
    values = dict(zip([*of_scales, *of_levels, *draws], torch.from_numpy(found).T, strict=True))
    names = _names(quantiles, num_replicates)
    return CompactLayers(
        sizes, indices, _rounded({name: values[name] for name in names}, quantiles, num_draws)
    )


def _names(quantiles: Sequence[float], num_replicates: int) -> list[str]:
    """Names of layers in the order in which they are written."""
    return [
        *(f"{EXPRESSION}{kind}" for kind in _MOMENTS),
        *(f"{EXPRESSION}_q{level:g}" for level in quantiles),
        *(f"{NORMALISED}{kind}" for kind in _MOMENTS),
        *(f"infRep{replicate + 1}" for replicate in range(num_replicates)),
    ]


def _rounded(
    values: Mapping[str, Tensor], quantiles: Sequence[float], num_draws: int
) -> dict[str, np.ndarray]:
    """Round the entries of layers to steps that follow from the error of so many draws."""
    rounded = {}
    for key, own in values.items():
        name = NORMALISED if key.startswith(NORMALISED) else EXPRESSION
        steps = _step(name if key.startswith("infRep") else key, name, values, num_draws)
        rounded[key] = ((own / steps).round() * steps).float()
    ordered = [f"{EXPRESSION}_q{level:g}" for level in sorted(quantiles)]
    for lower, upper in pairwise(ordered):  # steps differ, so rounding could change the order
        rounded[upper] = torch.maximum(rounded[lower], rounded[upper])
    return {key: own.cpu().numpy() for key, own in rounded.items()}


def _step(layer: str, name: str, own: Mapping[str, Tensor], num_draws: int) -> Tensor:
    """Step to which a layer of ``name`` is rounded, a power of two, shape (cells, columns)."""
    error = own[f"{name}_sd"] / math.sqrt(num_draws)
    kind, finest = layer.removeprefix(name), _FINEST
    if kind == "_sd":
        error = error / math.sqrt(2)
    elif kind == "_log1p":
        error, finest = error / (1 + own[name]), _FINEST_LOG1P
    elif kind.startswith("_q"):
        error = error * _quantile_error(float(kind.removeprefix("_q")))
    return error.clamp(min=finest).log2().ceil().exp2()


def _quantile_error(level: float) -> float:
    """Give the standard error of a normal sample quantile, times the root of the draws."""
    normal = torch.distributions.Normal(0.0, 1.0)
    density = float(normal.log_prob(normal.icdf(torch.tensor(level))).exp())
    return math.sqrt(level * (1 - level)) / density
