"""Estimates and bootstraps of simulated cells, against those of the real kallisto."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exvae.data.quantified.cell_rows import cell_rows
from exvae.data.quantified.directories import read_quantification
from exvae.data.quantified.quantifications import Quantification
from exvae.data.reads.class_probabilities import (
    EquivalenceClasses,
    FragmentModel,
    build_classes,
)
from exvae.data.reads.transcripts import Transcripts, read_transcripts
from exvae.data.simulators.gene_structures import draw_transcripts
from exvae.data.simulators.kallisto.quantifier import CellReads, IsoformQuantifier

from ...reads.sequencing import classify, draw_reads, kmer_index, write_fastq


def quantifier_of(transcripts: Transcripts, num_bootstraps: int) -> IsoformQuantifier:
    classes = build_classes(transcripts.sequences, FragmentModel())
    return IsoformQuantifier(transcripts, classes, num_bootstraps)


def reads_of(classes: EquivalenceClasses, fragments: np.ndarray, seed: int) -> CellReads:
    generator = np.random.default_rng(seed)
    return CellReads(classes.draw(fragments, generator), generator.spawn(len(fragments)))


def test_bootstraps_resample_the_reads() -> None:
    generator = np.random.default_rng(0)
    transcripts = draw_transcripts(40, generator)
    quantifier = quantifier_of(transcripts, 400)
    fragments = generator.poisson(generator.gamma(1.0, 20.0, (2, 40)))
    reads = reads_of(quantifier.classes, fragments, 1)
    counts = quantifier.estimate(reads)
    assert counts.shape == (2, 401, 40)
    totals = fragments.sum(1)
    np.testing.assert_allclose(counts.sum(2), np.repeat(totals[:, np.newaxis], 401, 1))
    # Isoforms that share no reads have multinomial counts.
    members = np.asarray(quantifier.classes.members[40:].sum(0)).ravel()
    for estimate, total in zip(counts, totals, strict=True):
        seen = (members == 0) & (estimate[0] > 0)
        assert seen.sum() > 5
        expected = estimate[0, seen]
        np.testing.assert_array_equal(expected, expected.round())
        deviation = np.sqrt(expected * (1 - expected / total))
        z_scores = (estimate[1:, seen].mean(0) - expected) / deviation * np.sqrt(400)
        assert np.abs(z_scores).max() < 4.5
        ratios = estimate[1:, seen].var(0) / deviation**2
        assert np.abs(ratios - 1).max() < 5 * np.sqrt(2 / 400) + 2 / expected.min()


def test_each_cell_has_its_own_random_numbers() -> None:
    generator = np.random.default_rng(0)
    transcripts = draw_transcripts(20, generator)
    quantifier = quantifier_of(transcripts, 3)
    fragments = np.tile(generator.poisson(20.0, 20), (2, 1))
    reads = reads_of(quantifier.classes, fragments, 1)
    together = quantifier.estimate(reads)
    reads = reads_of(quantifier.classes, fragments, 1)
    alone = [
        quantifier.estimate(CellReads(reads.class_counts[[cell]], [reads.generators[cell]]))[0]
        for cell in (1, 0)
    ]
    np.testing.assert_allclose(together, alone[::-1], rtol=1e-9, atol=1e-12)
    assert not np.allclose(together[0, 1:].sum(0), together[1, 1:].sum(0))


def test_rows_of_the_file() -> None:
    generator = np.random.default_rng(0)
    transcripts = draw_transcripts(20, generator)
    quantifier = quantifier_of(transcripts, 5)
    fragments = generator.poisson(20.0, (2, 20))
    rows = quantifier(reads_of(quantifier.classes, fragments, 1))
    counts = quantifier.estimate(reads_of(quantifier.classes, fragments, 1))
    for row, own in zip(rows, counts, strict=True):
        expected = cell_rows(
            Quantification(
                transcripts.names.astype(np.bytes_),
                transcripts.lengths,
                quantifier.classes.effective_lengths,
                *(part.astype(np.float32) for part in (own[0], own[1:])),
                "exvae",
                "",
            )
        )
        np.testing.assert_array_equal(row.zeros, expected.zeros)
        np.testing.assert_array_equal(row.mean.values, expected.mean.values)
        assert row.num_bootstraps == len(row.bootstraps) == 5


# The real kallisto


def as_printed(counts: np.ndarray) -> np.ndarray:
    """Round counts to the six digits of kallisto's text."""
    digits = np.floor(np.log10(np.where(counts > 0, counts, 1.0)))
    unit = 10.0 ** (digits - 5)
    return np.round(counts / unit) * unit


def of_bootstraps(bootstraps: np.ndarray) -> dict[str, float]:
    """Measure what bootstraps look like, shape (cells, bootstraps, isoforms)."""
    mean, variance = bootstraps.mean(1), bootstraps.var(1, ddof=1)
    expressed = mean > 0
    relative = variance[expressed] / mean[expressed]
    abundant = mean > 5
    well_measured = variance[abundant] / mean[abundant]
    return {
        "all zero": (~expressed).mean(),
        "some zeros": ((bootstraps == 0).any(1) & expressed).mean(),
        "not whole": (np.abs(bootstraps - bootstraps.round()) > 1e-6 * bootstraps).mean(),
        "variance / mean": relative.mean(),
        **{f"quantile {q}": np.quantile(relative, q) for q in (0.25, 0.5, 0.75, 0.9)},
        **{f"abundant, quantile {q}": np.quantile(well_measured, q) for q in (0.1, 0.5, 0.9)},
    }


def test_bootstraps_look_like_those_of_kallisto(shared_data: Path) -> None:
    folder = shared_data / "cells_kallisto"
    transcripts, _ = read_transcripts(folder / "transcripts.fa", folder / "t2g.tsv")
    names = transcripts.names.astype(np.bytes_)
    cells = [0, 1, 2, 3, 4, 5]
    real = of_bootstraps(
        np.stack(
            [
                read_quantification(folder / f"cell_{cell:04d}", transcripts=names).bootstraps
                for cell in cells
            ]
        ).astype(np.float64)
    )
    with np.load(folder / "truth.npz") as truth:
        columns = {name: column for column, name in enumerate(truth["transcripts"])}
        fragments = truth["counts"][cells][:, [columns[name] for name in transcripts.names]]
    quantifier = quantifier_of(transcripts, 30)
    seeds = 6
    simulated = []
    for seed in range(seeds):
        counts = quantifier.estimate(reads_of(quantifier.classes, fragments, seed))
        simulated.append(of_bootstraps(as_printed(counts[:, 1:])))
    for name, value in real.items():
        values = [each[name] for each in simulated]
        spread = np.std(values, ddof=1) * np.sqrt(1 + 1 / seeds)
        assert abs(value - np.mean(values)) < 4 * spread, (name, value, values)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("kallisto") is None, reason="needs kallisto")
@pytest.mark.parametrize("source", ["real transcripts", "simulated transcripts"])
def test_kallisto_on_the_same_reads(source: str, tmp_path: Path, request) -> None:
    generator = np.random.default_rng(0)
    if source == "real transcripts":
        folder = request.getfixturevalue("shared_data") / "cells_kallisto"
        transcripts, _ = read_transcripts(folder / "transcripts.fa", folder / "t2g.tsv")
    else:
        transcripts = draw_transcripts(400, generator)
    sequences, model = transcripts.sequences, FragmentModel()
    size = len(sequences)
    fragments = generator.poisson(
        generator.lognormal(2.0, 1.7, size) * generator.integers(2, size=size)
    )
    # In no order: kallisto measures fragments by the first reads.
    in_order = list(draw_reads(sequences, fragments, model, generator))
    reads = [in_order[place] for place in generator.permutation(len(in_order))]
    kallisto = run_kallisto(transcripts, reads, 300, tmp_path)

    quantifier = quantifier_of(transcripts, 300)
    members = quantifier.classes.members
    bounds = zip(members.indptr, members.indptr[1:], strict=False)
    places = {
        frozenset(members.indices[start:end].tolist()): place
        for place, (start, end) in enumerate(bounds)
    }
    index = kmer_index(sequences, model.k)
    found = Counter(classify(*pair, index, model.k) for pair in reads)
    found.pop(frozenset(), None)
    class_counts = np.zeros((1, len(places)), np.int64)
    for isoforms, count in found.items():
        class_counts[0, places[isoforms]] = count  # every class is known beforehand
    assert class_counts.sum() == pytest.approx(kallisto.counts.sum(), abs=0.5)

    (counts,) = quantifier.estimate(CellReads(class_counts, [generator]))
    correlation = np.corrcoef(counts[0], kallisto.counts)[0, 1]
    print(f"\n{source}: {fragments.sum()} reads, correlation of estimates {correlation:.6f}")
    assert correlation >= 0.99
    one, other = counts[1:].var(0, ddof=1), kallisto.bootstraps.var(0, ddof=1)
    for transform in (np.array, np.log1p):
        correlation = np.corrcoef(transform(one), transform(other))[0, 1]
        print(f"correlation of variances, {transform.__name__}: {correlation:.4f}")
        assert correlation >= 0.95

    # kallisto measures the fragments, where the simulator knows how they are made. From the same
    # effective lengths come the same estimates.
    effective_lengths = kallisto.effective_lengths
    assert np.abs(quantifier.classes.effective_lengths - effective_lengths).max() < 3.0
    same = replace(quantifier.classes, effective_lengths=effective_lengths)
    estimate = same.estimate(class_counts).counts[0]
    print(f"largest difference {np.abs(estimate - kallisto.counts).max():.5f} reads")
    np.testing.assert_allclose(estimate, kallisto.counts, rtol=1e-4, atol=1e-4)


def run_kallisto(
    transcripts: Transcripts, reads: list[tuple[bytes, bytes]], num_bootstraps: int, folder: Path
) -> Quantification:
    """Index and quantify; in the order of the transcripts."""
    fasta = folder / "transcripts.fa"
    with fasta.open("wb") as file:
        for name, sequence in zip(transcripts.names, transcripts.sequences, strict=True):
            file.write(b">%s\n%s\n" % (name.encode(), sequence))
    options = ["--plaintext", "-b", str(num_bootstraps), "--seed", "1"]
    paths = map(str, write_fastq(reads, folder))
    index = str(folder / "index")
    for command in (
        ["kallisto", "index", "-i", index, str(fasta)],
        ["kallisto", "quant", "-i", index, "-o", str(folder / "cell"), *options, *paths],
    ):
        subprocess.run(command, check=True, capture_output=True)
    names = transcripts.names.astype(np.bytes_)
    return read_quantification(folder / "cell", transcripts=names)
