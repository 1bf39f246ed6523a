"""Topics of words as compiled loops on the CPU: the collapsed fixed point, and Gibbs sampling."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from ..data import compiled_functions
from ..data.compiled_functions import OPTIONS, SPLITMIX_STEP, inlined, mixed_bits, njit
from ..data.compiled_loops import stamp_of

_TO_UNIT = 2.0**-53
# Entries that vectorised loops take at once.
_WIDTH = 16


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
    # Sums in any order are vectorised.
    options = OPTIONS | {"fastmath": OPTIONS["fastmath"] | {"reassoc", "arcp"}}

    @njit(cache=True, **options)
    def fixed_point(words, offsets, likelihoods, prior, steps, concentration, responsibilities):
        """Update ``concentration``, (documents, topics), and fill ``responsibilities`` if any.

        Equal words of a document have equal responsibilities, so that each distinct word is worked
        on once. Inner loops are over distinct words, of which there are more than topics.
        """
        topics, zero, one = range(len(prior)), prior.dtype.type(0), prior.dtype.type(1)
        least = np.finfo(prior.dtype).tiny  # as a word that is in no topic has no scale
        longest = 0
        for d in range(len(concentration)):
            longest = max(longest, offsets[d + 1] - offsets[d])
        width = -(-longest // _WIDTH) * _WIDTH
        distinct, position = np.empty(width, np.int64), np.empty(len(likelihoods), np.int64)
        counts, scales, totals = np.empty((3, width), prior.dtype)
        # Products before they are scaled to responsibilities, and E[phi], both (topics, words).
        products, given = np.empty((2, len(prior), width), prior.dtype)
        for d in range(len(concentration)):
            evidence, n = concentration[d], 0
            for j in range(offsets[d], offsets[d + 1]):
                word = words[j]
                own = position[word]
                if 0 <= own < n and distinct[own] == word:
                    counts[own] += one
                    continue
                position[word], distinct[n], counts[n] = n, word, one
                for k in topics:
                    given[k, n] = likelihoods[word, k]
                n += 1
            # No loop has a remainder, which would not be vectorised; what is added counts nothing.
            padded = -(-n // _WIDTH) * _WIDTH
            counts[n:padded] = zero
            given[:, n:padded] = zero
            products[:, :padded] = zero
            scales[:padded] = zero
            for _ in range(steps):
                totals[:padded] = least
                for k in topics:
                    product, likelihood, own_evidence = products[k], given[k], evidence[k]
                    for i in range(padded):
                        new = (own_evidence - product[i] * scales[i]) * likelihood[i]
                        product[i] = new
                        totals[i] += new
                for i in range(padded):
                    scales[i] = one / totals[i]
                    totals[i] = counts[i] * scales[i]
                for k in topics:
                    product, held = products[k], zero
                    for i in range(padded):
                        held += product[i] * totals[i]
                    evidence[k] = prior[k] + held
            if len(responsibilities):
                for j in range(offsets[d], offsets[d + 1]):
                    own = position[words[j]]
                    for k in topics:
                        responsibilities[j, k] = products[k, own] * scales[own]

    return fixed_point


@cache
def words_of_topics() -> Callable:
    """Compile the sum of responsibilities over equal words, or load what was compiled."""

    @njit(cache=True, **OPTIONS)
    def add(words, responsibilities, counts):
        """Add ``responsibilities``, (words, topics), to ``counts``, (vocabulary, topics)."""
        for j in range(len(words)):
            own = counts[words[j]]
            for k in range(len(own)):
                own[k] += responsibilities[j, k]

    return add


@cache
def presence_of_topics() -> Callable:
    """Compile the probability that a document has a topic, or load what was compiled."""

    @njit(cache=True, **OPTIONS)
    def fill(offsets, responsibilities, present):
        """Fill ``present``, (documents, topics), from ``responsibilities``, (words, topics)."""
        for d in range(len(present)):
            own = present[d]
            own[:] = 0
            for j in range(offsets[d], offsets[d + 1]):
                for k in range(len(own)):
                    own[k] += responsibilities[j, k] * (1 - own[k])

    return fill


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
