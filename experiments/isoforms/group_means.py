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
        (of isoforms), ``mean``, ``low`` and ``high``, the ends of the 95 % interval, ``cells``.
        Its ``attrs`` hold the probabilities of these ends, ``interval``, and the ``unit``.
    """
    names, sizes = np.unique(labels[labels != ""], return_counts=True)
    means = _draw_means(fit, cells, labels, names, scale, num_samples, progress)
    draws = scale.apply(fit.model.add_common_error(means), fit.model.genes).cpu().numpy()
    low, high = np.quantile(draws, _INTERVAL, axis=0)
    if scale.level == "gene":
        features = pd.DataFrame({"gene": fit.gene_names})
    else:
        features = pd.DataFrame({"gene": fit.genes, "isoform": fit.isoforms})
    table = pd.concat([features.assign(group=name) for name in names], ignore_index=True)
    table.insert(0, "group", table.pop("group"))
    table.attrs = {"interval": _INTERVAL, "unit": scale.unit}
    return table.assign(
        mean=draws.mean(0).ravel(),
        low=low.ravel(),
        high=high.ravel(),
        cells=np.repeat(sizes, len(features)),
    )


@torch.no_grad()
def _draw_means(
    fit: IsoformFit,
    cells: CellTable,
    labels: np.ndarray,
    names: np.ndarray,
    scale: Scale,
    num_samples: int,
    progress: Callable[[int], object],
) -> Tensor:
    """Draw the groups' means (reads) without common errors, shape (draws, groups, isoforms).

    If the scale normalises, cells are normalised to the mean depth of their group.
    """
    member = torch.from_numpy(names[:, None] == labels).to(fit.device)
    chosen = np.flatnonzero(labels != "")
    sums = weights = depth = torch.zeros((), device=fit.device)
    for rows, drawn in draw_expression(
        fit, fit.source(cells), chosen, num_samples, common_error=False
    ):
        totals = drawn.sum(-1, keepdim=True).clamp(min=torch.finfo(drawn.dtype).tiny)
        if scale.library_size is not None:
            drawn = drawn / totals
        own = member[:, chosen[rows]].to(drawn)
        weight = own * torch.empty_like(totals).squeeze(-1).exponential_().unsqueeze(-2)
        sums, weights = sums + weight @ drawn, weights + weight.sum(-1, keepdim=True)
        depth = depth + own @ totals.mean(0)
        progress(rows.stop - rows.start)
    means = sums / weights
    if scale.library_size is not None:
        means = means * depth / member.sum(1, keepdim=True)
    return means
