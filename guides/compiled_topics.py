"""Topics of words as compiled loops on the CPU: the collapsed fixed point, and Gibbs sampling."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from ..data import compiled_functions
from ..data.compiled_functions import OPTIONS, SPLITMIX_STEP, inlined, mixed_bits, njit
from ..data.compiled_loops import stamp_of

_TO_UNIT = 2.0**-53


@inlined
def uniform(state):
    """Give a number in [0, 1) from a state of SplitMix64."""
    return np.float64(mixed_bits(state) >> np.uint64(11)) * _TO_UNIT


@inlined
def draw_topic(evidence, likelihood, cumulative, share):
    """Draw a topic with probability proportional to evidence x likelihood, given a uniform share.

    All arrays have shape (topics,); ``cumulative`` is overwritten.
    """
    total = 0.0
    for k in range(len(evidence)):
        total += evidence[k] * likelihood[k]
        cumulative[k] = total
    total *= share
    k = 0
    while k < len(evidence) - 1 and cumulative[k] <= total:
        k += 1
    return k


@cache
def collapsed_fixed_point() -> Callable:
    """Compile the fixed point of documents, or load what was compiled."""
    # Sums over topics in any order are vectorised.
    options = OPTIONS | {"fastmath": OPTIONS["fastmath"] | {"reassoc", "arcp"}}

    @njit(cache=True, **options)
    def fixed_point(words, offsets, likelihoods, prior, steps, concentration, responsibilities):
        """Update ``concentration``, (documents, topics), and fill ``responsibilities``."""
        topics, one = range(len(prior)), prior.dtype.type(1)
        sums = np.empty_like(prior)
        for d in range(len(concentration)):
            evidence = concentration[d]
            responsibilities[offsets[d] : offsets[d + 1]] = 0
            for _ in range(steps):
                sums[:] = prior
                for j in range(offsets[d], offsets[d + 1]):
                    own, likelihood = responsibilities[j], likelihoods[words[j]]
                    total = one - one
                    for k in topics:
                        product = (evidence[k] - own[k]) * likelihood[k]
                        own[k] = product
                        total += product
                    scale = one / total
                    for k in topics:
                        share = own[k] * scale
                        own[k] = share
                        sums[k] += share
                evidence[:] = sums

    return fixed_point


@cache
def gibbs_sweeps() -> Callable:
    """Compile the sweeps over documents, or load what was compiled from the same sources."""
    stamp = stamp_of([compiled_functions])

    @njit(cache=True, **OPTIONS)
    def sweeps(words, offsets, likelihoods, prior, start, seeds, burn_in, thinning, counts):
        """Fill ``counts``, shape (samples, documents, topics), with words of each topic."""
        assert stamp
        num_samples, num_documents, num_topics = counts.shape
        cumulative, evidence = np.empty(num_topics), np.empty(num_topics)
        own, assigned = np.empty(num_topics, np.int32), np.empty(len(words), np.int64)
        for d in range(num_documents):
            state = np.uint64(seeds[d])
            own[:] = 0
            for j in range(offsets[d], offsets[d + 1]):
                state += np.uint64(SPLITMIX_STEP)
                k = draw_topic(start[d], likelihoods[words[j]], cumulative, uniform(state))
                assigned[j] = k
                own[k] += 1
            evidence[:] = prior + own
            for sweep in range(1, burn_in + num_samples * thinning + 1):
                for j in range(offsets[d], offsets[d + 1]):
                    k = assigned[j]
                    own[k] -= 1
                    evidence[k] = prior[k] + own[k]
                    state += np.uint64(SPLITMIX_STEP)
                    k = draw_topic(evidence, likelihoods[words[j]], cumulative, uniform(state))
                    assigned[j] = k
                    own[k] += 1
                    evidence[k] = prior[k] + own[k]
                kept = sweep - burn_in
                if kept > 0 and kept % thinning == 0:
                    counts[kept // thinning - 1, d] = own

    return sweeps
