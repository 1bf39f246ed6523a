"""Weights of classes from sequences, against fragments drawn one by one."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from exvae.data.errors import DataError
from exvae.data.reads.class_probabilities import FragmentModel, build_classes
from exvae.data.reads.class_weights import weigh_by_sequences
from exvae.data.reads.classes import ReadClasses
from exvae.data.reads.estimation import estimate_counts
from exvae.data.reads.importing import ReadOptions, import_reads

from .bus_folder import ISOFORMS, LENGTHS, write_bus
from .sequencing import classify, draw_reads, kmer_index

MODEL = FragmentModel(220.0, 30.0, 75)


@pytest.fixture(scope="module")
def exons() -> tuple[bytes, bytes]:
    """Two isoforms, of which the second skips an exon that lies between the ends of fragments."""
    rng = np.random.default_rng(0)
    first, middle, last = (
        bytes(rng.choice(list(b"ACGT"), size).astype(np.uint8)) for size in (420, 90, 380)
    )
    return first + middle + last, first + last


def write_fasta(path: Path, sequences: dict[str, bytes]) -> Path:
    path.write_text(
        "".join(f">{name} of a gene\n{own.decode()}\n" for name, own in sequences.items())
    )
    return path


def sequenced(exons: tuple[bytes, bytes], fragments: list[int]) -> ReadClasses:
    """Draw fragments and find the class of each, as a quantifier does."""
    index = kmer_index(exons, MODEL.k)
    counts: dict[tuple[int, ...], int] = {}
    generator = np.random.default_rng(1)
    for reads in draw_reads(exons, np.array(fragments), MODEL, generator):
        members = tuple(sorted(classify(*reads, index, MODEL.k)))
        counts[members] = counts.get(members, 0) + 1
    starts = np.cumsum([0, *map(len, counts)])
    members = np.concatenate(list(counts)).astype(np.int32)
    lengths = np.array([len(own) for own in exons], np.int32)
    effective = lengths - MODEL.mean + 1
    return ReadClasses(
        csr_matrix(np.array([list(counts.values())], np.int32)),
        starts,
        members,
        1 / effective[members],
        np.array(["cell"]),
        np.array(["long", "short"]),
        lengths,
        effective,
    )


def estimates(classes: ReadClasses) -> np.ndarray:
    own = (classes.starts, classes.members, classes.weights)
    return estimate_counts(*own, classes.counts.toarray(), 2).counts[0]


def test_a_skipped_exon_no_longer_biases_estimates(
    exons: tuple[bytes, bytes], tmp_path: Path
) -> None:
    fragments = [3000, 6000]
    classes = sequenced(exons, fragments)
    path = write_fasta(tmp_path / "t.fa", {"short": exons[1], "long": exons[0], "other": b"A" * 99})
    weighed, (note,) = weigh_by_sequences(classes, path, MODEL)
    assert "0.00% of the reads are in classes of none" in note
    by_length, by_sequence = estimates(classes), estimates(weighed)
    assert abs(by_length[0] - fragments[0]) > 250
    assert abs(by_sequence[0] - fragments[0]) < 150


def test_weights_are_shares_of_the_fragments(exons: tuple[bytes, bytes], tmp_path: Path) -> None:
    each = 20_000
    classes = sequenced(exons, [each, 0])
    other = sequenced(exons, [0, each])
    path = write_fasta(tmp_path / "t.fa", {"long": exons[0], "short": exons[1]})
    weighed, _ = weigh_by_sequences(classes, path, MODEL)
    for number, (start, stop) in enumerate(
        zip(classes.starts[:-1], classes.starts[1:], strict=True)
    ):
        if stop - start < 2:
            continue
        own = classes.counts[0, number] / each
        there = [
            other.counts[0, place]
            for place, (a, b) in enumerate(zip(other.starts[:-1], other.starts[1:], strict=True))
            if b - a == 2
        ]
        assert weighed.weights[start] == pytest.approx(own, rel=0.03)
        assert weighed.weights[start + 1] == pytest.approx(there[0] / each, rel=0.03)


def test_other_transcripts_are_refused(exons: tuple[bytes, bytes], tmp_path: Path) -> None:
    classes = sequenced(exons, [500, 500])
    with pytest.raises(DataError, match=r"t.fa: lacks 1 of 2 isoforms, the first short"):
        weigh_by_sequences(classes, write_fasta(tmp_path / "t.fa", {"long": exons[0]}), MODEL)
    rng = np.random.default_rng(5)
    random = {
        name: bytes(rng.choice(list(b"ACGT"), 800).astype(np.uint8)) for name in ("long", "short")
    }
    with pytest.raises(DataError, match=r"u.fa: .*% of the reads are in classes that no fragment"):
        weigh_by_sequences(classes, write_fasta(tmp_path / "u.fa", random), MODEL)
    with pytest.raises(DataError, match="k of at most 31"):
        weigh_by_sequences(
            classes,
            write_fasta(tmp_path / "v.fa", {"long": exons[0], "short": exons[1]}),
            MODEL._replace(read_length=20),
        )


def test_classes_of_the_quantifier_alone_keep_their_weights(
    exons: tuple[bytes, bytes], tmp_path: Path
) -> None:
    """The sequences know no class of a third isoform that another file has joined to the first."""
    classes = sequenced(exons, [500, 500])
    joined = ReadClasses(
        csr_matrix(np.hstack([classes.counts.toarray(), [[7]]]).astype(np.int32)),
        np.append(classes.starts, classes.starts[-1] + 2),
        np.append(classes.members, [0, 2]).astype(np.int32),
        np.append(classes.weights, [0.25, 0.75]),
        classes.cells,
        np.array(["long", "short", "third"]),
        np.append(classes.lengths, 500),
        np.append(classes.effective_lengths, 281.0),
    )
    rng = np.random.default_rng(6)
    third = bytes(rng.choice(list(b"ACGT"), 500).astype(np.uint8))
    sequences = {"long": exons[0], "short": exons[1], "third": third}
    weighed, (note,) = weigh_by_sequences(joined, write_fasta(tmp_path / "t.fa", sequences), MODEL)
    assert weighed.weights[-2:].tolist() == [0.25, 0.75]
    assert f"{7 / 1007:.2%} of the reads" in note


def test_import_weighs_by_sequences(tmp_path: Path) -> None:
    folder = write_bus(tmp_path / "bus")
    rng = np.random.default_rng(7)
    shared = bytes(rng.choice(list(b"ACGT"), 900).astype(np.uint8))
    own = [bytes(rng.choice(list(b"ACGT"), size).astype(np.uint8)) for size in LENGTHS]
    own[0], own[1] = own[0][:100] + shared, own[1][:600] + shared
    fasta = write_fasta(tmp_path / "t.fa", dict(zip(ISOFORMS, own, strict=True)))
    (folder / "q" / "transcript_lengths.txt").unlink()  # the sequences tell lengths as well
    own_lengths = [len(sequence) for sequence in own]
    out = tmp_path / "cells.h5ad"
    summary = import_reads([folder], out, options=ReadOptions(2, transcripts=fasta, read_length=50))
    assert "for fragments of 200 (sd 12) bases" in summary.notes[0]
    adata = anndata.read_h5ad(out)
    assert adata.uns["exvae_import"]["transcripts"] == "t.fa"
    assert adata.var["length"].tolist() == own_lengths
    built = build_classes(own, FragmentModel(200.0, np.std(np.arange(180, 221)), 50))
    number = [tuple(row.indices) for row in built.members].index((0, 1))
    expected = built.probabilities[:, [number]].toarray()[:2, 0]
    np.testing.assert_allclose(adata.uns["reads"]["weights"][-2:], expected, rtol=1e-3)


def test_lengths_of_fragments_are_needed(tmp_path: Path) -> None:
    folder = write_bus(tmp_path / "bus")
    (folder / "flens.txt").unlink()
    fasta = write_fasta(tmp_path / "t.fa", dict.fromkeys(ISOFORMS, b"ACGT" * 200))
    options = ReadOptions(2, transcripts=fasta)
    with pytest.raises(DataError, match="give --fragment-mean and --fragment-sd"):
        import_reads([folder], tmp_path / "cells.h5ad", options=options)
