"""Value and slopes of the log likelihood of many entries, by a compiled loop."""

from __future__ import annotations

import numpy as np

from ..distributions.float64_math import HALF_LOG_2_PI, exp, inlined, log, log1p
from .panels import ROOM, sum_counts
from .summand import log_density, prepare

# Value, and slopes in mean, inverse dispersion, dropout logits and noise scale.
RESULTS = 5


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
    by_log_scale = (
        each * sums.by_squares
        + (share_kept + share_dropped) * squares_at_zero
        - entry.half_positives
    )
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
def sum_entries(inputs, every, share, rule, rules, results, noted):
    """Write results of entries, shape (RESULTS, entries), and give the number of their nodes.

    ``inputs`` are mean, inverse dispersion, dropout logits, noise scale, then number, mean and sum
    of squares of the bootstraps that are not zero. Where there is none, all results are zero,
    unless ``every`` entry is to be summed; where a number is impossible, they are not a number.
    Nodes are noted as by :func:`~.panels.sum_counts`.
    """
    means, dispersions, dropouts, scales, positives, centres, all_squares = inputs
    room, number = np.empty(ROOM), 0
    for i in range(len(means)):
        mean, dispersion = np.float64(means[i]), np.float64(dispersions[i])
        dropout, scale = np.float64(dropouts[i]), np.float64(scales[i])
        m, centre = np.float64(positives[i]), np.float64(centres[i])
        squares = np.float64(all_squares[i])
        total = mean + dispersion + dropout + scale + m + centre + squares
        if not ((mean > 0) & (dispersion > 0) & (scale > 0) & np.isfinite(total)):
            results[:, i] = np.nan
        elif m > 0 or every:
            entry = prepare(mean, dispersion, scale, m, centre, squares, rules)
            sums, number = sum_counts(entry, share, rule, room, i, number, noted)
            found = _finish(entry, dropout, scale, squares, sums, rules)
            for k in range(RESULTS):
                results[k, i] = found[k]
        else:
            results[:, i] = 0.0
    return number
