"""Summaries of the expression of a cell from stratified draws, as compiled loops.

Draws are made for one gene after another, and only where they can matter: an entry is left out
unless it exceeds a threshold with some probability, and by Markov's inequality it does not if the
mean of its gene is small.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ....data.compiled_functions import OPTIONS, njit
from ....data.compiled_strata import random_bits, random_shift
from ....data.compiled_summaries import PARTS, moments_of, quantiles_of, share_above
from .compiled_gene_draws import divide_totals, draw_totals, draw_usage

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_TINY = np.float32(1e-37)
# By which seeds of genes differ, so that the draws of a gene do not depend on others.
_GENE_STEP = np.uint64(0xD1B54A32D192ED03)
# How far a cell's sum may lie below its mean.
_SLACK = 0.8


class Parameters(NamedTuple):
    """Posteriors of cells, one for each slice of the draws, float32.

    Attributes
    ----------
    shape, scale, present
        As in :class:`~.rate_posterior.RatePosterior`, shape (slices, cells, genes).
    usage
        Likewise, shape (slices, cells, isoforms), isoforms in the order of their genes.
    factor
        By which draws of isoforms are multiplied, as ``usage``, or of no slices for none.
    """

    shape: np.ndarray
    scale: np.ndarray
    present: np.ndarray
    usage: np.ndarray
    factor: np.ndarray


class Common(NamedTuple):
    """What all cells have in common.

    Attributes
    ----------
    starts
        Position of the first isoform of each gene, and the end of the last, shape (genes + 1,).
    totals, division
        Ambiguities of the common error (reads), shape (genes,), float32.
    shares
        Share of the common error by stratum, shape (strata,), float32.
    table, points
        See :mod:`exvae.data.strata`.
    """

    starts: np.ndarray
    totals: np.ndarray
    division: np.ndarray
    shares: np.ndarray
    table: np.ndarray
    points: np.ndarray


class Wanted(NamedTuple):
    """What is to be computed.

    Attributes
    ----------
    columns
        Column of each isoform or, at the level of genes, of each gene, shape (isoforms,) or
        (genes,); -1 for those that are left out.
    of_genes
        Whether columns are genes.
    weights
        By which expression is multiplied before it is normalised, shape (isoforms,), float32, or
        (0,) for ones.
    library_size
        Sum to which it is normalised.
    levels
        Probabilities of quantiles, in ascending order, shape (levels,).
    replicates
        Numbers of the draws to keep, shape (replicates,).
    threshold, probability
        An entry is left out unless it exceeds the threshold with this probability at one of both
        scales.
    """

    columns: np.ndarray
    of_genes: bool
    weights: np.ndarray
    library_size: float
    levels: np.ndarray
    replicates: np.ndarray
    threshold: float
    probability: float


@njit(**OPTIONS)
def means_of_genes(cell, parameters, common, weights):
    """Means of genes (reads), shape (genes,), of their isoforms, weighted, and the largest weights.

    The last two are what the gene adds to the cell's weighted sum, and the most that a draw of an
    isoform is multiplied by, before and after weighting, shapes (genes,), (genes,) and (genes, 2).
    """
    number = len(common.starts) - 1
    means, added = np.zeros(number), np.zeros(number)
    most = np.ones((number, 2))
    for gene in range(number):
        start, end = common.starts[gene], common.starts[gene + 1]
        for part in range(len(parameters.shape)):
            mean = np.float64(parameters.shape[part, cell, gene])
            mean *= parameters.scale[part, cell, gene] * parameters.present[part, cell, gene]
            means[gene] += mean / len(parameters.shape)
            added[gene] += mean / len(parameters.shape)
        if len(weights) == 0 and len(parameters.factor) == 0:
            continue
        added[gene], most[gene] = 0.0, 0.0
        for part in range(len(parameters.shape)):
            mean = np.float64(parameters.shape[part, cell, gene])
            mean *= parameters.scale[part, cell, gene] * parameters.present[part, cell, gene]
            concentration = parameters.usage[part, cell, start:end].sum()
            for isoform in range(start, end):
                factor = parameters.factor[part, cell, isoform] if len(parameters.factor) else _ONE
                weight = weights[isoform] if len(weights) else _ONE
                usage = parameters.usage[part, cell, isoform] / concentration
                added[gene] += mean * usage * factor * weight / len(parameters.shape)
                most[gene, 0] = max(most[gene, 0], factor)
                most[gene, 1] = max(most[gene, 1], factor * weight)
    return means, added, most


@njit(**OPTIONS)
def draw_isoforms(
    cell, gene, members, parameters, common, points, shares, state, totals, sums, rows
):
    """Draw the expression of isoforms of a gene.

    Parameters
    ----------
    members
        Positions of the isoforms, shape (members,). All others of the gene are drawn as one: sums
        over parts of a Dirichlet variable are Dirichlet.
    points, shares, state
        As for :func:`~.compiled_gene_draws.draw_totals`.
    totals
        Draws of the gene (reads), shape (draws,).
    sums
        Working memory, shape (draws,).
    rows
        Gets the draws (reads), shape (isoforms, draws): those of the members, and then of the
        others if there are any.
    """
    start, end = common.starts[gene], common.starts[gene + 1]
    if end - start == 1:
        rows[0] = totals
    else:
        added = draw_members(cell, gene, members, parameters, common, points, state, rows, sums)
        scatter = common.division[gene]
        divide_totals(totals, added, scatter, shares, common.table, points, state, rows, sums)
    size = len(totals) // len(parameters.shape)
    for part in range(len(parameters.factor)):
        for row in range(len(members)):
            factor = parameters.factor[part, cell, members[row]]
            for k in range(part * size, (part + 1) * size):
                rows[row, k] *= factor


@njit(**OPTIONS)
def draw_members(cell, gene, members, parameters, common, points, state, rows, sums):
    """Draw the usage of isoforms of a gene of several, as :func:`~.compiled_gene_draws.draw_usage`.

    Arguments as for :func:`draw_isoforms`. Returns what is added to the parameters of the common
    error, shape (isoforms,).
    """
    start, end = common.starts[gene], common.starts[gene + 1]
    slices = len(parameters.usage)
    usage = np.empty((slices, len(rows)), np.float32)
    added = np.full(len(rows), np.float32(end - start - len(members)), np.float32)
    added[: len(members)] = _ONE
    for part in range(slices):
        for row in range(len(members)):
            usage[part, row] = parameters.usage[part, cell, members[row]]
        if len(rows) > len(members):
            rest = parameters.usage[part, cell, start:end].sum() - usage[part, :-1].sum()
            usage[part, -1] = max(rest, _ZERO)
    draw_usage(usage, common.table, points, state, rows, sums)
    return added / np.float32(end - start)


@njit(**OPTIONS)
def draw_cell(cell, parameters, common, seed, drawn):
    """Draw the expression of all isoforms of a cell (reads), ``drawn``, (draws, isoforms)."""
    state = np.array([seed, seed], np.uint64)
    number = len(drawn)
    totals, sums = np.empty(number, np.float32), np.empty(number, np.float32)
    shares = common.shares[common.points[0, 0] ^ random_shift(state, common.table.shape[1])]
    for gene in range(len(common.starts) - 1):
        start, end = common.starts[gene], common.starts[gene + 1]
        points = draw_gene(cell, gene, parameters, common, shares, state, totals, sums)
        rows = np.empty((end - start, number), np.float32)
        members = np.arange(start, end)
        draw_isoforms(
            cell, gene, members, parameters, common, points, shares, state, totals, sums, rows
        )
        drawn[:, start:end] = rows.T


@njit(**OPTIONS)
def draw_gene(cell, gene, parameters, common, shares, state, totals, rates):
    """Draw the expression of a gene (reads); return its strata.

    ``state`` holds the state of the generator and the seed of the cell, and ``totals`` and
    ``rates``, (draws,), get the draws with and without the common error.
    """
    state[0] = state[1] + np.uint64(gene) * _GENE_STEP
    points = common.points[np.int64(random_bits(state) % np.uint64(len(common.points)))]
    draw_totals(
        parameters.shape[:, cell, gene],
        parameters.scale[:, cell, gene],
        parameters.present[:, cell, gene],
        common.totals[gene],
        shares,
        common.table,
        points,
        state,
        totals,
        rates,
    )
    return points


@njit(**OPTIONS)
def summarise_cell(cell, parameters, common, wanted, seed):
    """Summarise the expression of a cell.

    Parameters
    ----------
    cell
        Number of the cell in the parameters.
    parameters, common, wanted
        See :class:`Parameters`, :class:`Common` and :class:`Wanted`.
    seed
        Seed of its draws, uint64.

    Returns
    -------
    tuple of numpy.ndarray
        Columns of the entries that are not left out, shape (entries,), in the order of the genes,
        and values, shape (entries, 6 + levels + replicates): mean, standard deviation and mean of
        log1p of the reads, the same of normalised reads, quantiles, and draws.
    """
    state = np.array([seed, seed], np.uint64)
    number = common.points.shape[2]
    shares = common.shares[common.points[0, 0] ^ random_shift(state, common.table.shape[1])]
    sums = np.zeros(number, np.float32)
    reads, scaled, columns = _draw_kept(cell, parameters, common, wanted, shares, state, sums)
    size = 6 + len(wanted.levels) + len(wanted.replicates)
    values = np.empty((len(columns), size), np.float32)
    counts, found = np.empty(PARTS, np.int32), np.empty(max(3, len(wanted.levels)))
    normalised, kept = np.empty(number, np.float32), 0
    for k in range(number):
        sums[k] = np.float32(wanted.library_size) / max(sums[k], _TINY)
    for place in range(len(columns)):
        for k in range(number):
            normalised[k] = scaled[place, k] * sums[k]
        if (
            share_above(reads[place], wanted.threshold) < wanted.probability
            and share_above(normalised, wanted.threshold) < wanted.probability
        ):
            continue
        moments_of(reads[place], found)
        values[kept, :3] = found[:3]
        moments_of(normalised, found)
        values[kept, 3:6] = found[:3]
        quantiles_of(reads[place], wanted.levels, counts, found)
        values[kept, 6 : 6 + len(wanted.levels)] = found[: len(wanted.levels)]
        for replicate in range(len(wanted.replicates)):
            draw = reads[place, wanted.replicates[replicate]]
            values[kept, 6 + len(wanted.levels) + replicate] = draw
        columns[kept] = columns[place]
        kept += 1
    return columns[:kept].copy(), values[:kept].copy()


@njit(**OPTIONS)
def _draw_kept(cell, parameters, common, wanted, shares, state, sums):
    """Draw the expression of genes that may exceed the threshold, and of the whole cell.

    Returns
    -------
    tuple of numpy.ndarray
        Draws of reads, and of weighted reads, each of shape (rows, draws), and the columns of the
        rows. ``sums``, shape (draws,), gets the weighted sums over the cell.
    """
    weights, number = wanted.weights, common.points.shape[2]
    means, added, most = means_of_genes(cell, parameters, common, weights)
    summed = len(weights) == 0 and len(parameters.factor) == 0
    split = not summed or not wanted.of_genes
    of_cell = added.sum()
    limits = np.empty(len(means))
    rows = 0
    for gene in range(len(means)):
        of_unit = _SLACK * of_cell / wanted.library_size / max(most[gene, 1], 1e-30)
        limits[gene] = wanted.threshold * min(1 / max(most[gene, 0], 1e-30), of_unit)
        if means[gene] >= wanted.probability * limits[gene]:
            rows += 1 if wanted.of_genes else common.starts[gene + 1] - common.starts[gene]
        else:
            sums += np.float32(added[gene])
    reads = np.empty((rows, number), np.float32)
    scaled = reads if len(weights) == 0 else np.empty((rows, number), np.float32)
    columns, used = np.empty(rows, np.int32), 0
    totals, memory = np.empty(number, np.float32), np.empty(number, np.float32)
    for gene in range(len(means)):
        if means[gene] < wanted.probability * limits[gene]:
            continue
        start, end = common.starts[gene], common.starts[gene + 1]
        points = draw_gene(cell, gene, parameters, common, shares, state, totals, memory)
        if summed:
            sums += totals
        if share_above(totals, limits[gene]) < wanted.probability:
            if not summed:
                sums += totals * np.float32(added[gene] / max(means[gene], 1e-30))
            continue
        members = np.arange(start, end)
        if summed:
            least = wanted.probability * limits[gene]
            members = _members(cell, gene, parameters, common, wanted, means[gene], least)
            if len(members) == 0:
                continue
        own = totals.reshape(1, -1)
        if split:
            own = np.empty((len(members) + (len(members) < end - start), number), np.float32)
            draw_isoforms(
                cell, gene, members, parameters, common, points, shares, state, totals, memory, own
            )
        used = _add_rows(gene, members, own, wanted, summed, sums, reads, scaled, columns, used)
    return reads[:used], scaled[:used], columns[:used]


@njit(**OPTIONS)
def _members(cell, gene, parameters, common, wanted, mean, least):
    """Positions of the isoforms of a gene that have a column and whose mean may exceed ``least``.

    Of the mean T of a gene (reads), the common error of variance-to-mean ratio s gives an isoform
    at most T s / (T + s) / isoforms on top of its share, by Jensen's inequality. At the level of
    genes all isoforms, or none.
    """
    start, end = common.starts[gene], common.starts[gene + 1]
    if wanted.of_genes:
        return np.arange(start, end if wanted.columns[gene] >= 0 else start)
    scatter = common.division[gene]
    most = np.float64(scatter) * mean / max(mean + scatter, 1e-30) / (end - start)
    bounds = np.full(end - start, most)
    for part in range(len(parameters.shape)):
        own = np.float64(parameters.shape[part, cell, gene]) * parameters.scale[part, cell, gene]
        own *= parameters.present[part, cell, gene] / np.float32(len(parameters.shape))
        own /= parameters.usage[part, cell, start:end].sum()
        for isoform in range(start, end):
            bounds[isoform - start] += own * parameters.usage[part, cell, isoform]
    wanted_ones = (bounds >= least) & (wanted.columns[start:end] >= 0)
    return start + np.flatnonzero(wanted_ones)


@njit(**OPTIONS)
def _add_rows(gene, members, own, wanted, summed, sums, reads, scaled, columns, used):
    """Add draws of a gene or its members to the rows, and unless ``summed`` to the cell's sums."""
    weights = wanted.weights
    if wanted.of_genes and wanted.columns[gene] >= 0:
        reads[used] = _ZERO
        scaled[used] = _ZERO
        columns[used] = wanted.columns[gene]
    for row in range(1 if wanted.of_genes and summed else len(members)):
        weight = weights[members[row]] if len(weights) else _ONE
        if not summed:
            for k in range(len(sums)):
                sums[k] += own[row, k] * weight
        if wanted.of_genes:
            if wanted.columns[gene] >= 0:
                reads[used] += own[row]
                if len(weights):
                    scaled[used] += own[row] * weight
        elif wanted.columns[members[row]] >= 0:
            reads[used] = own[row]
            if len(weights):
                scaled[used] = own[row] * weight
            columns[used] = wanted.columns[members[row]]
            used += 1
    return used + (wanted.of_genes and wanted.columns[gene] >= 0)
