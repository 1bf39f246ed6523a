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
    means = MeanDraws(names[:, None] == labels[positions], scale.library_size is not None)
    draw_means(means, fit, cells, positions, num_samples, progress)
    drawn = torch.stack([means.of_group(group) for group in range(len(names))], 1)
    draws = scale.apply(fit.model.add_common_error(drawn), fit.model.genes).cpu().numpy()
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


class MeanDraws:
    """Adds up draws of the means of groups (reads) without common errors, some cells at a time.

    Parameters
    ----------
    member
        Whether each cell is in each group, shape (groups, cells), bool; groups may overlap, and
        none is empty.
    normalised
        Whether cells are normalised, to the mean depth of their group.
    generator
        Of the weights of the cells; None for torch's own.

    Attributes
    ----------
    sizes
        Number of cells of each group, shape (groups, 1).
    """

    def __init__(
        self, member: np.ndarray, normalised: bool, generator: torch.Generator | None = None
    ) -> None:
        self.sizes = member.sum(1, keepdims=True)
        self._member, self._normalised, self._generator = member, normalised, generator
        self._sums: list[Tensor] = []
        self._weights: Tensor | float = 0.0
        self._depth: Tensor | float = 0.0

    def add(self, rows: slice, drawn: Tensor, totals: Tensor) -> None:
        """Take draws of the cells at a slice of the positions.

        Parameters
        ----------
        rows
            The slice.
        drawn
            Reads, shape (draws, cells, isoforms).
        totals
            Their sums over all isoforms, shape (draws, cells).
        """
        own = torch.from_numpy(self._member[:, rows]).to(drawn)
        weights = torch.empty_like(totals).exponential_(generator=self._generator)
        totals = totals.clamp(min=torch.finfo(drawn.dtype).tiny)
        factors = (weights / totals if self._normalised else weights).unsqueeze(-1)
        self._sums = self._sums or [torch.zeros_like(drawn[:, 0]) for _ in own]
        for group, cell in own.nonzero().tolist():
            self._sums[group].addcmul_(drawn[:, cell], factors[:, cell])
        self._weights = self._weights + weights @ own.T
        self._depth = self._depth + own @ totals.mean(0)

    def of_group(self, group: int) -> Tensor:
        """Draws of the mean of a group, shape (draws, isoforms)."""
        mean = self._sums[group] / self._weights[:, group, None]
        return mean * self._depth[group] / self.sizes[group, 0] if self._normalised else mean


@torch.no_grad()
def draw_means(
    means: MeanDraws,
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    num_samples: int,
    progress: Callable[[int], object],
) -> None:
    """Draw the expression of cells at positions, shape (cells,), and add it to means of groups.

    Other arguments as for :func:`group_means`.
    """
    source = fit.source(cells)
    for rows, drawn in draw_expression(fit, source, positions, num_samples, common_error=False):
        means.add(rows, drawn, drawn.sum(-1))
        progress(rows.stop - rows.start)
