"""Mean expression of groups of cells, with intervals.

The estimate is of the mean over all cells like those of the group: the cells are a sample of them.
Its draws have three sources of variation. The expression of each cell is drawn from its posterior,
without the errors that all cells share. The cells are drawn by the Bayesian bootstrap (Rubin,
Annals of Statistics 9, 1981), as exponential weights. Both become smaller with more cells. Last,
the errors that all cells share are added to the mean, as to a single cell of the group's mean
depth: they do not become smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...data.cell_tables import CellTable
from .expression import Scale, draw_expression

if TYPE_CHECKING:
    from .fitting import IsoformFit

_INTERVAL = (0.025, 0.975)


def group_means(
    fit: IsoformFit,
    cells: CellTable,
    labels: np.ndarray,
    scale: Scale,
    num_samples: int,
    *,
    progress: Callable[[int], object] = lambda cells: None,
) -> pd.DataFrame:
    """Estimate the mean expression of each group.

    Parameters
    ----------
    fit
        The fit.
    cells
        Cells that conform to the fit.
    labels
        Group of each cell, shape (cells,), strings; cells without one have the empty string.
    scale
        Level and unit of expression.
    num_samples
        Number of draws of the latent variables.
    progress
        Is called with the numbers of cells that are done.

    Returns
    -------
    pandas.DataFrame
        A row for each group and isoform or gene, in their order: ``group``, ``gene``, ``isoform``
        (of isoforms), ``mean``, ``low`` and ``high``, the ends of the 95 % interval, NaN in groups
        of one cell, ``cells``.
        Its ``attrs`` hold the probabilities of these ends, ``interval``, and the ``unit``.
    """
    names, sizes = np.unique(labels[labels != ""], return_counts=True)
    positions = np.flatnonzero(labels != "")
    member = names[:, None] == labels[positions]
    means = draw_means(fit, cells, positions, member, scale, num_samples, progress=progress)
    draws = scale.apply(fit.model.add_common_error(means), fit.model.genes).cpu().numpy()
    mean, low, high = summary_of(draws, sizes)
    if scale.level == "gene":
        features = pd.DataFrame({"gene": fit.gene_names})
    else:
        features = pd.DataFrame({"gene": fit.genes, "isoform": fit.isoforms})
    table = pd.concat([features.assign(group=name) for name in names], ignore_index=True)
    table.insert(0, "group", table.pop("group"))
    table.attrs = {"interval": _INTERVAL, "unit": scale.unit}
    return table.assign(
        mean=mean.ravel(),
        low=low.ravel(),
        high=high.ravel(),
        cells=np.repeat(sizes, len(features)),
    )


def summary_of(draws: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of draws of groups, and the ends of their 95 % interval.

    Parameters
    ----------
    draws
        Shape (draws, groups, features).
    sizes
        Number of cells of each group, shape (groups,). The ends are NaN in groups of one cell: it
        does not tell how much cells like it vary.

    Returns
    -------
    tuple of numpy.ndarray
        Mean and both ends, each of shape (groups, features).
    """
    low, high = np.quantile(draws, _INTERVAL, axis=0)
    low[sizes < 2] = high[sizes < 2] = np.nan
    return draws.mean(0), low, high


@torch.no_grad()
def draw_means(
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    member: np.ndarray,
    scale: Scale,
    num_samples: int,
    *,
    progress: Callable[[int], object] = lambda cells: None,
) -> Tensor:
    """Draw the means of groups (reads) without common errors, shape (draws, groups, isoforms).

    If the scale normalises, cells are normalised to the mean depth of their group.

    Parameters
    ----------
    fit, cells, scale, num_samples, progress
        As for :func:`group_means`.
    positions
        Positions of the cells that are in a group, shape (members,).
    member
        Whether each of them is in each group, shape (groups, members), bool; groups may overlap,
        and none is empty.
    """
    within = torch.from_numpy(member).to(fit.device)
    sums = weights = depth = torch.zeros((), device=fit.device)
    for rows, drawn in draw_expression(
        fit, fit.source(cells), positions, num_samples, common_error=False
    ):
        totals = drawn.sum(-1, keepdim=True).clamp(min=torch.finfo(drawn.dtype).tiny)
        if scale.library_size is not None:
            drawn = drawn / totals
        own = within[:, rows].to(drawn)
        weight = own * torch.empty_like(totals).squeeze(-1).exponential_().unsqueeze(-2)
        sums, weights = sums + weight @ drawn, weights + weight.sum(-1, keepdim=True)
        depth = depth + own @ totals.mean(0)
        progress(rows.stop - rows.start)
    means = sums / weights
    if scale.library_size is not None:
        means = means * depth / within.sum(1, keepdim=True)
    return means
