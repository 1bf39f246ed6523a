"""A simulator of genes: exons, isoforms that share them, and their sequences."""

from __future__ import annotations

import itertools

import numpy as np

from ..reads.transcripts import BASES, Transcripts

# With these numbers isoforms share as much sequence as the 879 transcripts of RefSeq on human
# chromosome 22: the number of equivalence classes and the share of unambiguous fragments agree.
ISOFORMS_PER_GENE = 1.73
_MEAN_EXONS = 8.0
# Median and standard deviation of the logarithm of the length of exons (bases): inner ones, and the
# last one, mostly untranslated.
_INNER_EXON, _LAST_EXON = (140.0, 0.5), (900.0, 0.7)
_SHORTEST_EXON = 30
# Probability that an isoform other than the longest keeps an exon.
_INCLUSION = 0.8


def draw_transcripts(
    num_isoforms: int,
    generator: np.random.Generator,
    *,
    isoforms_per_gene: float = ISOFORMS_PER_GENE,
) -> Transcripts:
    """Draw genes whose isoforms are different subsets of their exons, in order.

    The first isoform of a gene has every exon; another has each with the same probability, and
    always the last. Bases are drawn evenly, so that genes share no sequence.

    Parameters
    ----------
    num_isoforms
        Number of isoforms of all genes.
    generator
        Source of the random numbers.
    isoforms_per_gene
        Mean number of isoforms of a gene, at least 1; the number is geometric.
    """
    names, genes, sequences = [], [], []
    for gene in itertools.count():
        wanted = min(generator.geometric(1 / isoforms_per_gene), num_isoforms - len(names))
        if wanted == 0:
            break
        # Enough exons for so many different subsets.
        exons = _draw_exons(max(wanted, 1 + generator.poisson(_MEAN_EXONS - 1)), generator)
        for number, kept in enumerate(_draw_subsets(len(exons), wanted, generator), start=1):
            names.append(f"gene_{gene}_isoform_{number}")
            genes.append(f"gene_{gene}")
            sequences.append(b"".join(exons[exon] for exon in kept))
    return Transcripts(np.array(names), np.array(genes), tuple(sequences))


def _draw_exons(num_exons: int, generator: np.random.Generator) -> list[bytes]:
    exons = []
    for number in range(num_exons):
        median, spread = _LAST_EXON if number == num_exons - 1 else _INNER_EXON
        length = round(median * np.exp(spread * generator.standard_normal()))
        bases = generator.integers(len(BASES), size=max(_SHORTEST_EXON, length))
        exons.append(np.frombuffer(BASES, np.uint8)[bases].tobytes())
    return exons


def _draw_subsets(
    num_exons: int, num_subsets: int, generator: np.random.Generator
) -> list[tuple[int, ...]]:
    """Draw different subsets of exons, all exons first."""
    subsets = {tuple(range(num_exons)): None}
    while len(subsets) < num_subsets:
        kept = generator.random(num_exons) < _INCLUSION
        kept[-1] = True
        subsets[tuple(np.flatnonzero(kept).tolist())] = None
    return list(subsets)
