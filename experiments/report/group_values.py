"""Mean expression of groups of cells with intervals, of all groupings from one pass over draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ...data.progress import progress_bar
from ..isoforms.expression import Scale
from ..isoforms.group_means import draw_means, summary_of
from ..isoforms.settings import LIBRARY_SIZE, POSTERIOR_SAMPLES
from .cell_values import features_of
from .columns import members_of
from .genes import ChosenGenes
from .settings import MOST_MEANS

if TYPE_CHECKING:
    import pandas as pd

    from ...data.cell_tables import CellTable
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


@torch.no_grad()
def group_values_of(
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    genes: ChosenGenes,
    groupings: Mapping[str, pd.Series],
    *,
    num_samples: int = POSTERIOR_SAMPLES,
    seed: int = 0,
) -> GroupValues:
    """Estimate the means that ``group_summary`` estimates, of the cells of a page.

    Parameters
    ----------
    fit, cells, positions, genes, num_samples, seed
        As for :func:`~.cell_values.posteriors_of`.
    groupings
        Group of each of these cells (categorical) by column of ``obs``.
    """
    if not groupings:
        nothing = np.zeros((len(genes.codes) + len(genes.columns), 0))
        return GroupValues({}, nothing, nothing, nothing)
    sizes = [len(groups.cat.categories) for groups in groupings.values()]
    starts = dict(zip(groupings, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    member = np.concatenate([members_of(groups) for groups in groupings.values()])
    scale = Scale(library_size=LIBRARY_SIZE)
    torch.manual_seed(seed)
    with progress_bar(len(positions), "group means", delay=1.0) as bar:
        means = draw_means(fit, cells, positions, member, scale, num_samples, progress=bar.update)
    chosen = features_of(fit, genes)
    summaries = []
    groups = means.split(1, 1)  # one group at a time takes less memory
    for own, size in zip(groups, member.sum(1, keepdims=True), strict=True):
        reads = scale.apply(fit.model.add_common_error(own), fit.model.genes)
        summaries.append(summary_of(chosen(reads).cpu().numpy(), size))
    return GroupValues(starts, *(np.concatenate(own).T for own in zip(*summaries, strict=True)))
