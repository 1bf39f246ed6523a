"""Fragments one by one: their reads, their classes found k-mer by k-mer, and FASTQ for kallisto."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from exvae.data.reads.class_probabilities import FragmentModel

_COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")

Index = dict[bytes, frozenset[int]]


def reverse_complement(sequence: bytes) -> bytes:
    return sequence[::-1].translate(_COMPLEMENT)


def kmer_index(sequences: Sequence[bytes], k: int) -> Index:
    """Transcripts with each k-mer, on either strand, tails of ten or more A left out."""
    found: dict[bytes, set[int]] = {}
    for number, sequence in enumerate(sequences):
        tailless = sequence.rstrip(b"A") if sequence.endswith(b"A" * 10) else sequence
        for start in range(len(tailless) - k + 1):
            kmer = tailless[start : start + k]
            if set(kmer) <= set(b"ACGT"):
                for strand in (kmer, reverse_complement(kmer)):
                    found.setdefault(strand, set()).add(number)
    return {kmer: frozenset(numbers) for kmer, numbers in found.items()}


def classify(first: bytes, second: bytes, index: Index, k: int) -> frozenset[int]:
    """Transcripts that both reads fit; empty if there is none."""
    fits = []
    for read in (first, second):
        kmers = [read[start : start + k] for start in range(len(read) - k + 1)]
        known = [index[kmer] for kmer in kmers if kmer in index]
        if known:
            fits.append(frozenset.intersection(*known))
    return frozenset.intersection(*fits) if fits else frozenset()


def reads_of(fragment: bytes, read_length: int) -> tuple[bytes, bytes]:
    return fragment[:read_length], reverse_complement(fragment)[:read_length]


def draw_reads(
    sequences: Sequence[bytes],
    counts: np.ndarray,
    model: FragmentModel,
    generator: np.random.Generator,
) -> Iterator[tuple[bytes, bytes]]:
    """Draw so many fragments of each transcript and yield their reads."""
    for sequence, count in zip(sequences, counts, strict=True):
        lengths, weights = model.lengths(len(sequence))
        for length in generator.choice(lengths, count, p=weights):
            start = generator.integers(len(sequence) - length + 1)
            yield reads_of(sequence[start : start + length], model.read_length)


def write_fastq(reads: Sequence[tuple[bytes, bytes]], folder: Path) -> list[Path]:
    """Write both reads of each fragment; which of them comes first varies."""
    paths = [folder / "1.fastq", folder / "2.fastq"]
    with paths[0].open("wb") as one, paths[1].open("wb") as two:
        for number, pair in enumerate(reads):
            for file, read in zip((one, two), pair[:: 1 if number % 2 else -1], strict=True):
                file.write(b"@%d\n%s\n+\n%s\n" % (number, read, b"I" * len(read)))
    return paths
