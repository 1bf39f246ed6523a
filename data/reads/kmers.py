"""Sets of transcripts that share a k-mer, as an index of kallisto has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .transcripts import BASES

# Runs of A at the end of a transcript are not in the index if they are at least so long.
_POLY_A = 10
_OTHER = len(BASES)
_NUMBERS = np.full(256, _OTHER, np.uint8)
_NUMBERS[list(BASES)] = range(len(BASES))


def kmer_sets(sequences: Sequence[bytes], k: int) -> tuple[list[np.ndarray], list[tuple[int, ...]]]:
    """Find the transcripts that hold each k-mer, on either strand.

    As in kallisto, tails of ten or more A are left out of the index, and k-mers with other letters
    than ACGT are unknown.

    Parameters
    ----------
    sequences
        Sequences of the transcripts, in capitals.
    k
        Length of the k-mers (bases), at most 31.

    Returns
    -------
    of_positions
        For each transcript the set at each position where a k-mer begins, shape (positions,),
        int64; -1 where the k-mer is unknown.
    sets
        Transcripts in each set, ascending.
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    # The separator of the sequences is no base, so that no k-mer crosses it.
    numbers = _NUMBERS[np.frombuffer(b" ".join(sequences) + b" " * k, np.uint8)]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths + 1)])
    transcript = np.repeat(np.arange(len(sequences)), lengths + 1)
    num_positions = len(transcript)
    unreadable = np.concatenate([np.zeros(1, np.int64), np.cumsum(numbers == _OTHER)])
    readable = unreadable[k : num_positions + k] == unreadable[:num_positions]
    kmers = np.full(num_positions, -1)
    codes = _codes(numbers, k)[:num_positions]
    distinct, kmers[readable] = np.unique(codes[readable], return_inverse=True)
    indexed = np.array([_indexed_length(sequence) for sequence in sequences])
    position = np.arange(num_positions) - starts[transcript]
    indexed = readable & (position + k <= indexed[transcript])
    of_kmers, sets = _group(kmers[indexed], transcript[indexed], len(distinct), len(sequences))
    found = np.append(of_kmers, -1)[kmers]
    return [
        found[start : start + max(0, length - k + 1)]
        for start, length in zip(starts, lengths, strict=False)
    ], sets


def _indexed_length(sequence: bytes) -> int:
    """Bases of a transcript that are indexed."""
    is_tailed = sequence.endswith(b"A" * _POLY_A)
    return len(sequence.rstrip(b"A")) if is_tailed else len(sequence)


def _codes(numbers: np.ndarray, k: int) -> np.ndarray:
    """Give the k-mer that begins at each position a number, the same for both strands."""
    numbers = numbers.astype(np.uint64)
    forward = backward = np.zeros_like(numbers)
    one, complement = numbers, np.uint64(len(BASES) - 1) - numbers
    # A k-mer is put together from pieces of 1, 2, 4, ... bases, the binary digits of k.
    size, piece = 0, 1
    while True:
        if k & piece:
            forward = forward << np.uint64(2 * piece) | _shifted(one, size)
            backward = _shifted(complement, size) << np.uint64(2 * size) | backward
            size += piece
        if size == k:
            return np.minimum(forward, backward)
        one = one << np.uint64(2 * piece) | _shifted(one, piece)
        complement = _shifted(complement, piece) << np.uint64(2 * piece) | complement
        piece *= 2


def _shifted(values: np.ndarray, places: int) -> np.ndarray:
    """Values that are so many places further on; zero beyond the end."""
    return np.concatenate([values[places:], np.zeros(places, values.dtype)])


def _group(
    kmers: np.ndarray, transcripts: np.ndarray, num_kmers: int, num_transcripts: int
) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Give the sets of transcripts of k-mers a number.

    Parameters
    ----------
    kmers, transcripts
        A k-mer and a transcript that holds it, shape (pairs,).
    num_kmers, num_transcripts
        Number of each.

    Returns
    -------
    of_kmers
        Number of the set of each k-mer, shape (num_kmers,), int64; -1 where it is in no pair.
    sets
        Transcripts in each set, ascending.
    """
    pairs = np.sort(kmers * num_transcripts + transcripts)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    kmers, members = np.divmod(pairs, num_transcripts)
    starts = np.flatnonzero(np.diff(kmers, prepend=-1))
    sizes = np.diff(starts, append=len(kmers))
    # Sets are distinguished member by member: a number stands for the members so far.
    numbers = np.zeros(len(starts), np.int64)
    num_sets = 1
    for rank in range(sizes.max(initial=0)):
        longer = np.flatnonzero(sizes > rank)
        keys = numbers[longer] * num_transcripts + members[starts[longer] + rank]
        _, numbers[longer] = np.unique(keys, return_inverse=True)
        numbers[longer] += num_sets
        num_sets = numbers[longer].max() + 1
    _, examples, numbers = np.unique(numbers, return_index=True, return_inverse=True)
    of_kmers = np.full(num_kmers, -1)
    of_kmers[kmers[starts]] = numbers
    return of_kmers, [
        tuple(members[start : start + size].tolist())
        for start, size in zip(starts[examples], sizes[examples], strict=True)
    ]
