"""Observed counts: against molecules followed one by one, and against SymSim itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from exvae.data.simulators.symsim.amplification import copy_moments
from exvae.data.simulators.symsim.library import LibraryPreparation
from exvae.data.simulators.symsim.observation import (
    draw_copies,
    fragments_per_copy,
    observe,
    observe_full_length,
    observe_umi,
    share_of_three_prime_ends,
)
from exvae.data.simulators.symsim.settings import ObservationSettings

from .symsim_molecules import count_reads, count_umis, cut_transcripts

SETTINGS = ObservationSettings()


def small_library(num_cells: int, capture: float, depth: float) -> LibraryPreparation:
    """Genes of all lengths, the short ones amplified better."""
    lengths = np.array([101, 150, 400, 999, 1001, 2500, 9000], np.int32)
    bias = np.array([0.2, 0.15, 0.1, 0.0, -0.05, -0.1, -0.2])
    return LibraryPreparation(lengths, bias, np.full(num_cells, capture), np.full(num_cells, depth))


# Molecules of the genes above; about 14 are captured of a tenth.
MOLECULES = np.array([10, 3, 12, 30, 1, 70, 14])


@pytest.mark.parametrize("depth", [60.0, 2e4])
@pytest.mark.parametrize(
    ("fast", "slow"), [(observe_full_length, count_reads), (observe_umi, count_umis)]
)
def test_counts_are_distributed_as_if_molecules_were_followed(fast, slow, depth: float) -> None:
    library = small_library(1500, 0.1, depth)
    generator = np.random.default_rng(0)
    molecules = np.tile(MOLECULES, (1500, 1))
    ours = fast(molecules, library, SETTINGS, generator).counts
    followed = slow(molecules, library, SETTINGS, generator)
    pvalues = [stats.ks_2samp(*pair).pvalue for pair in zip(ours.T, followed.T, strict=True)]
    pvalues.append(stats.ks_2samp(ours.sum(-1), followed.sum(-1)).pvalue)
    assert min(pvalues) > 1e-3 / len(pvalues)
    np.testing.assert_allclose(
        (ours > 0).mean(0), (followed > 0).mean(0), atol=4 * 0.71 / 1500**0.5
    )
    correlated = np.corrcoef(ours[:, 1:].T), np.corrcoef(followed[:, 1:].T)
    np.testing.assert_allclose(*correlated, atol=0.15)


def test_expected_counts_are_the_means_of_counts() -> None:
    generator = np.random.default_rng(0)
    molecules = generator.poisson(20, (300, 7))
    for observe_protocol in (observe_full_length, observe_umi):
        observed = observe_protocol(molecules, small_library(300, 0.3, 5e3), SETTINGS, generator)
        assert observed.expected.dtype == np.float32
        difference = observed.counts - observed.expected.astype(np.float64)
        # The variance of a Poisson or binomial count is at most its mean.
        scale = np.sqrt(observed.expected.sum(dtype=np.float64))
        assert abs(difference.sum()) < 4 * scale
        assert (observed.counts[observed.expected == 0] == 0).all()
    # Poisson for reads; below it for molecules, of which each is counted or not.
    assert (difference**2).sum() < 0.9 * scale**2


def test_copies_are_of_captured_molecules() -> None:
    num_cells = 4000
    library = small_library(num_cells, 0.3, 5e3)
    molecules = np.tile(MOLECULES, (num_cells, 1))
    copies = draw_copies(molecules, library, SETTINGS, np.random.default_rng(0))
    mean, variation = copy_moments(
        SETTINGS.amplification_efficiency + library.amplification_bias,
        SETTINGS.num_amplification_cycles,
    )
    # Binomial molecules with copies of this mean and squared coefficient of variation.
    variance = MOLECULES * 0.3 * (1 - 0.3 + variation) * mean**2
    z_scores = (copies.mean(0) - 0.3 * MOLECULES * mean) / np.sqrt(variance / num_cells)
    assert np.abs(z_scores).max() < 4
    np.testing.assert_allclose(copies.var(0), variance, rtol=0.15)
    np.testing.assert_allclose(
        (copies == 0).mean(0), 0.7**MOLECULES, atol=4 * 0.5 / np.sqrt(num_cells)
    )


def test_reads_are_expected_of_the_copies() -> None:
    library = small_library(50, 0.5, 5e3)
    molecules = np.tile(MOLECULES, (50, 1))
    copies = draw_copies(molecules, library, SETTINGS, np.random.default_rng(0))
    observed = observe_full_length(molecules, library, SETTINGS, np.random.default_rng(0))
    # From the same seed the same copies: all cells fit one chunk, of which they are drawn first.
    weights = copies * fragments_per_copy(library.gene_lengths)
    expected = 5e3 * weights / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(observed.expected, expected, rtol=1e-5)


def test_the_reads_of_a_cell_are_its_depth_whatever_is_captured() -> None:
    molecules = np.full((200, 7), 50)
    for capture in (0.05, 1.0):
        library = small_library(200, capture, 5000.0)
        totals = observe_full_length(molecules, library, SETTINGS, np.random.default_rng(0)).counts
        totals = totals.sum(-1)
        assert abs(totals.mean() - 5000) < 4 * np.sqrt(5000 / 200)
        assert totals.var() == pytest.approx(5000, rel=4 * np.sqrt(2 / 200))


def test_where_nothing_is_captured_nothing_is_seen() -> None:
    library = small_library(2, 0.5, 1e4)
    molecules = np.zeros((2, 7), np.int32)
    molecules[1, 0] = 1000  # of 101 bases
    for observe_protocol in (observe_full_length, observe_umi):
        counts = observe_protocol(molecules, library, SETTINGS, np.random.default_rng(0)).counts
        assert counts.shape == (2, 7)
        assert counts[0].sum() == 0
        # Fragments of 101 bases are lost; their ends with UMIs are not.
        assert (counts[1, 0] == 0) == (observe_protocol is observe_full_length)


def test_more_depth_than_fragments_sequences_them_all() -> None:
    settings = ObservationSettings(linear_amplification=100, num_library_cycles=1)
    library = small_library(2, 1.0, 1e9)
    generator = np.random.default_rng(0)
    counts = observe_full_length(np.tile(MOLECULES, (2, 1)), library, settings, generator).counts
    fragments = MOLECULES * 100 * 1.8 * fragments_per_copy(library.gene_lengths)
    np.testing.assert_array_equal(counts, np.rint(np.tile(fragments, (2, 1))))
    seen = observe_umi(np.tile(MOLECULES, (2, 1)), library, settings, generator).counts
    np.testing.assert_array_equal(seen, np.tile(MOLECULES, (2, 1)))


@pytest.mark.parametrize("length", [100, 101, 102, 130, 500, 1000, 1001, 2000, 20_000])
def test_fragments_of_transcripts_cut_at_random(length: int) -> None:
    expected = fragments_per_copy(np.array([length]))[0]
    counts = cut_transcripts(length, 4000, np.random.default_rng(length))
    assert counts.mean() == pytest.approx(expected, abs=4 * counts.std() / np.sqrt(4000))


def test_ends_of_transcripts_by_length() -> None:
    lengths = np.array([99, 100, 999, 1000, 50_000])
    np.testing.assert_array_equal(share_of_three_prime_ends(lengths), [0, 0.78, 0.78, 0.7, 0.7])


def test_observing_draws_the_library_and_the_batches() -> None:
    generator = np.random.default_rng(0)
    molecules = generator.poisson(30, (400, 40))
    lengths = np.full(40, 800)
    settings = ObservationSettings(num_batches=3, depth_mean=5e4)
    observed = observe(molecules, lengths, settings, np.random.default_rng(1))
    again = observe(molecules, lengths, settings, np.random.default_rng(1))
    other = observe(molecules, lengths, settings, np.random.default_rng(2))
    np.testing.assert_array_equal(observed.counts, again.counts)
    assert (observed.counts != other.counts).any()
    assert observed.counts.dtype == observed.batches.dtype == np.int32
    assert set(observed.batches) == {0, 1, 2}
    # Expected counts have the batch effects too.
    ratio = observed.counts.sum(0) / observed.expected.sum(0)
    np.testing.assert_allclose(ratio, 1, atol=0.01)


def test_counts_of_other_cells_or_genes_are_refused() -> None:
    library = small_library(2, 0.1, 1e4)
    generator = np.random.default_rng(0)
    for wrong, message in (
        (np.zeros((3, 7), int), r"\(3, 7\), but the library is of 2 cells and 7 genes"),
        (np.full((2, 7), -1), "not be negative"),
        (np.full((2, 7), 0.5), "whole numbers"),
        (np.full((2, 7), np.nan), "whole numbers"),
    ):
        for observe_protocol in (observe_full_length, observe_umi):
            with pytest.raises(ValueError, match=message):
                observe_protocol(wrong, library, SETTINGS, generator)
    whole = observe_umi(np.full((2, 7), 3.0), library, SETTINGS, generator)
    assert whole.counts.dtype == np.int32


# Bins of the true count.
EDGES = [1, 2, 3, 5, 10, 20, 50, 100, np.inf]


def describe(true_counts: np.ndarray, observed: np.ndarray) -> dict[str, float]:
    """Statistics of a data set."""
    positive = observed > 0
    found = {
        "zeros": 1 - positive.mean(),
        "mean": observed.mean(),
        "spread of the total": observed.sum(-1).std(),
        "spread of detected genes": positive.sum(-1).std(),
        "spread of dropout": positive.mean(0).std(),
        "log count": np.log1p(observed).mean(),
        "variance of log counts": np.log1p(observed).var(0).mean(),
    }
    for low, high in zip(EDGES[:-1], EDGES[1:], strict=True):
        chosen = (true_counts >= low) & (true_counts < high)
        logs = np.log(observed[chosen & positive])
        found[f"P(0 | {low})"] = 1 - positive[chosen].mean()
        found[f"log reads | {low}"] = logs.mean()
        found[f"spread of log reads | {low}"] = logs.std()
    return found


@pytest.mark.parametrize("size", ["small", "medium"])
def test_observed_counts_are_symsims(size: str, shared_data: Path) -> None:
    """Observe SymSim's molecules with its efficiencies; twelve seeds tell what is chance."""
    with np.load(shared_data / "symsim" / f"symsim_{size}.npz") as file:
        reference = dict(file)
    rows = slice(None) if size == "small" else slice(0, None, 4)
    true_counts, theirs = reference["true_counts"][rows], reference["observed_counts"][rows]
    library = LibraryPreparation(
        reference["gene_len"],
        reference["amp_bias"].astype(float),
        reference["alpha"][rows].astype(float),
        reference["depth"][rows].astype(float),
    )
    ours = [
        observe_full_length(true_counts, library, SETTINGS, np.random.default_rng(seed)).counts
        for seed in range(12)
    ]
    expected = describe(true_counts, theirs)
    found = [describe(true_counts, counts) for counts in ours]
    for name, value in expected.items():
        drawn = np.array([each[name] for each in found])
        # SymSim's table of fragments has noise of its own, see below.
        allowed = 4 * drawn.std(ddof=1) + 0.002 * abs(value)
        assert value == pytest.approx(drawn.mean(), abs=allowed), name
    for low, high in zip(EDGES[:-2], EDGES[1:-1], strict=True):
        chosen = (true_counts >= low) & (true_counts < high)
        pair = (counts[chosen & (counts > 0)] for counts in (theirs, ours[0]))
        assert stats.ks_2samp(*pair).pvalue > 1e-3, f"reads given {low} molecules"
    assert (theirs[true_counts == 0] == 0).all()
    # Gene by gene. SymSim's table of fragments rests on 500 transcripts, which is 2 % of a mean.
    means = np.array([counts.mean(0) for counts in ours])
    often = theirs.mean(0) > 20
    spread = np.hypot(means.std(0, ddof=1), 0.02 * means.mean(0))[often]
    scores = (theirs.mean(0) - means.mean(0))[often] / spread
    # Of a t distribution with few degrees of freedom.
    assert np.abs(scores).max() < 6
    assert scores.std() == pytest.approx(1.1, abs=0.2)
    assert set(np.flatnonzero(reference["gene_len"] == 101)) <= set(
        np.flatnonzero(ours[0].sum(0) == 0)
    )
