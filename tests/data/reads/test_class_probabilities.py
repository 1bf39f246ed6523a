"""Equivalence classes, against every fragment of small transcripts."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from exvae.data.reads.class_probabilities import (
    EquivalenceClasses,
    FragmentModel,
    build_classes,
)
from exvae.data.simulators.gene_structures import draw_transcripts

from .sequencing import classify, kmer_index, reads_of, reverse_complement

MODEL = FragmentModel(mean=60.0, sd=8.0, read_length=25, k=11)


def by_members(classes: EquivalenceClasses) -> list[dict[frozenset[int], float]]:
    """Probabilities of the classes for each isoform, by the isoforms of the class."""
    bounds = zip(classes.members.indptr, classes.members.indptr[1:], strict=False)
    sets = [frozenset(classes.members.indices[start:end].tolist()) for start, end in bounds]
    assert len(set(sets)) == len(sets)
    rows = (row.tocoo() for row in classes.probabilities)
    return [
        {sets[column]: value for column, value in zip(row.col, row.data, strict=True)}
        for row in rows
    ]


def every_fragment(sequences: list[bytes], model: FragmentModel) -> list[dict[frozenset, float]]:
    """Find the same probabilities by going through all fragments."""
    index = kmer_index(sequences, model.k)
    found = []
    for sequence in sequences:
        probabilities: dict[frozenset, float] = defaultdict(float)
        for length, weight in zip(*model.lengths(len(sequence)), strict=True):
            starts = range(len(sequence) - length + 1)
            for start in starts:
                reads = reads_of(sequence[start : start + length], model.read_length)
                members = classify(*reads, index, model.k)
                if members:
                    probabilities[members] += weight / len(starts)
        found.append(dict(probabilities))
    return found


def bases(length: int, seed: int) -> bytes:
    return bytes(np.random.default_rng(seed).choice(list(b"ACGT"), length).tolist())


def assert_same(sequences: list[bytes]) -> list[dict[frozenset[int], float]]:
    found = by_members(build_classes(sequences, MODEL))
    expected = every_fragment(sequences, MODEL)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
    return found


def test_isoforms_that_share_exons() -> None:
    first, second, third, last = (bases(length, length) for length in (70, 33, 51, 90))
    found = assert_same(
        [
            first + second + third + last,
            first + third + last,
            first + second + last,
            # a gene on the other strand that holds an exon of the first
            bases(50, 1) + reverse_complement(third) + bases(60, 2),
        ]
    )
    assert frozenset([0, 1, 2]) in found[0]
    assert frozenset([0, 1, 3]) in found[3]
    assert sum(found[0].values()) == pytest.approx(1.0)


def test_fragments_that_fit_nothing() -> None:
    body, middle = bases(120, 3), bases(40, 4)
    found = assert_same(
        [
            body + b"A" * 40,  # some fragments have a read in the tail
            # the tail's k-mers are known from the middle of another, where they do not fit
            middle + b"A" * 12 + bases(70, 5),
            bases(60, 6) + b"N" * 30 + bases(60, 7),
            bases(MODEL.k - 1, 8),  # shorter than a k-mer
            bases(MODEL.read_length - 5, 9),  # shorter than a read
            bases(MODEL.read_length + 5, 10),  # shorter than most fragments
        ]
    )
    assert 0.3 < sum(found[0].values()) < 0.9
    assert found[3] == {}
    assert found[4] == {frozenset([4]): pytest.approx(1.0)}
    assert sum(found[5].values()) == pytest.approx(1.0)


def test_identical_transcripts_have_no_class_of_their_own() -> None:
    sequence = bases(150, 11)
    found = assert_same([sequence, sequence])
    assert [set(each) for each in found] == [{frozenset([0, 1])}] * 2


def test_nothing_but_fragments_that_fit_nothing() -> None:
    classes = build_classes([b"ACG", b"A" * 100], MODEL)
    assert classes.members.toarray().tolist() == [[1, 0], [0, 1]]
    assert classes.probabilities.nnz == 0


def test_lengths_of_fragments() -> None:
    lengths, weights = FragmentModel().lengths(2000)
    assert lengths @ weights == pytest.approx(220.0)
    assert np.sqrt((lengths - 220.0) ** 2 @ weights) == pytest.approx(30.0, rel=1e-3)
    assert lengths.min() >= 75
    # A transcript of 200 bases cuts the distribution off; one of 60 is a fragment as a whole.
    lengths, weights = FragmentModel().lengths(200)
    assert lengths.max() == 200
    assert weights.sum() == pytest.approx(1.0)
    lengths, weights = FragmentModel().lengths(60)
    assert (lengths.tolist(), weights.tolist()) == ([60], [1.0])


def test_effective_lengths() -> None:
    sequences = [bases(length, length) for length in (1565, 200, 60)]
    found = build_classes(sequences, FragmentModel()).effective_lengths
    lengths, weights = FragmentModel().lengths(200)
    np.testing.assert_allclose(found, [1565 - 220 + 1, 200 - lengths @ weights + 1, 1], rtol=1e-6)


def test_draws_have_the_probabilities_of_the_classes() -> None:
    generator = np.random.default_rng(0)
    transcripts = draw_transcripts(30, generator)
    classes = build_classes(transcripts.sequences, FragmentModel())
    fragments = generator.integers(0, 50, (400, 30))
    drawn = classes.draw(fragments, generator)
    np.testing.assert_array_equal(drawn.sum(1), fragments.sum(1))
    expected = fragments.sum(0) @ classes.probabilities
    # Variances are at most those of Poisson counts.
    z_scores = (drawn.sum(0) - expected) / np.sqrt(np.maximum(expected, 1.0))
    assert np.abs(z_scores).max() < 5
    assert classes.draw(np.zeros((1, 30), int), generator).sum() == 0


@pytest.mark.parametrize(
    "model",
    [
        FragmentModel(k=32),
        FragmentModel(read_length=30),
        FragmentModel(sd=0.0),
        FragmentModel(mean=20.0),
    ],
)
def test_models_that_make_no_sense(model: FragmentModel) -> None:
    with pytest.raises(ValueError, match="at most 31"):
        build_classes([b"ACGT"], model)
