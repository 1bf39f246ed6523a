"""Mean expression of groups of cells with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ..isoforms.expression import Scale
from ..isoforms.group_means import MeanDraws, summary_of
from ..isoforms.settings import LIBRARY_SIZE
from .cell_values import drawn_isoforms, features_of
from .columns import members_of
from .genes import ChosenGenes
from .settings import MOST_MEANS

if TYPE_CHECKING:
    import pandas as pd

    from ..isoforms.fitting import IsoformFit


class GroupValues(NamedTuple):
    """Mean expression of groups (reads of 10 000) of features: genes, and then isoforms.

    Attributes
    ----------
    starts
        Position of the first group of each column.
    mean, low, high
        Means, and the ends of their 95 % intervals, shape (features, groups), the groups of one
        column after those of another; the ends are NaN in groups of one cell.
    """

    starts: dict[str, int]
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def groupings_with_room(
    groupings: Mapping[str, pd.Series], num_isoforms: int
) -> dict[str, pd.Series]:
    """Choose the first columns, as many as memory has room for: draws take most of it."""
    room = MOST_MEANS // num_isoforms
    chosen = {}
    for name, groups in groupings.items():
        room -= len(groups.cat.categories)
        if room < 0:
            break
        chosen[name] = groups
    return chosen


def mean_draws_of(
    fit: IsoformFit, groupings: Mapping[str, pd.Series], num_cells: int, seed: int
) -> MeanDraws:
    """Prepare draws of the means of all groups of some columns of so many cells."""
    nobody = np.zeros((0, num_cells), bool)
    member = np.concatenate([nobody, *(members_of(groups) for groups in groupings.values())])
    # Weights of cells have numbers of their own, so that expression is that of get_expression.
    return MeanDraws(member, True, torch.Generator(fit.device).manual_seed(seed + 1))


@torch.no_grad()
def group_values_of(
    fit: IsoformFit, genes: ChosenGenes, groupings: Mapping[str, pd.Series], means: MeanDraws
) -> GroupValues:
    """Estimate the means that ``group_summary`` estimates, of the cells of a page.

    Parameters
    ----------
    fit, genes
        As for :func:`~.cell_values.posteriors_of`.
    groupings
        Group of each cell (categorical) by column of ``obs``.
    means
        Draws of the means of these groups, of the isoforms of :func:`~.cell_values.drawn_isoforms`.
    """
    sizes = [len(groups.cat.categories) for groups in groupings.values()]
    starts = dict(zip(groupings, np.cumsum([0, *sizes]).tolist(), strict=False))
    scale, chosen, isoforms = (
        Scale(library_size=LIBRARY_SIZE),
        features_of(fit, genes),
        drawn_isoforms(fit, genes),
    )
    summaries = [3 * (np.zeros((0, len(genes.codes) + len(genes.columns))),)]
    for group, size in enumerate(means.sizes):
        mean = means.of_group(group)
        reads = mean.new_zeros(len(mean), len(fit.isoforms))
        reads[:, isoforms] = mean
        reads = scale.apply(fit.model.add_common_error(reads), fit.model.genes)
        summaries.append(summary_of(chosen(reads).unsqueeze(1).cpu().numpy(), size))
    return GroupValues(starts, *(np.concatenate(own).T for own in zip(*summaries, strict=True)))
