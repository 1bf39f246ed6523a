"""Recovery of topics: those of a simulated corpus, and those of news."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyro
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam
from scipy.optimize import linear_sum_assignment

from exvae.data.corpora import Corpus, offsets_of, select_split
from exvae.data.corpus_formats import read_corpus
from exvae.guides.lda import ExchangeableGuide, LDAGuide
from exvae.models.lda import LDA


def build_svi(model: LDA, guide: LDAGuide) -> SVI:
    return SVI(model, guide, ClippedAdam({"lr": 5e-3}), TraceMeanField_ELBO())


def train(svi: SVI, corpus: Corpus, epochs: int, batch_size: int) -> float:
    """Train on minibatches; the loss per word in the last epoch."""
    for _ in range(epochs):
        loss = 0.0
        for indices in torch.randperm(corpus.num_documents).split(batch_size):
            loss += svi.step(*corpus.batch(indices)) * len(indices)
    return loss / corpus.num_documents / corpus.num_tokens


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of the angle between each pair of rows."""
    one, other = (rows / np.linalg.norm(rows, axis=-1, keepdims=True) for rows in (one, other))
    return one @ other.T


def simulated_corpus(topic_words: np.ndarray, documents: int, length: int, alpha: float) -> Corpus:
    """Draw a corpus with numpy alone, so that nothing is shared with the model under test."""
    generator = np.random.default_rng(0)
    num_topics, vocabulary_size = topic_words.shape
    lengths = generator.poisson(length, documents).clip(1)
    topics = generator.dirichlet(np.full(num_topics, alpha), documents)
    words = np.concatenate(
        [
            generator.choice(vocabulary_size, size, p=own @ topic_words)
            for size, own in zip(lengths, topics, strict=True)
        ]
    )
    vocabulary = np.array([f"word{position}" for position in range(vocabulary_size)])
    return Corpus(words.astype(np.int32), offsets_of(lengths), vocabulary)


def test_topics_of_a_simulated_corpus_are_recovered() -> None:
    # One start in five ends in a local optimum, two topics in one; its loss gives it away.
    truth = np.random.default_rng(1).dirichlet(np.full(300, 0.05), 8)
    corpus = simulated_corpus(truth, documents=1000, length=60, alpha=0.2)
    fits = []
    for seed in range(3):
        pyro.set_rng_seed(seed)
        model = LDA(300, 8)
        guide = ExchangeableGuide(model)
        loss = train(build_svi(model, guide), corpus, epochs=25, batch_size=128)
        fits.append((loss, seed, guide.topics.mean().numpy(), model.document_concentration))
    _, _, topic_words, alpha = min(fits)
    similarity = cosines(truth, topic_words)
    matched = similarity[linear_sum_assignment(-similarity)]
    assert matched.min() >= 0.95
    np.testing.assert_allclose(alpha, 0.2, rtol=0.3)


def test_topics_of_news_differ(shared_data: Path) -> None:
    path = shared_data / "bbc_news" / "corpus.tsv"
    corpus = select_split(read_corpus(path), "train", "val")
    model = LDA(corpus.vocabulary_size, 20)
    guide = ExchangeableGuide(model)
    train(build_svi(model, guide), corpus, epochs=8, batch_size=128)
    topic_words = guide.topics.mean().numpy()
    unigram = np.bincount(corpus.words, minlength=corpus.vocabulary_size)
    # Good fits come to 0.6 in both; topics that have collapsed to 0.99.
    assert (cosines(topic_words, topic_words) - np.eye(20)).max() < 0.8
    assert cosines(topic_words, unigram[None]).max() < 0.8
