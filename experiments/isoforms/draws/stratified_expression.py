"""Stratified draws of the expression of cells, given posteriors of rates and usage.

Draws are those of the generative model, each variable from its own stratum of probability, see
:mod:`exvae.data.strata`. They are made cell by cell, on the CPU, by compiled loops that hold the
draws of one cell at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ....data import compiled_functions, compiled_strata, compiled_summaries, strata
from ....data.compiled_functions import OPTIONS, njit
from ....data.compiled_loops import spread, stamp_of
from ....data.genes import Genes
from ....data.rate_posterior import CommonError, RatePosterior
from ....data.strata import gamma_strata, sobol_strata, strata_of
from . import compiled_expression, compiled_features, compiled_gene_draws
from .compiled_expression import Common, Parameters, Wanted, draw_cell, summarise_cell
from .compiled_features import Features, draw_features

# Strata of each variable.
_STRATA = 512
# Draws of the share of the common error, whose strata have no closed form in general.
_DRAWS_OF_STRATUM = 64
# Odd number by which seeds of cells differ.
_SEED_STEP = 0x9E3779B97F4A7C15


class StratifiedExpression:
    """Draws of the expression of cells, with the errors that all cells share.

    Parameters
    ----------
    posteriors
        Posterior of the cells given each draw of the latent variables, on the CPU.
    error
        The errors that all cells share; None for none.
    genes
        The gene of each isoform.
    size
        Number of draws for each of the posteriors, best a power of two.
    factors
        For each posterior the factors by which the draws of isoforms are multiplied, shape (cells,
        isoforms); none by default.

    Attributes
    ----------
    genes
        The gene of each isoform.
    """

    def __init__(
        self,
        posteriors: Sequence[RatePosterior],
        error: CommonError | None,
        genes: Genes,
        size: int,
        factors: Sequence[Tensor] = (),
    ) -> None:
        self.genes = genes
        codes = genes.codes.numpy()
        self._order = np.argsort(codes, kind="stable")
        shape, scale, present, usage = (_stacked(parts) for parts in zip(*posteriors, strict=True))
        factor = np.empty((0, 0, 0), np.float32)
        if factors:
            factor = _stacked(factors)[:, :, self._order]
        usage = np.ascontiguousarray(usage[:, :, self._order])
        self._parameters = Parameters(shape, scale, present, usage, np.ascontiguousarray(factor))
        if error is None:
            nothing = torch.zeros(genes.number)
            shares, ambiguities = np.zeros(_STRATA, np.float32), (nothing, nothing)
        else:
            drawn = error.share.sample((_STRATA * _DRAWS_OF_STRATUM,))
            shares, ambiguities = strata_of(drawn.numpy(), _STRATA), error[1:]
        self._common = Common(
            np.concatenate([[0], np.bincount(codes, minlength=genes.number).cumsum()]),
            *(part.numpy().astype(np.float32) for part in ambiguities),
            shares,
            gamma_strata(_STRATA),
            sobol_strata(len(posteriors), size, _STRATA),
        )
        self._seed = int(torch.randint(1 << 62, ()))

    @property
    def num_draws(self) -> int:
        """Number of draws."""
        return self._common.points.shape[2]

    @property
    def num_cells(self) -> int:
        """Number of cells."""
        return self._parameters.shape.shape[1]

    def draws(self) -> Tensor:
        """Draw expression (reads), shape (draws, cells, isoforms)."""
        number = len(self._order)
        drawn = np.empty((self.num_draws, self.num_cells, number), np.float32)
        back = np.argsort(self._order)
        compiled = _compiled().draw

        def draw(own: slice) -> None:
            of_cell = np.empty((self.num_draws, number), np.float32)
            arguments = self._parameters, self._common, self._seed_of(own.start)
            compiled(own.start, *arguments, of_cell)
            drawn[:, own.start] = of_cell[:, back]

        spread(draw, self.num_cells, 1)
        return torch.from_numpy(drawn)

    def summaries(self, wanted: Wanted) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Summarise cells at the depth of each and normalised.

        Parameters
        ----------
        wanted
            Weights and, unless columns are genes, columns are in the order of the model's isoforms.

        Returns
        -------
        tuple of numpy.ndarray
            Number of entries of each cell, shape (cells,), their columns, cell by cell in ascending
            order, shape (entries,), int32, and values, shape (entries, values), see
            :func:`~.compiled_expression.summarise_cell`.
        """
        columns = wanted.columns if wanted.of_genes else wanted.columns[self._order]
        weights = wanted.weights[self._order] if len(wanted.weights) else wanted.weights
        ordered = wanted._replace(columns=columns, weights=weights)
        compiled = _compiled().summarise

        def summarise(own: slice) -> tuple[np.ndarray, np.ndarray]:
            seed = self._seed_of(own.start)
            found, values = compiled(own.start, self._parameters, self._common, ordered, seed)
            order = np.argsort(found)
            return found[order], values[order]

        found, values = zip(*spread(summarise, self.num_cells, 1), strict=True)
        sizes = np.array([len(own) for own in found])
        return sizes, np.concatenate(found), np.concatenate(values)

    def features(
        self, features: Features, detailed: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Summarise the same draws as :meth:`draws`, normalised, of chosen genes and isoforms.

        Parameters
        ----------
        features
            Rows of the isoforms are in the order of the model's isoforms.
        detailed
            Cells whose draws are returned, shape (some cells,).

        Returns
        -------
        tuple of numpy.ndarray
            Means and standard deviations, shape (cells, features), the draws of some cells, shape
            (some cells, features, draws), and the draws without common errors of all isoforms, or
            of whole genes, see :func:`~.compiled_features.draw_features`, and their sums over the
            cell, shape (cells, rows + 1, draws), float32.
        """
        ordered = features._replace(of_isoforms=features.of_isoforms[self._order])
        compiled, kept = _compiled().features, set(detailed)
        rates = np.empty((self.num_cells, features.rates + 1, self.num_draws), np.float32)

        def summarise(own: slice) -> tuple[np.ndarray | None, np.ndarray]:
            arguments = self._parameters, self._common, ordered, self._seed_of(own.start)
            drawn, moments = compiled(own.start, *arguments, rates[own.start])
            return drawn if own.start in kept else None, moments

        drawn, moments = zip(*spread(summarise, self.num_cells, 1), strict=True)
        shape = (len(detailed), features.number, self.num_draws)
        some = np.array([drawn[cell] for cell in detailed], np.float32).reshape(shape)
        mean, sd = np.stack(moments).transpose(2, 0, 1)
        return mean, sd, some, rates

    def _seed_of(self, cell: int) -> np.uint64:
        return np.uint64((self._seed + cell * _SEED_STEP) % (1 << 64))


def _stacked(parts: Sequence[Tensor]) -> np.ndarray:
    return torch.stack(tuple(parts)).float().contiguous().numpy()


class _Loops(NamedTuple):
    """Compiled functions of one cell."""

    draw: Callable
    summarise: Callable
    features: Callable


@cache
def _compiled() -> _Loops:
    """Compile the loops of a cell, or load what was compiled from the same sources."""
    stamp = stamp_of(
        [
            compiled_expression,
            compiled_features,
            compiled_functions,
            compiled_gene_draws,
            compiled_strata,
            compiled_summaries,
            strata,
        ]
    )

    @njit(cache=True, **OPTIONS)
    def summarise(cell, parameters, common, wanted, seed):
        assert stamp
        return summarise_cell(cell, parameters, common, wanted, seed)

    @njit(cache=True, **OPTIONS)
    def draw(cell, parameters, common, seed, drawn):
        assert stamp
        draw_cell(cell, parameters, common, seed, drawn)

    @njit(cache=True, **OPTIONS)
    def features(cell, parameters, common, wanted, seed, rates):
        assert stamp
        return draw_features(cell, parameters, common, wanted, seed, rates)

    return _Loops(draw, summarise, features)
