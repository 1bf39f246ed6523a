"""Transcripts from FASTA."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.reads.transcripts import Transcripts, read_transcripts

FASTA = b">one.1 gene=a\nACGU\nacgt\n\n>two\r\nNNACGT\r\n"


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_names_sequences_and_genes(tmp_path: Path, compress) -> None:
    path, t2g = tmp_path / "t.fa", tmp_path / "t2g.tsv"
    path.write_bytes(compress(FASTA))
    t2g.write_text("two\tb\none\ta\n")
    transcripts, notes = read_transcripts(path, t2g)
    assert transcripts.names.tolist() == ["one.1", "two"]
    assert transcripts.genes.tolist() == ["a", "b"]
    assert transcripts.sequences == (b"ACGTACGT", b"NNACGT")
    assert transcripts.lengths.tolist() == [8, 6]
    assert "without their versions" in notes[0]


def test_lengths_of_genes_are_means_over_isoforms() -> None:
    genes = np.array(["b", "a", "b"])
    transcripts = Transcripts(np.array(["x", "y", "z"]), genes, (b"AC", b"ACGTA", b"ACG"))
    assert transcripts.gene_lengths.tolist() == [5.0, 2.5]


def test_without_a_table_of_genes(tmp_path: Path) -> None:
    path = tmp_path / "t.fa"
    path.write_bytes(FASTA)
    transcripts, notes = read_transcripts(path, None)
    assert transcripts.genes.tolist() == ["one.1", "two"]
    assert "without a table of genes (t2g)" in notes[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "does not begin with >"),
        (b"@read\nACGT\n+\nIIII\n", "does not begin with >"),
        (b">\nACGT\n", "without name"),
        (b">one\n>two\nACGT\n", "'one' without name or sequence"),
        (b">one\nAC\n>one\nGT\n", "has the transcript one twice"),
        (gzip.compress(FASTA, mtime=0)[:20], "cannot be read"),
        (None, "no such file"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "t.fa"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as error:
        read_transcripts(path, None)
    assert str(path) in str(error.value)
