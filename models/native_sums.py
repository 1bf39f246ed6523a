"""Sums over counts as compiled loops on the CPU, for float32.

The arithmetic is that of :mod:`exvae.models.fixed_nodes`. Windows are found for blocks of entries
(:mod:`exvae.models.entry_blocks`); then entries that need as many panels are summed side by side.
Nothing but parameters, statistics and results goes through memory. Entries that panels around one
peak cannot sum well enough are told apart and left to the adaptive quadrature.
"""

from __future__ import annotations

import numba
import numpy as np

from .entry_blocks import (
    BLOCK,
    BY_CONCENTRATION,
    BY_DISPERSION,
    BY_DROPOUT,
    BY_LOGITS,
    BY_MEAN,
    BY_SCALE,
    CONCENTRATION,
    COUNT,
    DISPERSION,
    DROPOUT,
    LARGEST,
    LOGITS,
    MEAN,
    PANELS,
    POSITIVES,
    SCALE,
    TOTAL,
    WEIGHT,
    ZEROS,
    density_constant,
    find_peaks,
    find_windows,
    log_prior_at_zero,
    prior_constant,
    prior_varying,
    squared_deviations,
    variance_at,
)
from .entry_groups import (
    GROUPS,
    clear,
    empty_block,
    load,
    load_sorted,
    nodes_of,
    place_nodes,
    place_zero,
    sort_entries,
)
from .float32_math import (
    OPTIONS,
    digamma_excess,
    exp,
    f,
    inlined,
    log,
    log1p,
    logaddexp,
    sigmoid,
    softplus,
)
from .zero_lookup import (
    OVERLOOKED,
    SUMMED,
    UNFIT,
    find_places,
    find_ranges,
    look_up,
    read_tables,
    zeros_at,
)
from .zero_windows import empty_looks, find_wide_windows, judge, needs_judging


@inlined
def node_density(u, block, i, rules):
    """Log density of the positive bootstraps, its slopes in log f and nu, and the prior's share."""
    half = f(0.5) * block[POSITIVES * BLOCK + i]
    prior_half = f(0.5) * block[CONCENTRATION * BLOCK + i]
    variance = variance_at(u, block, i, rules)
    excess = f(0.5) * squared_deviations(u, block, i, rules)
    whole = variance + excess
    inverse = f(1) / (variance * whole)
    ratio, share = excess * whole * inverse, variance * variance * inverse
    both, spread = prior_half + half, log(f(1) + ratio)
    density = -half * log(variance) - (both * spread if rules.adaptive else ratio)
    averaged = f(2) * (prior_half - both * share)
    by_scale = averaged if rules.adaptive else f(2) * (ratio - half)
    by_concentration = f(0.5) - f(0.5) * (spread + both * share / prior_half)
    return density, by_scale, by_concentration, share


@inlined
def find_density(zeros, block, rules):
    """Write the log density of all bootstraps given the counts of a block to ``TOTAL``."""
    for i in range(BLOCK):
        density, _, _, share = node_density(block[COUNT * BLOCK + i], block, i, rules)
        if zeros:
            factor, _, _, _ = zeros_at(share, block, i, rules)
            density += factor
        block[TOTAL * BLOCK + i] = density + density_constant(block, i, rules)


@inlined
def add_nodes(zeros, block, rules):
    """Add a node of every entry to its sums; ``zeros`` tells whether entries have any."""
    for i in range(BLOCK):
        u, mean = block[COUNT * BLOCK + i], block[MEAN * BLOCK + i]
        term, dispersion = prior_varying(u, mean, block[DISPERSION * BLOCK + i])
        density, scale, concentration, share = node_density(u, block, i, rules)
        term += density
        logits = f(0)
        if zeros:
            more, more_scale, more_concentration, logits = zeros_at(share, block, i, rules)
            term += more
            scale += more_scale
            concentration += more_concentration
        # All sums are relative to the largest term so far, of nodes that count.
        weight = block[WEIGHT * BLOCK + i]
        rise = (term if weight > f(0) else f(-3e38)) - block[LARGEST * BLOCK + i]
        smaller, rises = exp(-abs(rise)), rise > f(0)
        largest = term if rises else block[LARGEST * BLOCK + i]
        kept = smaller if rises else f(1)
        weight *= f(1) if rises else smaller
        block[LARGEST * BLOCK + i] = largest
        block[TOTAL * BLOCK + i] = block[TOTAL * BLOCK + i] * kept + weight
        block[BY_MEAN * BLOCK + i] = block[BY_MEAN * BLOCK + i] * kept + weight * (u - mean)
        block[BY_DISPERSION * BLOCK + i] = (
            block[BY_DISPERSION * BLOCK + i] * kept + weight * dispersion
        )
        block[BY_SCALE * BLOCK + i] = block[BY_SCALE * BLOCK + i] * kept + weight * scale
        block[BY_LOGITS * BLOCK + i] = block[BY_LOGITS * BLOCK + i] * kept + weight * logits
        block[BY_CONCENTRATION * BLOCK + i] = (
            block[BY_CONCENTRATION * BLOCK + i] * kept + weight * concentration
        )


@inlined
def finish(zeros, block, rules):
    """Add u = 0; then ``TOTAL`` is the value, and what follows it the slopes in the parameters."""
    for i in range(BLOCK):
        mean, dispersion = block[MEAN * BLOCK + i], block[DISPERSION * BLOCK + i]
        dropout, logits = block[DROPOUT * BLOCK + i], block[LOGITS * BLOCK + i]
        concentration, positives = block[CONCENTRATION * BLOCK + i], block[POSITIVES * BLOCK + i]
        term, by_scale, by_concentration, share = node_density(f(0), block, i, rules)
        by_logits = f(0)
        if zeros:
            more, more_scale, more_concentration, by_logits = zeros_at(share, block, i, rules)
            term += more
            by_scale += more_scale
            by_concentration += more_concentration
        summed = block[TOTAL * BLOCK + i]
        at_zero = term + log_prior_at_zero(mean, dispersion, dropout)
        positive = block[LARGEST * BLOCK + i] + log(summed)
        positive += prior_constant(mean, dispersion) - softplus(dropout)
        value = logaddexp(at_zero, positive)
        here, there = exp(at_zero - value), exp(positive - value)
        each, total, spread = there / summed, mean + dispersion, log1p(mean / dispersion)
        # Of u = 0, what was not dropped.
        kept = here * sigmoid(-dispersion * spread - dropout)
        half, both = f(0.5) * concentration, f(0.5) * (concentration + positives)
        constant = f(0.5) * (log(both / half) + digamma_excess(both) - digamma_excess(half))
        by_concentration = (
            each * block[BY_CONCENTRATION * BLOCK + i] + here * by_concentration + constant
        )
        block[TOTAL * BLOCK + i] = value + density_constant(block, i, rules)
        block[BY_MEAN * BLOCK + i] = (
            dispersion / total * (each * block[BY_MEAN * BLOCK + i] / mean - kept)
        )
        block[BY_DISPERSION * BLOCK + i] = (
            each * block[BY_DISPERSION * BLOCK + i]
            - there * digamma_excess(dispersion)
            + kept * (mean / total - spread)
        )
        block[BY_DROPOUT * BLOCK + i] = here - kept - sigmoid(dropout)
        block[BY_SCALE * BLOCK + i] = (
            each * block[BY_SCALE * BLOCK + i] + here * by_scale
        ) / block[SCALE * BLOCK + i]
        block[BY_LOGITS * BLOCK + i] = (
            each * block[BY_LOGITS * BLOCK + i]
            + here * by_logits
            + block[ZEROS * BLOCK + i] * sigmoid(-logits)
            - positives * sigmoid(logits)
        )
        block[BY_CONCENTRATION * BLOCK + i] = by_concentration if rules.adaptive else f(0)


# Entries in groups

# Value and slopes.
RESULTS = 7
# By how many nats a sum may change on twice as many panels.
_LARGEST_CHANGE = f(5e-3)


@numba.njit(**OPTIONS)
def sum_chunk(chosen, inputs, slabs, values, missing, rules, results, status):
    """Sum entries and write values, slopes and what became of them.

    Parameters
    ----------
    chosen
        Positions of the entries, shape (chosen,), int64.
    inputs
        Parameters and statistics, each of all entries, shape (entries,).
    slabs, values
        Of a :class:`~.zero_surface.ZeroSurface`.
    missing
        Marks the slabs that are needed and not there, of the shape of ``slabs``, bool.
    rules
        Which likelihood.
    results
        Values, then slopes in the six parameters, shape (RESULTS, entries).
    status
        ``SUMMED``, ``UNFIT`` or ``MISSING``, shape (entries,), int8.
    """
    block, rows = empty_block()
    looks, verdict = empty_looks(), np.zeros(BLOCK, np.int8)
    sorted_ = sort_entries(chosen, inputs, slabs, missing, False, rules, status)
    for place in chosen:
        # Of an entry that no panels will do for at first: so that it is summed twice.
        results[0, place] = f(np.inf)
    for group in range(2 * GROUPS):
        for start in range(sorted_.ends[group], sorted_.ends[group + 1], BLOCK):
            own = sorted_.order[start : min(start + BLOCK, sorted_.ends[group + 1])]
            load_sorted(own, chosen, sorted_.windows, inputs, block)
            if group % 2 == 1:
                look_up_all(len(own), rows, slabs, values, block, rules)
                sum_block(group // 2, rows, block, rules)
            else:
                sum_block_without_zeros(group // 2, block, rules)
            write(chosen[own], block, results, status)
            if group % 2 == 1 and needs_judging(len(own), block, rules):
                judge(len(own), nodes_of(group // 2), rows, block, rules, looks, verdict)
                for i in range(len(own)):
                    if verdict[i] != SUMMED:
                        status[chosen[own[i]]] = verdict[i]
    if rules.rectified:
        again = chosen[status[chosen] == OVERLOOKED]
        for group in (GROUPS - 2, GROUPS - 1):
            again = sum_again(
                again, group, rows, block, inputs, slabs, values, rules, results, status
            )
        status[again] = UNFIT


@inlined
def write(places, block, results, status):
    """Write the results of the first entries of a block; what is not finite is left to others."""
    for i in range(len(places)):
        finite = True
        for field in range(RESULTS):
            result = block[(TOTAL + field) * BLOCK + i]
            results[field, places[i]] = result
            finite &= np.isfinite(result)
        status[places[i]] = SUMMED if finite else UNFIT


@numba.njit(**OPTIONS)
def sum_again(places, group, rows, block, inputs, slabs, values, rules, results, status):
    """Sum entries over all counts, on the stretched panels of a group, as :func:`sum_chunk`.

    Gives the places of those whose values change: neither value can be trusted.
    """
    changed = np.empty(len(places), np.int64)
    number = 0
    for start in range(0, len(places), BLOCK):
        own = places[start : start + BLOCK]
        load(own, inputs, block)
        find_peaks(block, rules)
        find_windows(block, rules)
        look_up_all(len(own), rows, slabs, values, block, rules)
        find_wide_windows(rows, block, rules)
        sum_block(group, rows, block, rules)
        for i in range(len(own)):
            total = block[TOTAL * BLOCK + i]
            change = abs(total - results[0, own[i]])
            settled = change <= _LARGEST_CHANGE + f(1e-6) * abs(total)
            settled &= block[PANELS * BLOCK + i] <= f(nodes_of(group) // 3)
            changed[number] = own[i]
            number += int(not settled)
        write(own, block, results, status)
    return changed[:number]


@numba.njit(**OPTIONS)
def place_chunk(chosen, inputs, slabs, values, missing, rules, status):
    """Give the nodes of entries, fine enough for quantiles, and what the bootstraps say there.

    The nodes reach over all counts before dropout that are likely. Arguments are as for
    :func:`sum_chunk`.

    Returns
    -------
    tuple of numpy.ndarray
        Entry, count, weight and log density of the bootstraps given the count (nats) of every
        node, u = 0 among them, each of shape (nodes,).
    """
    block, rows = empty_block()
    sorted_ = sort_entries(chosen, inputs, slabs, missing, True, rules, status)
    number = 0
    for group in range(2 * GROUPS):
        number += (sorted_.ends[group + 1] - sorted_.ends[group]) * (nodes_of(group // 2) + 1)
    entry, count = np.empty(number, np.int64), np.empty(number, np.float32)
    weight, density = np.empty(number, np.float32), np.empty(number, np.float32)
    done = 0
    for group in range(2 * GROUPS):
        nodes = nodes_of(group // 2)
        for start in range(sorted_.ends[group], sorted_.ends[group + 1], BLOCK):
            own = sorted_.order[start : min(start + BLOCK, sorted_.ends[group + 1])]
            load_sorted(own, chosen, sorted_.windows, inputs, block)
            clear(block)
            if group % 2 == 1:
                look_up_all(len(own), rows, slabs, values, block, rules)
            for index in range(nodes + 1):
                if index < nodes:
                    place_nodes(index, group // 2, block)
                else:
                    place_zero(block)
                if group % 2 == 1:
                    read_tables(rows, block, rules)
                    find_density(True, block, rules)
                else:
                    find_density(False, block, rules)
                for i in range(len(own)):
                    at = done + i * (nodes + 1) + index
                    entry[at] = chosen[own[i]]
                    count[at] = block[COUNT * BLOCK + i]
                    weight[at] = block[WEIGHT * BLOCK + i]
                    density[at] = block[TOTAL * BLOCK + i]
                    if not np.isfinite(density[at]) and weight[at] > f(0):
                        status[entry[at]] = UNFIT
            done += len(own) * (nodes + 1)
    return entry, count, weight, density


@inlined
def look_up_all(size, rows, slabs, values, block, rules):
    """Make the rows of the first entries of a block."""
    find_places(block, rules)
    find_ranges(block, rules)
    for i in range(size):
        look_up(i, rows, slabs, values, block, rules)


@numba.njit(**OPTIONS)
def sum_block(group, rows, block, rules):
    """Sum the entries of a block, each of which has bootstraps that are zero."""
    clear(block)
    for index in range(nodes_of(group)):
        place_nodes(index, group, block)
        read_tables(rows, block, rules)
        add_nodes(True, block, rules)
    place_zero(block)
    read_tables(rows, block, rules)
    finish(True, block, rules)


@numba.njit(**OPTIONS)
def sum_block_without_zeros(group, block, rules):
    """Sum the entries of a block, none of which has, or zeros are an atom."""
    clear(block)
    for index in range(nodes_of(group)):
        place_nodes(index, group, block)
        add_nodes(False, block, rules)
    finish(False, block, rules)
