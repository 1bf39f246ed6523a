"""Posterior of chosen genes and isoforms in every cell, from one pass over its draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ...data.genes import Genes
from ...data.posteriors import SampledPosterior
from ...data.progress import progress_bar
from ..isoforms import inference
from ..isoforms.expression import Scale, draw_expression
from ..isoforms.group_means import MeanDraws, draw_means
from ..isoforms.settings import LIBRARY_SIZE, POSTERIOR_SAMPLES
from ..isoforms.stratified import can_stratify, stratified_expression
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
    means: MeanDraws,
    *,
    num_samples: int = POSTERIOR_SAMPLES,
    seed: int = 0,
) -> Posteriors:
    """Summarise the same draws that ``get_expression(library_size=1e4)`` summarises.

    Means of groups come from the same pass where draws without common errors are part of it.

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
    means
        Gets the draws of the :func:`drawn_isoforms` without common errors.
    num_samples
        Number of draws of the latent variables.
    seed
        Seed of the draws.
    """
    torch.manual_seed(seed)
    chosen = (fit, cells, positions, genes, shown, num_samples)
    stratified = can_stratify(fit)
    summaries = _stratified_summaries(*chosen, means) if stratified else _sampled_summaries(*chosen)
    parts: list[list[np.ndarray]] = []
    with progress_bar(len(positions), "expression", delay=1.0) as bar:
        for mean, sd, draws in summaries:
            some = SampledPosterior(draws)
            ends = (some.quantile(level) for level in INTERVAL)
            parts.append([values.cpu().numpy() for values in (mean, sd, *ends)])
            bar.update(len(mean))
    if not stratified:
        with progress_bar(len(positions), "group means", delay=1.0) as bar:
            draw_means(means, fit, cells, positions, num_samples, bar.update)
    return Posteriors(*(np.concatenate(own).T for own in zip(*parts, strict=True)))


def _sampled_summaries(
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    genes: ChosenGenes,
    shown: np.ndarray,
    num_samples: int,
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Summarise features, some cells at a time; arguments as for :func:`posteriors_of`.

    Yields
    ------
    tuple of Tensor
        Means and standard deviations, shape (cells, features), and the draws of the cells with
        intervals, shape (draws, some cells, features).
    """
    scale, chosen = Scale(library_size=LIBRARY_SIZE), features_of(fit, genes)
    for rows, draws in draw_expression(fit, fit.source(cells), positions, num_samples):
        features = chosen(scale.apply(draws, fit.model.genes))
        posterior = SampledPosterior(features)
        own = torch.as_tensor(_shown_in(rows, shown), device=fit.device)
        yield posterior.mean, posterior.variance.sqrt(), features[:, own]


def _stratified_summaries(
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    genes: ChosenGenes,
    shown: np.ndarray,
    num_samples: int,
    means: MeanDraws,
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield what :func:`_sampled_summaries` yields, without drawing what the page does not show."""
    from ..isoforms.draws.compiled_features import Features  # loads numba

    number = len(genes.codes) + len(genes.columns)
    of_genes, of_isoforms = np.full(len(fit.gene_names), -1), np.full(len(fit.isoforms), -1)
    of_genes[genes.codes] = np.arange(len(genes.codes))
    of_isoforms[genes.columns] = np.arange(len(genes.codes), number)
    isoforms = drawn_isoforms(fit, genes)
    features = Features(of_genes, of_isoforms, number, LIBRARY_SIZE, len(isoforms))
    source, start = fit.source(cells), 0
    for batch in inference.batches_of(source, positions, inference.POSTERIOR_BLOCK):
        rows = slice(start, start + len(batch.indices))
        stratified = stratified_expression(fit, source, batch, num_samples)
        found = stratified.features(features, _shown_in(rows, shown))
        mean, sd, draws, rates = (torch.from_numpy(own) for own in found)
        rates = rates.permute(2, 0, 1)
        means.add(rows, rates[..., :-1], rates[..., -1])
        yield mean, sd, draws.permute(2, 0, 1)
        start = rows.stop


def _shown_in(rows: slice, shown: np.ndarray) -> np.ndarray:
    """Positions in a slice of the cells with intervals, ascending, shape (some cells,)."""
    return shown[(shown >= rows.start) & (shown < rows.stop)] - rows.start


def drawn_isoforms(fit: IsoformFit, genes: ChosenGenes) -> np.ndarray:
    """Positions of the isoforms that are drawn without common errors, ascending by gene.

    Where draws are stratified the first isoform of a gene that the page does not show stands for
    all: common errors of a gene do not depend on its division.
    """
    codes = fit.model.gene_codes.cpu().numpy()
    if not can_stratify(fit):
        return np.arange(len(codes))
    order = np.argsort(codes, kind="stable")
    first = np.diff(codes[order], prepend=-1) > 0
    return order[first | np.isin(codes[order], genes.codes)]


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
