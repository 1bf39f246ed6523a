"""Transcripts and their sequences, read from a FASTA file."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from ..quantified.genes import genes_or_own

BASES = b"ACGT"


class Transcripts(NamedTuple):
    """Transcripts, the isoforms of genes.

    Attributes
    ----------
    names
        Distinct names, shape (isoforms,), strings.
    genes
        Gene of each isoform, shape (isoforms,), strings.
    sequences
        Sequence of each isoform (bases): capitals, ACGT; anything else is an unknown base.
    """

    names: np.ndarray
    genes: np.ndarray
    sequences: tuple[bytes, ...]

    @property
    def lengths(self) -> np.ndarray:
        """Lengths of the isoforms (bases), shape (isoforms,), int32."""
        return np.array([len(sequence) for sequence in self.sequences], np.int32)

    @property
    def gene_lengths(self) -> np.ndarray:
        """Mean length of the isoforms of each gene, by name, shape (genes,), float64 (bases)."""
        _, genes, isoforms = np.unique(self.genes, return_inverse=True, return_counts=True)
        return np.bincount(genes, self.lengths) / isoforms


def read_transcripts(path: Path, t2g: Path | None) -> tuple[Transcripts, tuple[str, ...]]:
    """Read transcripts.

    Parameters
    ----------
    path
        FASTA, also compressed by gzip; a name ends at the first blank.
    t2g
        Table of transcripts and genes, see
        :func:`~exvae.data.quantified.genes.read_genes`; None takes every transcript for
        a gene of its own.

    Returns
    -------
    transcripts
        In the order of the file.
    notes
        Remarks on the matching of genes, one line each.

    Raises
    ------
    DataError
        If a file cannot be read, a transcript has no sequence or its name occurs twice, or it has
        no gene.
    """
    sequences = _read_fasta(path)
    names = list(sequences)
    genes, _, notes = genes_or_own(t2g, names)
    return Transcripts(np.array(names), genes, tuple(sequences.values())), notes


def _read_fasta(path: Path) -> dict[str, bytes]:
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); give transcripts as FASTA") from error
    before, *records = (b"\n" + content).split(b"\n>")
    if before.strip() or not records:
        raise DataError(f"{path}: does not begin with >; give transcripts as FASTA")
    sequences: dict[str, bytes] = {}
    for record in records:
        header, _, lines = record.partition(b"\n")
        name = b"".join(header.split()[:1]).decode(errors="backslashreplace")
        sequence = b"".join(lines.split()).upper().replace(b"U", b"T")
        if not (name and sequence):
            raise DataError(f"{path}: has a transcript {name!r} without name or sequence; mend it")
        if name in sequences:
            raise DataError(f"{path}: has the transcript {name} twice; remove one")
        sequences[name] = sequence
    return sequences
