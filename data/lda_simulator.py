"""Documents drawn from latent Dirichlet allocation, with the truth that they were drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .corpora import Corpus, offsets_of

# Documents drawn at once; bounds the memory beside the corpus itself.
_CHUNK = 1000


@dataclass(frozen=True)
class SimulatedCorpus:
    """A corpus and its truth.

    Attributes
    ----------
    corpus
        The documents.
    topic_words
        phi, shape (topics, vocabulary), float64.
    document_topics
        theta, shape (documents, topics), float32.
    """

    corpus: Corpus
    topic_words: np.ndarray
    document_topics: np.ndarray


def simulate_corpus(
    num_documents: int,
    num_topics: int,
    vocabulary_size: int,
    mean_length: float,
    *,
    document_concentration: float = 0.1,
    topic_concentration: float = 0.05,
    seed: int = 0,
) -> SimulatedCorpus:
    """Draw a corpus (Chan, Spence & Song, appendix A).

    Parameters
    ----------
    num_documents, num_topics, vocabulary_size
        D, K and V.
    mean_length
        Words of a document: one and a Poisson number, this many on average.
    document_concentration
        alpha of each topic.
    topic_concentration
        beta of each word.
    seed
        Of all draws.

    Raises
    ------
    ValueError
        If a size is below 1.
    """
    if min(num_documents, num_topics, vocabulary_size, mean_length) < 1:
        raise ValueError("documents, topics, vocabulary and mean length must be at least 1")
    generator = np.random.default_rng(seed)
    lengths = 1 + generator.poisson(mean_length - 1, num_documents)
    offsets = offsets_of(lengths)
    topic_words = generator.dirichlet(np.full(vocabulary_size, topic_concentration), num_topics)
    words = np.empty(offsets[-1], np.int32)
    document_topics = np.empty((num_documents, num_topics), np.float32)
    for start in range(0, num_documents, _CHUNK):
        chunk = slice(start, min(start + _CHUNK, num_documents))
        proportions = generator.dirichlet(
            np.full(num_topics, document_concentration), chunk.stop - chunk.start
        )
        document_topics[chunk] = proportions
        words[offsets[chunk.start] : offsets[chunk.stop]] = _draw_words(
            proportions, topic_words, lengths[chunk], generator
        )
    width = len(str(vocabulary_size - 1))
    vocabulary = np.array([f"word{index:0{width}d}" for index in range(vocabulary_size)])
    corpus = Corpus(words, offsets, vocabulary, source="the simulated corpus")
    return SimulatedCorpus(corpus, topic_words, document_topics)


def _draw_words(
    proportions: np.ndarray,
    topic_words: np.ndarray,
    lengths: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Draw topics, then words; shapes (documents, topics), (topics, vocabulary), (documents,)."""
    bounds = np.repeat(proportions.cumsum(-1), lengths, axis=0)[:, :-1]
    topics = (generator.random((len(bounds), 1)) > bounds).sum(-1)
    words = np.empty(len(topics), np.int32)
    for topic, probabilities in enumerate(topic_words):
        chosen = topics == topic
        cumulative = probabilities.cumsum()
        draws = generator.random(np.count_nonzero(chosen)) * cumulative[-1]
        words[chosen] = np.searchsorted(cumulative, draws, side="right")
    return words
