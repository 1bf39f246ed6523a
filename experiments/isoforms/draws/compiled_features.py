"""Normalised expression of chosen genes and isoforms of a cell, as compiled loops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ....data.compiled_functions import OPTIONS, njit
from ....data.compiled_strata import random_shift
from ....data.compiled_summaries import moments_of
from .compiled_expression import draw_gene, draw_isoforms

_TINY = np.float32(1e-37)


class Features(NamedTuple):
    """Genes and isoforms whose expression is wanted, each a row.

    Attributes
    ----------
    of_genes
        Row of each gene, shape (genes,), int64; -1 for those that are left out.
    of_isoforms
        Row of each isoform, shape (isoforms,), int64; -1 for those that are left out.
    number
        Number of rows.
    library_size
        Sum over all isoforms of the cell to which expression is normalised.
    """

    of_genes: np.ndarray
    of_isoforms: np.ndarray
    number: int
    library_size: float


@njit(**OPTIONS)
def draw_features(cell, parameters, common, features, seed):
    """Draw the normalised expression of features of a cell, as ``draw_cell`` draws isoforms.

    Only genes with a feature are divided among their isoforms; a draw of any gene is the same as
    if all were.

    Parameters
    ----------
    cell, parameters, common, seed
        As for :func:`~.compiled_expression.draw_cell`.
    features
        Rows of the isoforms are in the order of their genes.

    Returns
    -------
    tuple of numpy.ndarray
        Draws, shape (features, draws), and their means and standard deviations, shape
        (features, 2), float32.
    """
    state = np.array([seed, seed], np.uint64)
    number = common.points.shape[2]
    totals, memory = np.empty(number, np.float32), np.empty(number, np.float32)
    sums = np.zeros(number, np.float32)
    drawn = np.empty((features.number, number), np.float32)
    shares = common.shares[common.points[0, 0] ^ random_shift(state, common.table.shape[1])]
    for gene in range(len(common.starts) - 1):
        start, end = common.starts[gene], common.starts[gene + 1]
        points = draw_gene(cell, gene, parameters, common, shares, state, totals)
        sums += totals
        if features.of_genes[gene] >= 0:
            drawn[features.of_genes[gene]] = totals
        if features.of_isoforms[start:end].max() < 0:
            continue
        members, own = np.arange(start, end), np.empty((end - start, number), np.float32)
        draw_isoforms(
            cell, gene, members, parameters, common, points, shares, state, totals, memory, own
        )
        for isoform in range(start, end):
            if features.of_isoforms[isoform] >= 0:
                drawn[features.of_isoforms[isoform]] = own[isoform - start]
    for k in range(number):
        sums[k] = np.float32(features.library_size) / max(sums[k], _TINY)
    moments, found = np.empty((features.number, 2), np.float32), np.empty(3)
    for row in range(features.number):
        drawn[row] *= sums
        moments_of(drawn[row], found)
        moments[row] = found[:2]
    return drawn, moments
