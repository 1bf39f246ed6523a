"""Sums over counts of many entries, in blocks.

Whatever takes no branches is computed for all entries of a block at once, in loops that compilers
vectorise: the numbers that summands need, and results from sums. In between, the panels of one
entry follow those of another.
"""

from __future__ import annotations

import numpy as np

from ...data.compiled_functions import HALF_LOG_2_PI, exp, inlined, log, log1p
from .panels import NODES, Sums, sum_counts
from .summand import Entry, log_density, prepare

# Entries of a block.
_BLOCK = 64
# Value, and slopes in mean, inverse dispersion, dropout logits and noise scale.
RESULTS = 5
# Where numbers of entries start in a block: after the inputs, prepared numbers, sums and results.
_PREPARED, _SUMS, _RESULTS, _END = (row * _BLOCK for row in (7, 14, 19, 24))


@inlined
def _fill(block, chosen, start, inputs, every, results):
    """Fill a block with entries from ``start`` on that are to be summed, and note their places.

    Gives their number, and where to go on; others get their results.
    """
    filled = 0
    while start < len(inputs[0]) and filled < _BLOCK:
        total = 0.0
        for k in range(_PREPARED // _BLOCK):
            value = np.float64(inputs[k][start])
            block[k * _BLOCK + filled] = value
            total += value
        mean, dispersion = block[filled], block[_BLOCK + filled]
        scale, positives = block[3 * _BLOCK + filled], block[4 * _BLOCK + filled]
        possible = (mean > 0) & (dispersion > 0) & (scale > 0) & np.isfinite(total)
        if possible and (every or positives > 0):
            chosen[filled] = start
            filled += 1
        else:
            for k in range(RESULTS):
                results[k, start] = 0.0 if possible else np.nan
        start += 1
    return filled, start


@inlined
def _entry(block, j, rules):
    """Gather the numbers of an entry of a block."""
    at = _PREPARED + j
    rest = block[6 * _BLOCK + j] if rules.relative else 0.0
    weight = block[at + 6 * _BLOCK], rest, rules.relative
    statistics = 0.5 * block[4 * _BLOCK + j], block[5 * _BLOCK + j], *weight
    logarithms = block[at + _BLOCK], block[at + 2 * _BLOCK], block[at + 3 * _BLOCK]
    rates = block[at], *logarithms, block[at + 4 * _BLOCK], block[at + 5 * _BLOCK]
    return Entry(block[j], block[_BLOCK + j], *rates, *statistics)


@inlined
def _finish(entry, dropout, scale, squares, sums, rules):
    """Add u = 0, and what does not depend on the count; gives the results."""
    density_at_zero, squares_at_zero = log_density(0.0, 0.0, 1.0, entry)
    # Relative to the probability that the count is not dropped: kept, dropped, and positive.
    kept = density_at_zero - entry.dispersion * entry.spread
    dropped = density_at_zero + dropout
    largest = max(max(kept, dropped), sums.reference)
    share_kept, share_dropped = exp(kept - largest), exp(dropped - largest)
    each = exp(sums.reference - largest)
    total = share_kept + share_dropped + each * sums.total
    share_kept, share_dropped, each = share_kept / total, share_dropped / total, each / total
    by_mean = each * sums.by_excess / entry.mean - share_kept
    by_dispersion = share_kept * (entry.mean * entry.per_total - entry.spread)
    by_dispersion += each * sums.by_slope
    by_log_scale = each * sums.by_squares - entry.half_positives
    by_log_scale += (share_kept + share_dropped) * squares_at_zero
    constant = -2 * entry.half_positives * (HALF_LOG_2_PI + log(scale))
    if rules.shared:
        constant -= 0.5 * log1p(2 * entry.half_positives)
    if not rules.relative:
        constant -= squares * entry.half_precision
        by_log_scale += squares * entry.half_precision
    opposite = exp(-abs(dropout))
    probability = (opposite if dropout < 0 else 1.0) / (1 + opposite)
    return (
        largest + log(total) - max(dropout, 0.0) - log1p(opposite) + constant,
        entry.dispersion * entry.per_total * by_mean,
        by_dispersion,
        share_dropped - probability,
        2 * by_log_scale / scale,
    )


@inlined
def _prepare_all(block, rules):
    """Write the prepared numbers of all entries of a block; loops over fields would be slower."""
    for j in range(_BLOCK):
        at, positives = _PREPARED + j, block[4 * _BLOCK + j]
        found = prepare(block[j], block[_BLOCK + j], block[3 * _BLOCK + j], positives, rules)
        block[at], block[at + _BLOCK], block[at + 2 * _BLOCK] = found[:3]
        block[at + 3 * _BLOCK], block[at + 4 * _BLOCK] = found[3:5]
        block[at + 5 * _BLOCK], block[at + 6 * _BLOCK] = found[5:]


@inlined
def _finish_all(block, rules):
    """Write the results of all entries of a block."""
    for j in range(_BLOCK):
        at, results = _SUMS + j, _RESULTS + j
        by_count = block[at + 2 * _BLOCK], block[at + 3 * _BLOCK], block[at + 4 * _BLOCK]
        sums = Sums(block[at], block[at + _BLOCK], *by_count)
        given = block[2 * _BLOCK + j], block[3 * _BLOCK + j], block[6 * _BLOCK + j]
        found = _finish(_entry(block, j, rules), *given, sums, rules)
        block[results], block[results + _BLOCK], block[results + 2 * _BLOCK] = found[:3]
        block[results + 3 * _BLOCK], block[results + 4 * _BLOCK] = found[3:]


@inlined
def sum_entries(inputs, every, share, rule, rules, results, noted):
    """Write results of entries, shape (RESULTS, entries), and give the number of their nodes.

    ``inputs`` are mean, inverse dispersion, dropout logits, noise scale, then number, mean and sum
    of squares of the bootstraps that are not zero. Where there is none, all results are zero,
    unless ``every`` entry is to be summed; where a number is impossible, they are not a number.
    """
    block, chosen, room = np.ones(_END), np.empty(_BLOCK, np.int64), np.empty(6 * NODES)
    number = start = 0
    while start < len(inputs[0]):
        filled, start = _fill(block, chosen, start, inputs, every, results)
        _prepare_all(block, rules)
        for j in range(filled):
            entry = _entry(block, j, rules)
            sums, number = sum_counts(entry, share, rule, room, chosen[j], number, noted)
            for k in range(len(sums)):
                block[_SUMS + k * _BLOCK + j] = sums[k]
        _finish_all(block, rules)
        for j in range(filled):
            for k in range(RESULTS):
                results[k, chosen[j]] = block[_RESULTS + k * _BLOCK + j]
    return number
