"""Simulated genes: what isoforms share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exvae.data.reads.class_probabilities import (
    EquivalenceClasses,
    FragmentModel,
    build_classes,
)
from exvae.data.reads.transcripts import read_transcripts
from exvae.data.simulators.gene_structures import draw_transcripts


def is_subsequence(part: bytes, whole: bytes) -> bool:
    position = -1
    return all((position := whole.find(base, position + 1)) >= 0 for base in part)


def test_isoforms_are_distinct_subsets_of_the_first() -> None:
    transcripts = draw_transcripts(400, np.random.default_rng(0), isoforms_per_gene=3.0)
    assert len(transcripts.names) == len(set(transcripts.names)) == 400
    assert len(set(transcripts.sequences)) == 400
    genes, starts, sizes = np.unique(transcripts.genes, return_index=True, return_counts=True)
    assert abs(sizes.mean() - 3.0) < 4 * np.sqrt(6.0 / len(genes))  # of a geometric number
    for start, size in zip(starts, sizes, strict=True):
        first, *others = transcripts.sequences[start : start + size]
        tail = first[-30:]
        assert all(len(other) < len(first) and other.endswith(tail) for other in others)
        assert all(is_subsequence(other, first) for other in others)
    for base in b"ACGT":
        share = sum(sequence.count(base) for sequence in transcripts.sequences)
        assert abs(share / transcripts.lengths.sum() - 0.25) < 0.01


def test_the_same_seed_gives_the_same_transcripts() -> None:
    one, other = (draw_transcripts(20, np.random.default_rng(4)) for _ in range(2))
    assert one.sequences == other.sequences
    assert draw_transcripts(20, np.random.default_rng(5)).sequences != one.sequences


def ambiguity(classes: EquivalenceClasses, genes: np.ndarray) -> np.ndarray:
    """Classes for each isoform, and quantiles of the share of fragments that fit one alone."""
    num_isoforms = len(genes)
    alone = np.asarray(classes.probabilities[:, :num_isoforms].sum(1)).ravel()
    _, inverse, sizes = np.unique(genes, return_inverse=True, return_counts=True)
    own = alone[sizes[inverse] > 1]
    size = classes.members.shape[0] / num_isoforms
    members = classes.members.nnz / num_isoforms
    return np.array([size, members, np.mean(sizes == 1), *np.quantile(own, [0.25, 0.5, 0.75, 0.9])])


def test_isoforms_share_as_much_as_those_of_chromosome_22(shared_data: Path) -> None:
    folder = shared_data / "cells_kallisto"
    real, _ = read_transcripts(folder / "transcripts.fa", folder / "t2g.tsv")
    expected = ambiguity(build_classes(real.sequences, FragmentModel()), real.genes)
    found = []
    for seed in range(6):
        drawn = draw_transcripts(300, np.random.default_rng(seed))
        found.append(ambiguity(build_classes(drawn.sequences, FragmentModel()), drawn.genes))
    # Three simulated sets have about as many isoforms as the real one.
    spread = np.std(found, axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_array_less(np.abs(np.mean(found, 0) - expected), 6 * spread + 0.02)
