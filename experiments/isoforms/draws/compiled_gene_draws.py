"""Draws of the expression of genes and isoforms given their posterior, as compiled loops."""

from __future__ import annotations

import numpy as np

from ....data.compiled_functions import OPTIONS, njit
from ....data.compiled_strata import gamma_at, random_shift, row_of

# Least Dirichlet parameter in draws, and least variance-to-mean ratio (reads) of a common error.
LEAST_SHAPE = np.float32(1e-4)
LEAST_SCATTER = np.float32(1e-3)
_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
# Added to gamma draws, so that some isoform has a share; a quotient by it is within float32.
_TINY = np.float32(1e-25)
# Least number of strata in which a gene is on, of which a draw is none.
_LEAST_STRATA = np.float32(1e-6)


@njit(**OPTIONS)
def draw_totals(shape, scale, present, scatter, shares, table, points, state, totals, rates):
    """Draw the expression of a gene in a cell.

    Parameters
    ----------
    shape, scale, present
        Of the gamma posterior of its rate (reads), and the probability that it is on, given each
        draw of the latent variables, shape (slices,).
    scatter
        Variance-to-mean ratio of the common error (reads) at a share of 1.
    shares
        Share c of the common error of each draw, shape (draws,).
    table, points, state
        Tables of strata, the latter of one sequence, and the state of the generator.
    totals, rates
        Get the draws (reads) with and without the common error, shape (draws,), slice by slice.
    """
    strata = table.shape[1]
    size = len(totals) // len(shape)
    shift = random_shift(state, strata)
    for part in range(len(shape)):
        row, way = row_of(shape[part])
        off = (_ONE - present[part]) * np.float32(strata)
        stretch = np.float32(strata) / max(np.float32(strata) - off, _LEAST_STRATA)
        for k in range(part * size, (part + 1) * size):
            place = np.float32(points[1, k] ^ shift) + _HALF - off
            stratum = min(np.int32(max(place, _ZERO) * stretch), strata - 1)
            rate = gamma_at(table, row, way, shape[part], stratum) * scale[part]
            rates[k] = rate if place >= _ZERO else _ZERO
    totals[:] = rates
    if scatter <= LEAST_SCATTER:
        return
    shift = random_shift(state, strata)
    for k in range(len(totals)):
        own = max(shares[k] * scatter, LEAST_SCATTER)
        concentration = totals[k] / own
        row, way = row_of(concentration)
        totals[k] = gamma_at(table, row, way, concentration, points[2, k] ^ shift) * own


@njit(**OPTIONS)
def divide_totals(totals, added, scatter, shares, table, points, state, rows, sums):
    """Draw the expression of the isoforms of a gene in a cell, given draws of usage.

    Parameters
    ----------
    totals
        Draws of the gene's (reads), shape (draws,).
    added
        Added to the parameters of the common error, shape (isoforms,).
    scatter, shares, table, points, state
        As for :func:`draw_totals`.
    rows, sums
        As :func:`draw_usage` left them; the rows get the draws (reads).
    """
    if scatter > LEAST_SCATTER:
        for k in range(len(totals)):
            sums[k] = totals[k] / (max(shares[k] * scatter, LEAST_SCATTER) * sums[k])
        for isoform in range(len(rows)):
            shift = random_shift(state, table.shape[1])
            own, variable = rows[isoform], points[(4 + 2 * isoform) % len(points)]
            for k in range(len(totals)):
                shape = sums[k] * own[k] + added[isoform]
                row, way = row_of(shape)
                own[k] = gamma_at(table, row, way, shape, variable[k] ^ shift) + _TINY
        _add_up(rows, sums)
    for k in range(len(totals)):
        sums[k] = totals[k] / sums[k]
    for isoform in range(len(rows)):
        own = rows[isoform]
        for k in range(len(totals)):
            own[k] *= sums[k]


@njit(**OPTIONS)
def draw_usage(usage, table, points, state, rows, sums):
    """Draw usage up to a factor of each draw, ``rows``, (isoforms, draws), and ``sums``, (draws,).

    ``usage`` are the parameters of its Dirichlet posterior, shape (slices, isoforms), and the
    others as for :func:`draw_totals`.
    """
    size = rows.shape[1] // len(usage)
    for isoform in range(len(rows)):
        shift = random_shift(state, table.shape[1])
        own, variable = rows[isoform], points[(3 + 2 * isoform) % len(points)]
        for part in range(len(usage)):
            shape = max(usage[part, isoform], LEAST_SHAPE)
            row, way = row_of(shape)
            for k in range(part * size, (part + 1) * size):
                own[k] = gamma_at(table, row, way, shape, variable[k] ^ shift) + _TINY
    _add_up(rows, sums)


@njit(**OPTIONS)
def _add_up(rows, sums):
    """Add up draws over isoforms, (isoforms, draws), to shape (draws,)."""
    sums[:] = _ZERO
    for isoform in range(len(rows)):
        own = rows[isoform]
        for k in range(len(sums)):
            sums[k] += own[k]
