"""Posterior of chosen genes and isoforms in every cell, from one pass over its draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ...data.genes import Genes
from ...data.posteriors import SampledPosterior
from ...data.progress import progress_bar
from ..isoforms.expression import Scale, draw_expression
from ..isoforms.settings import LIBRARY_SIZE, POSTERIOR_SAMPLES
from .genes import ChosenGenes
from .settings import CELLS_WITH_INTERVALS, INTERVAL

if TYPE_CHECKING:
    import pandas as pd

    from ...data.cell_tables import CellTable
    from ..isoforms.fitting import IsoformFit


class Posteriors(NamedTuple):
    """Posterior of expression (reads of 10 000) of features: genes, and then isoforms.

    Attributes
    ----------
    mean, sd
        Shape (features, cells).
    low, high
        Ends of the 95 % intervals in some of the cells, shape (features, some cells).
    """

    mean: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    high: np.ndarray


@torch.no_grad()
def posteriors_of(
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    genes: ChosenGenes,
    shown: np.ndarray,
    *,
    num_samples: int = POSTERIOR_SAMPLES,
    seed: int = 0,
) -> Posteriors:
    """Summarise the same draws that ``get_expression(library_size=1e4)`` summarises.

    Parameters
    ----------
    fit
        The fit.
    cells
        Cells that conform to it.
    positions
        Positions of the cells of the page, shape (cells,).
    genes
        Genes and isoforms of the page.
    shown
        Positions among these of the cells with intervals, shape (some cells,), ascending.
    num_samples
        Number of draws of the latent variables.
    seed
        Seed of the draws.
    """
    torch.manual_seed(seed)
    scale = Scale(library_size=LIBRARY_SIZE)
    chosen = features_of(fit, genes)
    parts: list[list[np.ndarray]] = []
    with progress_bar(len(positions), "expression", delay=1.0) as bar:
        for rows, draws in draw_expression(fit, fit.source(cells), positions, num_samples):
            features = chosen(scale.apply(draws, fit.model.genes))
            own = shown[(shown >= rows.start) & (shown < rows.stop)] - rows.start
            posterior = SampledPosterior(features)
            some = SampledPosterior(features[:, torch.as_tensor(own, device=fit.device)])
            ends = (some.quantile(level) for level in INTERVAL)
            summary = (posterior.mean, posterior.variance.sqrt(), *ends)
            parts.append([values.cpu().numpy() for values in summary])
            bar.update(rows.stop - rows.start)
    return Posteriors(*(np.concatenate(own).T for own in zip(*parts, strict=True)))


def features_of(fit: IsoformFit, genes: ChosenGenes) -> Callable[[torch.Tensor], torch.Tensor]:
    """Give a function from expression of all isoforms to that of features.

    Its argument has the shape (..., isoforms), its result (..., features): sums over all isoforms
    of each gene of the page, and then the isoforms of the page.
    """
    places = np.full(len(fit.gene_names), -1)
    places[genes.codes] = np.arange(len(genes.codes))
    codes = torch.as_tensor(places, device=fit.device)[fit.model.gene_codes]
    members = (codes >= 0).nonzero().squeeze(-1)
    own_genes = Genes(codes[members], len(genes.codes))
    columns = torch.as_tensor(genes.columns, device=fit.device)

    def choose(reads: torch.Tensor) -> torch.Tensor:
        return torch.cat([own_genes.sums(reads[..., members]), reads[..., columns]], -1)

    return choose


def cells_to_show(groups: pd.Series, seed: int) -> np.ndarray:
    """Choose cells whose intervals are drawn, as many of each group as there are.

    Parameters
    ----------
    groups
        Group of each cell, categorical, shape (cells,).
    seed
        Seed of the choice.

    Returns
    -------
    numpy.ndarray
        Ascending positions, shape (some cells,).
    """
    if len(groups) <= CELLS_WITH_INTERVALS:
        return np.arange(len(groups))
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    # The first of each group, the second of each group, and so on.
    turn = groups.iloc[shuffled].groupby(groups.iloc[shuffled], observed=True).cumcount()
    order = np.argsort(turn.to_numpy(), kind="stable")
    return np.sort(shuffled[order[:CELLS_WITH_INTERVALS]])
