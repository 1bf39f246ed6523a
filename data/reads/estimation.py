"""Counts of isoforms from the counts of classes of reads, and bootstraps of them.

The algorithm follows kallisto (``EMAlgorithm.h`` of pachterlab/kallisto; Bray et al. 2016,
Near-optimal probabilistic RNA-seq quantification) to the last round: initial values, stopping rule
and small values set to zero. These choices show in the estimates, as kallisto stops before the
optimum.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from ..compiled_functions import njit
from .classes import ClassCounts

# A problem has settled when, after so many rounds, no isoform changes by more than this share;
# isoforms of fewer reads than the limit are ignored.
_LEAST_ROUNDS, _MOST_ROUNDS = 50, 10_000
_CHANGE, _CHANGE_LIMIT = 1e-2, 1e-2
# Then isoforms of fewer reads are set to zero, and one more round follows.
_ZERO = 1e-8


class Estimates(NamedTuple):
    """Result of expectation maximisation.

    Attributes
    ----------
    counts
        Reads of each isoform, shape (problems, isoforms), float64.
    rounds
        Number of rounds as kallisto counts them, from 0, shape (problems,), int64.
    """

    counts: np.ndarray
    rounds: np.ndarray


def estimate_counts(
    starts: np.ndarray,
    members: np.ndarray,
    weights: np.ndarray,
    class_counts: np.ndarray,
    num_isoforms: int,
) -> Estimates:
    """Estimate the counts of isoforms, for several problems: cells, or a cell and bootstraps.

    Parameters
    ----------
    starts, members, weights
        Isoforms of classes, as in :class:`~.classes.ReadClasses`.
    class_counts
        Reads of each class, shape (problems, classes).
    num_isoforms
        Number of isoforms.
    """
    isoforms, local = np.unique(members, return_inverse=True)
    found = np.empty((len(class_counts), len(isoforms)))
    counts = np.ascontiguousarray(class_counts, np.float64)
    rounds = _maximise(starts, local, weights, counts, 1 / num_isoforms, _MOST_ROUNDS, found)
    estimates = np.zeros((len(class_counts), num_isoforms))
    estimates[:, isoforms] = found
    return Estimates(estimates, rounds)


def resample(
    class_counts: np.ndarray, num_bootstraps: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw bootstraps of a cell: as many reads again, from the classes of its reads.

    So does kallisto (``Bootstrap.cpp``).

    Parameters
    ----------
    class_counts
        Reads of each class, shape (classes,), int64.
    num_bootstraps
        Number of bootstraps.
    generator
        Source of the random numbers.

    Returns
    -------
    numpy.ndarray
        Reads of each class, shape (bootstraps, classes), int64.
    """
    total = int(class_counts.sum())
    return generator.multinomial(total, class_counts / total, num_bootstraps)


def estimate_with_bootstraps(
    classes: ClassCounts,
    position: int,
    num_isoforms: int,
    num_bootstraps: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Estimate the counts of a cell and of bootstraps of it.

    Parameters
    ----------
    classes
        Reads of all cells.
    position
        Position of the cell, which has reads.
    num_isoforms
        Number of isoforms.
    num_bootstraps
        Number of bootstraps to draw.
    generator
        Source of the random numbers.

    Returns
    -------
    numpy.ndarray
        Reads of each isoform, first of the cell, shape (1 + bootstraps, isoforms), float32.
    """
    reads, starts, members, weights = classes.of_cell(position)
    problems = np.stack([reads, *resample(reads, num_bootstraps, generator)])
    return estimate_counts(starts, members, weights, problems, num_isoforms).counts.astype(
        np.float32
    )


def generator_of_cell(name: str, *seeds: int) -> np.random.Generator:
    """Make a source of random numbers that are a cell's own, wherever it stands."""
    return np.random.default_rng([*seeds, zlib.crc32(name.encode())])


@njit(nogil=True, cache=True)
def _maximise(starts, members, weights, counts, start, most_rounds, estimates):
    """Write the estimates of problems, shape (problems, isoforms), and give their rounds."""
    num_isoforms = estimates.shape[1]
    rounds = np.full(len(counts), most_rounds)
    singles, before, after = np.empty(num_isoforms), np.empty(num_isoforms), np.empty(num_isoforms)
    shared = np.empty(len(starts) - 1, np.int64)
    for problem in range(len(counts)):
        singles[:] = 0.0
        after[:] = start
        num_shared = 0
        for c in range(len(starts) - 1):
            if counts[problem, c] == 0:
                continue
            if starts[c + 1] - starts[c] == 1:
                singles[members[starts[c]]] += counts[problem, c]
            else:
                shared[num_shared] = c
                num_shared += 1
        settled = False
        for number in range(most_rounds):
            before[:] = after
            after[:] = singles
            for k in range(num_shared):
                c = shared[k]
                expected = 0.0
                for entry in range(starts[c], starts[c + 1]):
                    expected += before[members[entry]] * weights[entry]
                if expected > 0:
                    share = counts[problem, c] / expected
                    for entry in range(starts[c], starts[c + 1]):
                        after[members[entry]] += share * before[members[entry]] * weights[entry]
            if settled:
                rounds[problem] = number
                break
            if number > _LEAST_ROUNDS:
                settled = _has_settled(before, after)
                if settled:
                    for i in range(num_isoforms):
                        after[i] = after[i] if after[i] >= _ZERO else 0.0
        estimates[problem] = after
    return rounds


@njit(nogil=True, cache=True)
def _has_settled(before, after):
    for i in range(len(before)):
        change = abs(after[i] - before[i])
        if after[i] > _CHANGE_LIMIT and change > _CHANGE * after[i]:
            return False
    return True
