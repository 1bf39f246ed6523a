"""Equivalence classes of fragments: sets of isoforms that a fragment may come from.

A fragment is read from both ends. A read fits the isoforms that hold all of its known k-mers, and a
fragment the isoforms that both reads fit, as in kallisto (Bray et al. 2016, Near-optimal
probabilistic RNA-seq quantification). Without sequencing errors the class of a fragment follows
from its two ends, so that the probability of each class is computed and no read need be drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from .estimation import Estimates, estimate_counts
from .kmers import kmer_sets

# Fragments farther from the mean than so many standard deviations are left out.
_DEVIATIONS = 5
# Of a read: no k-mer is known; the known ones have no isoform in common.
_UNKNOWN, _NONE = -1, -2


class FragmentModel(NamedTuple):
    """Model of fragments and reads.

    Attributes
    ----------
    mean, sd
        Mean and standard deviation of the length of a fragment (bases), normal, truncated to at
        least ``read_length`` and at most the transcript.
    read_length
        Bases that are read from each end.
    k
        Length of the k-mers by which reads are matched (bases), at most 31.
    """

    mean: float = 220.0
    sd: float = 30.0
    read_length: int = 75
    k: int = 31

    def lengths(self, longest: int) -> tuple[np.ndarray, np.ndarray]:
        """Lengths of fragments of a transcript of ``longest`` bases, and their probabilities.

        Both have shape (lengths,). A transcript shorter than all fragments is one as a whole.
        """
        reach = _DEVIATIONS * self.sd
        least = min(longest, max(self.read_length, round(self.mean - reach)))
        lengths = np.arange(least, max(least, min(longest, round(self.mean + reach))) + 1)
        # Relative to the most probable one, lest all become zero far from the mean.
        exponents = -0.5 * ((lengths - self.mean) / self.sd) ** 2
        weights = np.exp(exponents - exponents.max())
        return lengths, weights / weights.sum()


@dataclass(frozen=True, eq=False)
class EquivalenceClasses:
    """Classes, and how fragments fall into them.

    Attributes
    ----------
    members
        Ones where an isoform belongs to a class, shape (classes, isoforms), float64. The i-th class
        holds isoform i alone.
    probabilities
        Probability of each class for a fragment of an isoform, shape (isoforms, classes), float64.
        A row sums to less than one where fragments fit no isoform.
    effective_lengths
        Number of starts of a fragment of mean length (bases), shape (isoforms,), float64.
    """

    members: csr_matrix
    probabilities: csr_matrix
    effective_lengths: np.ndarray

    def draw(self, fragments: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw the classes of fragments.

        Parameters
        ----------
        fragments
            Number of fragments of each isoform, shape (cells, isoforms), int64.
        generator
            Source of the random numbers.

        Returns
        -------
        numpy.ndarray
            Number of fragments in each class, shape (cells, classes), int64.
        """
        num_isoforms, num_classes = self.probabilities.shape
        drawn = np.zeros((len(fragments), num_classes), np.int64)
        for isoform in range(num_isoforms):
            row = self.probabilities[isoform]
            lost = max(0.0, 1.0 - row.data.sum())
            shares = np.append(row.data, lost)
            counts = generator.multinomial(fragments[:, isoform], shares / shares.sum())
            drawn[:, row.indices] += counts[:, :-1]
        return drawn

    def estimate(self, class_counts: np.ndarray) -> Estimates:
        """Estimate the counts of isoforms (reads) as kallisto does.

        Parameters
        ----------
        class_counts
            Reads of each class, shape (problems, classes).
        """
        members = self.members
        weights = 1 / self.effective_lengths[members.indices]
        own = (members.indptr, members.indices, weights)
        return estimate_counts(*own, class_counts, members.shape[1])


def build_classes(sequences: Sequence[bytes], model: FragmentModel) -> EquivalenceClasses:
    """Build the classes of fragments of transcripts with these sequences, in capitals.

    Raises
    ------
    ValueError
        If the model of fragments makes no sense.
    """
    if not (1 <= model.k <= min(31, model.read_length) and 0 < model.sd < model.mean):
        raise ValueError(
            f"{model} needs k of at most 31 and at most read_length, and sd between 0 and mean"
        )
    of_positions, sets = kmer_sets(sequences, model.k)
    known = _Sets(len(sequences), sets)
    effective_lengths = np.empty(len(sequences))
    entries: list[tuple[int, int, float]] = []
    for isoform, (sequence, positions) in enumerate(zip(sequences, of_positions, strict=True)):
        size = len(sequence)
        lengths, weights = model.lengths(size)
        effective_lengths[isoform] = size - lengths @ weights + 1
        if len(positions) == 0:
            continue  # it is shorter than a k-mer
        read_length = min(size, model.read_length)
        reads = known.of_reads(positions, read_length - model.k + 1)
        # A fragment begins with the same probability wherever it has room.
        of_starts = weights / (size - lengths + 1)
        for first, second, probability in _pairs(reads, lengths - read_length, of_starts):
            number = known.of_pair(first, second)
            if number >= 0:
                entries.append((isoform, number, probability))
    return _assembled(known.members, entries, effective_lengths)


def _pairs(
    reads: np.ndarray, distances: np.ndarray, weights: np.ndarray
) -> Iterator[tuple[int, int, float]]:
    """Yield the sets of the two reads of a fragment, in pairs, with their probability.

    Parameters
    ----------
    reads
        Set of the read at each position, shape (positions,).
    distances
        Distances from the first read to the second (bases), ascending without gaps.
    weights
        Probability of each distance at each position where it has room, shape (distances,).
    """
    distinct, inverse = np.unique(reads, return_inverse=True)
    indicators = np.eye(len(distinct))[inverse]
    kernel = np.zeros(distances[-1] + 1)
    kernel[distances] = weights
    # Probability of each set for the second read, at each position of the first.
    second = [np.convolve(column, kernel[::-1])[len(kernel) - 1 :] for column in indicators.T]
    joint = indicators.T @ np.stack(second, 1)
    for row, column in np.argwhere(joint > 0):
        yield int(distinct[row]), int(distinct[column]), joint[row, column]


def _assembled(
    sets: Sequence[frozenset[int]],
    entries: Sequence[tuple[int, int, float]],
    effective_lengths: np.ndarray,
) -> EquivalenceClasses:
    """Assemble the classes from the sets that fragments fit."""
    num_isoforms = len(effective_lengths)
    isoforms, numbers, values = np.array(entries).reshape(-1, 3).T
    isoforms, numbers = isoforms.astype(np.int64), numbers.astype(np.int64)
    kept = np.union1d(np.arange(num_isoforms), numbers)
    members = [sorted(sets[number]) for number in kept]
    indptr = np.cumsum([0, *map(len, members)])
    indices = np.concatenate(members)
    columns = np.searchsorted(kept, numbers)
    return EquivalenceClasses(
        csr_matrix((np.ones(len(indices)), indices, indptr), (len(kept), num_isoforms)),
        csr_matrix((values, (isoforms, columns)), (num_isoforms, len(kept))),
        effective_lengths,
    )


class _Sets:
    """Numbered sets of isoforms; sets of one isoform come first."""

    def __init__(self, num_isoforms: int, of_kmers: Sequence[tuple[int, ...]]) -> None:
        self.members = [frozenset([isoform]) for isoform in range(num_isoforms)]
        self._numbers = {each: number for number, each in enumerate(self.members)}
        numbers = [self._number(frozenset(each)) for each in of_kmers]
        self._of_kmers = np.array([*numbers, _UNKNOWN])  # found at -1

    def _number(self, isoforms: frozenset[int]) -> int:
        if not isoforms:
            return _NONE
        number = self._numbers.setdefault(isoforms, len(self.members))
        if number == len(self.members):
            self.members.append(isoforms)
        return number

    def _common(self, numbers: set[int]) -> int:
        """Find the number of the intersection of these sets."""
        numbers = numbers - {_UNKNOWN}
        if not numbers:
            return _UNKNOWN
        if _NONE in numbers:
            return _NONE
        return self._number(frozenset.intersection(*(self.members[number] for number in numbers)))

    def of_reads(self, kmers: np.ndarray, num_kmers: int) -> np.ndarray:
        """Find the set that each read of a transcript fits.

        Parameters
        ----------
        kmers
            Set of the k-mer at each position of the transcript as `kmer_sets` numbers them, shape
            (positions,).
        num_kmers
            Number of k-mers of a read.

        Returns
        -------
        numpy.ndarray
            Number of the set of the read that begins at each position, shape (reads,).
        """
        # Sets change at few positions, and many reads see the same runs.
        changes = np.flatnonzero(np.diff(kmers, prepend=kmers[0] - 1))
        runs = np.searchsorted(changes, np.arange(len(kmers)), side="right") - 1
        of_runs = self._of_kmers[kmers[changes]]
        first, last = runs[: len(runs) - num_kmers + 1], runs[num_kmers - 1 :]
        spans, inverse = np.unique(first * len(changes) + last, return_inverse=True)
        common = [
            self._common(set(of_runs[begin : end + 1].tolist()))
            for begin, end in zip(*np.divmod(spans, len(changes)), strict=True)
        ]
        return np.array(common)[inverse]

    def of_pair(self, first: int, second: int) -> int:
        """Find the set that a fragment fits whose reads fit these; negative if it fits none."""
        return self._common({first, second})
