"""Simulated corpora follow the model that they are drawn from."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from exvae.data.corpora import write_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataError
from exvae.data.simulators.documents import LENGTHS, CorpusSimulator, simulate_corpus


def test_words_follow_the_drawn_topics() -> None:
    simulated = simulate_corpus(3, 4, 15, 4000, document_concentration=0.5, seed=1)
    corpus = simulated.corpus
    for document in range(3):
        own = corpus.words[corpus.offsets[document] : corpus.offsets[document + 1]]
        expected = simulated.document_topics[document].astype(float) @ simulated.topic_words
        counts = np.bincount(own, minlength=15)
        likely = expected * len(own) > 5
        observed = np.append(counts[likely], counts[~likely].sum())
        share = np.append(expected[likely], expected[~likely].sum())
        observed, share = observed[share > 0], share[share > 0] / share.sum()
        assert stats.chisquare(observed, share * observed.sum()).pvalue > 1e-4


def test_word_order_does_not_tell_the_topics() -> None:
    corpus = simulate_corpus(1, 2, 50, 20_000, document_concentration=1.0, seed=3).corpus
    first, second = np.array_split(corpus.words, 2)
    assert stats.ks_2samp(first, second).pvalue > 1e-3


def test_lengths_and_truth_have_the_moments_asked_for() -> None:
    simulated = simulate_corpus(4000, 5, 30, 12, document_concentration=0.3, seed=0)
    lengths = simulated.corpus.lengths
    assert lengths.min() >= 1
    assert abs(lengths.mean() - 12) < 4 * np.sqrt(11 / 4000)
    assert abs(lengths.var() - 11) < 1.5
    np.testing.assert_allclose(simulated.document_topics.sum(-1), 1.0, rtol=1e-5)
    # Var(theta_k) of a symmetric Dirichlet.
    variance = 0.2 * 0.8 / (5 * 0.3 + 1)
    np.testing.assert_allclose(simulated.document_topics.var(0), variance, rtol=0.15)


def test_fixed_lengths() -> None:
    lengths = simulate_corpus(50, 2, 10, 7, lengths="fixed").corpus.lengths
    assert (lengths == 7).all()
    assert (simulate_corpus(50, 2, 10, 1, lengths="fixed").corpus.lengths == 1).all()


@pytest.mark.parametrize("dispersion", [0.3, None, 1.4])
def test_heavy_tailed_lengths_are_one_and_poisson_log_normal(dispersion: float | None) -> None:
    number, mean, spread = 20_000, 30.0, dispersion or 1.0
    simulator = CorpusSimulator(
        number, 1, 2, mean, lengths="heavy-tailed", length_dispersion=dispersion, seed=4
    )
    lengths = simulator.draw().corpus.lengths
    assert lengths.min() >= 1
    deviation = np.sqrt(mean - 1 + (mean - 1) ** 2 * np.expm1(spread**2))
    assert abs(lengths.mean() - mean) < 4 * deviation / np.sqrt(number)
    # Poisson probabilities averaged over the rate, on a grid of its standardised logarithm.
    z = np.linspace(-9, 9, 2001)
    weights = stats.norm.pdf(z) / stats.norm.pdf(z).sum()
    rates = (mean - 1) * np.exp(spread * z - 0.5 * spread**2)
    edges = np.array([1, 3, 6, 10, 20, 30, 50, 80, 130, 200, 400, 1000])
    cumulative = stats.poisson.cdf(edges[:, None] - 1, rates) @ weights
    expected = number * np.diff(cumulative, prepend=0.0, append=1.0)
    observed = np.bincount(np.searchsorted(edges, lengths), minlength=len(edges) + 1)
    likely = expected > 5
    observed = np.append(observed[likely], observed[~likely].sum())
    expected = np.append(expected[likely], expected[~likely].sum())
    observed, expected = observed[expected > 0], expected[expected > 0]
    assert stats.chisquare(observed, expected).pvalue > 1e-4


def test_the_tail_is_heavy() -> None:
    # Beyond twenty times the mean a Poisson length is impossible, and a log-normal one is not.
    options = {"num_documents": 20_000, "num_topics": 1, "vocabulary_size": 2, "mean_length": 20.0}
    poisson = CorpusSimulator(**options).draw().corpus.lengths
    heavy = CorpusSimulator(**options, lengths="heavy-tailed").draw().corpus.lengths
    assert poisson.max() < 60
    expected = len(heavy) * stats.norm.sf(np.log(20) + 0.5)
    assert abs((heavy > 400).sum() - expected) < 4 * np.sqrt(expected)


def test_the_seed_decides() -> None:
    one, same, other = (simulate_corpus(20, 3, 30, 10, seed=seed).corpus for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("concentration", [0.03, 0.7])
def test_chunks_change_nothing(
    lengths: str, concentration: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"lengths": lengths, "document_concentration": concentration, "seed": 3}
    whole = simulate_corpus(70, 5, 40, 12, **options)
    for size in (1, 37, 12 * 64):
        monkeypatch.setattr("exvae.data.simulators.documents._CHUNK", size)
        chunked = simulate_corpus(70, 5, 40, 12, **options)
        assert chunked.corpus.fingerprint == whole.corpus.fingerprint
        assert np.array_equal(chunked.topic_words, whole.topic_words)
        assert np.array_equal(chunked.document_topics, whole.document_topics)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_the_file_is_that_of_the_corpus_in_memory(
    lengths: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = CorpusSimulator(90, 4, 30, 15, lengths=lengths, seed=8)
    simulated = simulator.draw()
    write_corpus(
        simulated.corpus,
        tmp_path / "drawn.npz",
        true_topic_words=simulated.topic_words,
        true_document_topics=simulated.document_topics,
    )
    monkeypatch.setattr("exvae.data.simulators.documents._CHUNK", 15 * 20)
    assert simulator.write(tmp_path / "streamed.npz") == simulated.corpus.num_tokens
    streamed, drawn = (tmp_path / name for name in ("streamed.npz", "drawn.npz"))
    assert streamed.read_bytes() == drawn.read_bytes()
    corpus = read_corpus(streamed)
    assert isinstance(corpus.words, np.memmap)
    assert corpus.fingerprint == simulated.corpus.fingerprint


def test_a_write_that_is_interrupted_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "corpus.npz"
    CorpusSimulator(20, 2, 10, 5).write(path)
    before = path.read_bytes()
    monkeypatch.setattr("exvae.data.simulators.documents._CHUNK", 5)
    words = CorpusSimulator._words

    def interrupted(simulator: CorpusSimulator) -> Iterator[np.ndarray]:
        yield from itertools.islice(words(simulator), 7)
        assert len(list(tmp_path.iterdir())) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(CorpusSimulator, "_words", interrupted)
    with pytest.raises(KeyboardInterrupt):
        CorpusSimulator(20, 2, 10, 5, seed=1).write(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["corpus.csv", "missing/corpus.npz"])
def test_places_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=name):
        CorpusSimulator(20, 2, 10, 5).write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exvae.data.simulators.documents._CHUNK", 1 << 15)

    def peak(documents: int) -> int:
        simulator = CorpusSimulator(documents, 3, 50, 100)
        tracemalloc.start()
        try:
            simulator.write(tmp_path / "corpus.npz")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is made once
    few, many = peak(2_000), peak(20_000)
    # The offsets alone take 0.14 megabytes more, the words 7.2.
    assert many - few < 1e5


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_documents": 0}, "at least 1"),
        ({"vocabulary_size": 0}, "at least 1"),
        ({"mean_length": 0.5}, "mean_length is 0.5"),
        ({"mean_length": math.nan}, "mean_length is nan"),
        ({"mean_length": math.inf}, "mean_length is inf"),
        ({"mean_length": 1e12}, "at most 1e"),
        ({"lengths": "zipf"}, "lengths is 'zipf'; choose one of fixed"),
        ({"mean_length": 7.5, "lengths": "fixed"}, "whole numbers"),
        ({"length_dispersion": 1.0}, "not poisson ones"),
        ({"lengths": "heavy-tailed", "length_dispersion": 0.0}, "length_dispersion is 0.0"),
        ({"lengths": "heavy-tailed", "length_dispersion": 3.5}, "up to 3"),
        ({"document_concentration": 0.0}, "document_concentration is 0.0"),
        ({"topic_concentration": -1.0}, "topic_concentration is -1.0"),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, object], named: str) -> None:
    sizes = {"num_documents": 5, "num_topics": 3, "vocabulary_size": 30, "mean_length": 10}
    with pytest.raises(ValueError, match=named):
        CorpusSimulator(**sizes | changes)
