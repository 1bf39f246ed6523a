"""Coherence of topics, against loops over windows and gensim."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

from exvae.data.corpora import Corpus
from exvae.data.errors import DataError
from exvae.experiments.lda.coherence import coherence

WORDS = [f"word{number:02d}" for number in range(12)]


def draw_texts(repeat: bool) -> list[list[str]]:
    """Draw 60 documents of 0 to 39 words; ``repeat`` lets a document hold a word several times."""
    rng = np.random.default_rng(2)
    size = 40 if repeat else 13
    lengths = rng.integers(0, size, 60)
    weights = rng.dirichlet(np.full(12, 0.8), 60)
    texts = [
        rng.choice(WORDS, length, p=own) if repeat else rng.permutation(WORDS)[:length]
        for length, own in zip(lengths, weights, strict=True)
    ]
    return [list(map(str, text)) for text in texts]


def mean_npmi(windows: list[set[str]], topic: list[str]) -> float:
    """Compute the mean over pairs of words, one window at a time."""
    scores = []
    for one, other in itertools.combinations(topic, 2):
        first, second, both = (
            np.mean([own <= window for window in windows]) for own in ({one}, {other}, {one, other})
        )
        scores.append(np.log((both + 1e-12) / (first * second)) / -np.log(both + 1e-12))
    return float(np.mean(scores))


def positions(corpus: Corpus, topics: list[list[str]]) -> np.ndarray:
    vocabulary = corpus.vocabulary.tolist()
    return np.array([[vocabulary.index(word) for word in topic] for topic in topics])


TOPICS = [WORDS[:4], WORDS[3:7], WORDS[8:]]


@pytest.mark.parametrize("block", [1, 50, 1 << 20])
def test_words_in_windows_are_counted_as_in_a_loop(block: int) -> None:
    """Without repeated words, where gensim and a loop count the same."""
    texts = draw_texts(repeat=False)
    corpus = Corpus.from_texts(texts)
    windows = [
        set(text[start : start + 10])
        for text in texts
        for start in range(max(len(text) - 10, 0) + 1)
    ]
    found = coherence(corpus, positions(corpus, TOPICS), block=block)
    np.testing.assert_allclose(found, [mean_npmi(windows, topic) for topic in TOPICS], rtol=1e-9)


@pytest.mark.parametrize("block", [1, 50, 1 << 20])
def test_words_in_documents_are_counted_as_in_a_loop(block: int) -> None:
    texts = draw_texts(repeat=True)
    corpus = Corpus.from_texts(texts)
    found = coherence(corpus, positions(corpus, TOPICS), measure="npmi_documents", block=block)
    expected = [mean_npmi([set(text) for text in texts], topic) for topic in TOPICS]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_words_that_never_or_only_occur_together() -> None:
    corpus = Corpus.from_texts([["a", "b"], ["c"], ["d"], ["a", "b"]])
    found = coherence(corpus, np.array([[0, 1], [2, 3]]), measure="npmi_documents")
    assert found[0] == pytest.approx(1)
    assert -1 <= found[1] < -0.85


def test_a_word_that_does_not_occur_counts_as_independent() -> None:
    corpus = Corpus.from_texts([["a", "b"], ["a"], ["b"]], vocabulary=["a", "b", "c"])
    found = coherence(corpus, np.array([[0, 2], [1, 2]]))
    assert found.tolist() == [0, 0]


def test_counts_have_no_windows() -> None:
    corpus = Corpus.from_counts([[2, 1], [0, 3]], ["a", "b"])
    with pytest.raises(DataError, match="no order; choose the measure npmi_documents"):
        coherence(corpus, np.array([[0, 1]]))
    with pytest.raises(DataError, match="measure is 'u_mass'; choose one of c_npmi"):
        coherence(corpus, np.array([[0, 1]]), measure="u_mass")


@pytest.mark.peers
@pytest.mark.parametrize("processes", [1, 2])
def test_gensim_gives_the_same(processes: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = pytest.importorskip("gensim.models")
        corpora = pytest.importorskip("gensim.corpora")
    texts = [*draw_texts(repeat=True), *draw_texts(repeat=False)]
    corpus = Corpus.from_texts(texts)
    theirs = models.CoherenceModel(
        topics=TOPICS,
        texts=texts,
        dictionary=corpora.Dictionary(texts),
        coherence="c_npmi",
        topn=4,
        processes=processes,
    )
    expected = theirs.get_coherence_per_topic()
    found = coherence(corpus, positions(corpus, TOPICS))
    np.testing.assert_allclose(found, expected, atol=1e-9)
