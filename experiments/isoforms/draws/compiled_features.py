"""Normalised expression of chosen genes and isoforms of a cell, as compiled loops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ....data.compiled_functions import OPTIONS, njit
from ....data.compiled_strata import random_shift
from ....data.compiled_summaries import moments_of
from .compiled_expression import draw_gene, draw_members
from .compiled_gene_draws import divide_totals

_ZERO, _TINY = np.float32(0.0), np.float32(1e-37)


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
    rates
        Number of rows of draws without the common error, see :func:`draw_features`.
    """

    of_genes: np.ndarray
    of_isoforms: np.ndarray
    number: int
    library_size: float
    rates: int


@njit(**OPTIONS)
def draw_features(cell, parameters, common, features, seed, rates):
    """Draw the normalised expression of features of a cell, as ``draw_cell`` draws isoforms.

    Only genes with isoforms among the features are divided; a draw of any gene is the same as if
    all were.

    Parameters
    ----------
    cell, parameters, common, seed
        As for :func:`~.compiled_expression.draw_cell`.
    features
        Rows of the isoforms are in the order of their genes.
    rates
        Gets the draws (reads) without the common error, gene after gene, and their sums over the
        cell, shape (rows + 1, draws). A gene has a row for each of its isoforms if it is divided,
        and one otherwise.

    Returns
    -------
    tuple of numpy.ndarray
        Draws, shape (features, draws), and their means and standard deviations, shape
        (features, 2), float32.
    """
    state = np.array([seed, seed], np.uint64)
    number, place = common.points.shape[2], 0
    totals, memory = np.empty(number, np.float32), np.empty(number, np.float32)
    own, sums = np.empty(number, np.float32), np.zeros(number, np.float32)
    rates[-1] = _ZERO
    drawn = np.empty((features.number, number), np.float32)
    shares = common.shares[common.points[0, 0] ^ random_shift(state, common.table.shape[1])]
    for gene in range(len(common.starts) - 1):
        start, end = common.starts[gene], common.starts[gene + 1]
        points = draw_gene(cell, gene, parameters, common, shares, state, totals, own)
        sums += totals
        rates[-1] += own
        if features.of_genes[gene] >= 0:
            drawn[features.of_genes[gene]] = totals
        wanted, size = features.of_isoforms[start:end], end - start
        if size == 1 or wanted.max() < 0:
            rates[place] = own
            place += 1
            if wanted[0] >= 0:
                drawn[wanted[0]] = totals
            continue
        members, rows = np.arange(start, end), np.empty((size, number), np.float32)
        added = draw_members(cell, gene, members, parameters, common, points, state, rows, memory)
        scatter = common.division[gene]
        for k in range(number):
            own[k] /= memory[k]
        for isoform in range(size):
            for k in range(number):
                rates[place + isoform, k] = own[k] * rows[isoform, k]
        place += size
        divide_totals(totals, added, scatter, shares, common.table, points, state, rows, memory)
        for isoform in range(size):
            if wanted[isoform] >= 0:
                drawn[wanted[isoform]] = rows[isoform]
    for k in range(number):
        sums[k] = np.float32(features.library_size) / max(sums[k], _TINY)
    moments, found = np.empty((features.number, 2), np.float32), np.empty(3)
    for row in range(features.number):
        drawn[row] *= sums
        moments_of(drawn[row], found)
        moments[row] = found[:2]
    return drawn, moments
