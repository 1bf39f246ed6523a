"""Topics of words as compiled loops on the CPU: the collapsed fixed point, and Gibbs sampling."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from ..data import compiled_functions
from ..data.compiled_functions import (
    OPTIONS,
    SPLITMIX_STEP,
    digamma_deficit,
    inlined,
    log,
    mixed_bits,
    njit,
)
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
def distinct_words() -> Callable:
    """Compile the merging of equal words of a document, or load what was compiled."""

    @njit(cache=True, **OPTIONS)
    def merge(words, offsets, position, distinct, counts, bounds, places):
        """Fill distinct words, their counts and bounds, and places of words; give their number.

        ``position``, (vocabulary,), may hold anything.
        """
        n = 0
        bounds[0] = 0
        for d in range(len(offsets) - 1):
            start = n
            for j in range(offsets[d], offsets[d + 1]):
                own = position[words[j]]
                if start <= own < n and distinct[own] == words[j]:
                    counts[own] += 1
                else:
                    own = n
                    position[words[j]], distinct[n], counts[n] = n, words[j], 1
                    n += 1
                places[j] = own
            bounds[d + 1] = n
        return n

    return merge


@cache
def collapsed_fixed_point() -> Callable:
    """Compile the fixed point of documents, or load what was compiled."""
    # Sums in any order are vectorised.
    options = OPTIONS | {"fastmath": OPTIONS["fastmath"] | {"reassoc", "arcp"}}

    @njit(cache=True, **options)
    def fixed_point(
        words, offsets, numbers, likelihoods, prior, steps, concentration, responsibilities
    ):
        """Update ``concentration``, (documents, topics), and fill ``responsibilities`` if any.

        A word occurs in its document so many times as ``numbers`` tells. Inner loops are over
        words, of which there are more than topics.
        """
        topics, zero, one = range(len(prior)), prior.dtype.type(0), prior.dtype.type(1)
        least = np.finfo(prior.dtype).tiny  # as a word that is in no topic has no scale
        longest = 0
        for d in range(len(concentration)):
            longest = max(longest, offsets[d + 1] - offsets[d])
        width = -(-longest // _WIDTH) * _WIDTH
        counts, scales, totals = np.empty((3, width), prior.dtype)
        # Products before they are scaled to responsibilities, and E[phi], both (topics, words).
        products, given = np.empty((2, len(prior), width), prior.dtype)
        for d in range(len(concentration)):
            evidence, first, n = concentration[d], offsets[d], offsets[d + 1] - offsets[d]
            for i in range(n):
                counts[i], likelihood = numbers[first + i], likelihoods[words[first + i]]
                for k in topics:
                    given[k, i] = likelihood[k]
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
                for i in range(n):
                    own = responsibilities[first + i]
                    for k in topics:
                        own[k] = products[k, i] * scales[i]

    return fixed_point


@cache
def words_of_topics() -> Callable:
    """Compile the sum of responsibilities over equal words, or load what was compiled."""

    @njit(cache=True, **OPTIONS)
    def add(words, numbers, responsibilities, counts):
        """Add ``responsibilities``, (words, topics), to ``counts``, (vocabulary, topics)."""
        for j in range(len(words)):
            own, number = counts[words[j]], responsibilities.dtype.type(numbers[j])
            for k in range(len(own)):
                own[k] += number * responsibilities[j, k]

    return add


@cache
def presence_of_topics() -> Callable:
    """Compile the probability that a document has a topic, or load what was compiled."""

    @njit(cache=True, **OPTIONS)
    def fill(offsets, numbers, responsibilities, present):
        """Fill ``present``, (documents, topics), from ``responsibilities``, (words, topics)."""
        for d in range(len(present)):
            own = present[d]
            own[:] = 0
            for j in range(offsets[d], offsets[d + 1]):
                for _ in range(numbers[j]):
                    for k in range(len(own)):
                        own[k] += responsibilities[j, k] * (1 - own[k])

    return fill


@cache
def digammas_of_topics() -> Callable:
    """Compile the sums of digammas over documents, or load what was compiled."""
    stamp = stamp_of([compiled_functions])

    @njit(cache=True, **OPTIONS)
    def add(weights, counts, alpha, sums):
        """Add weights x digamma(alpha + counts), (documents, topics), to ``sums``, (topics,).

        Counts are at least 1, and sums are float64. Digammas are within 5e-7 of themselves.
        """
        assert stamp
        for d in range(len(weights)):
            for k in range(len(sums)):
                x = np.float64(alpha[k] + counts[d, k])
                sums[k] += weights[d, k] * (log(x) - digamma_deficit(1 / x))

    return add


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
