"""Weights of classes from the sequences of transcripts.

kallisto weighs the isoforms of a class by the inverse of their effective length, as if a fragment
of any of them fell into the class equally often for each place where it may start. But two isoforms
that differ by an exon between the ends of a fragment share the class, and the fragment is likely of
one and unlikely of the other, which would make it much longer. That error is the same in every
cell. The probability of a class given an isoform follows from the sequences, the lengths of
fragments and the length of reads (:mod:`~.class_probabilities`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import DataError
from .class_probabilities import EquivalenceClasses, FragmentModel, build_classes
from .classes import ReadClasses
from .transcripts import read_transcripts

# Least weight of an isoform in a class, relative to the largest one there, for reads that the model
# of fragments does not foresee.
_LEAST = 1e-3
# Share of the reads in classes that the sequences do not explain, above which they are the wrong
# ones.
_MOST_UNEXPLAINED = 0.5


def weigh_by_sequences(
    classes: ReadClasses, transcripts: Path, fragments: FragmentModel
) -> tuple[ReadClasses, tuple[str, ...]]:
    """Weigh the isoforms of each class by its probability given the isoform.

    Parameters
    ----------
    classes
        Classes of paired reads of both ends of fragments.
    transcripts
        FASTA of the transcripts that were indexed.
    fragments
        Lengths of fragments and reads.

    Returns
    -------
    classes
        The same with other weights; classes of none of the isoforms keep theirs.
    notes
        Remarks for the user, one line each.

    Raises
    ------
    DataError
        If the file cannot be read, lacks an isoform, or does not explain most of the reads.
    """
    found, _ = read_transcripts(transcripts, None)
    places = {name: place for place, name in enumerate(found.names.tolist())}
    missing = [name for name in classes.isoforms.tolist() if name not in places]
    if missing:
        raise DataError(
            f"{transcripts}: lacks {len(missing)} of {len(classes.isoforms)} isoforms, the first "
            f"{missing[0]}; give the transcripts that were indexed"
        )
    try:
        built = build_classes(
            [found.sequences[places[name]] for name in classes.isoforms.tolist()], fragments
        )
    except ValueError as error:
        raise DataError(f"{transcripts}: {error}") from error
    numbers = _matched(classes, built)
    reads = np.asarray(classes.counts.sum(0)).ravel()
    unexplained = reads[numbers < 0].sum() / max(reads.sum(), 1)
    if unexplained > _MOST_UNEXPLAINED:
        raise DataError(
            f"{transcripts}: {unexplained:.0%} of the reads are in classes that no fragment of "
            f"{fragments.mean:.0f} bases with reads of {fragments.read_length} falls into; give "
            "the transcripts that were indexed, and --read-length"
        )
    note = (
        f"weights of classes follow from the sequences, for fragments of {fragments.mean:.0f} "
        f"(sd {fragments.sd:.0f}) bases read from both ends, {fragments.read_length} bases each; "
        f"{unexplained:.2%} of the reads are in classes of none of these"
    )
    known = np.repeat(numbers >= 0, classes.num_members)
    weights = weights_of(built, classes.starts, classes.members, np.maximum(numbers, 0))
    weights = np.where(known & (weights > 0), weights, classes.weights)
    return replace(classes, weights=weights), (note,)


def _matched(classes: ReadClasses, built: EquivalenceClasses) -> np.ndarray:
    """Find each class among those of the sequences, -1 for none, shape (classes,)."""
    known = {
        tuple(members): number
        for number, members in enumerate(_split(built.members.indptr, built.members.indices))
    }
    own = _split(classes.starts, classes.members)
    return np.array([known.get(tuple(members), -1) for members in own])


def _split(starts: np.ndarray, members: np.ndarray) -> list[list[int]]:
    return [part.tolist() for part in np.split(members, starts[1:-1])]


def weights_of(
    built: EquivalenceClasses, starts: np.ndarray, members: np.ndarray, numbers: np.ndarray
) -> np.ndarray:
    """Look up the probability of classes given each of their isoforms.

    Parameters
    ----------
    built
        Classes and their probabilities.
    starts, members
        Isoforms of the classes, as in :class:`~.classes.ClassCounts`.
    numbers
        Position of each class among those built, shape (classes,).

    Returns
    -------
    numpy.ndarray
        Shape (entries,), float64; zero only in classes that no isoform gives.
    """
    number = np.repeat(numbers, np.diff(starts))
    weights = np.asarray(built.probabilities[members, number]).ravel()
    largest = np.repeat(np.maximum.reduceat(weights, starts[:-1]), np.diff(starts))
    return np.maximum(weights, _LEAST * largest)
