"""Simulated corpora follow the model that they are drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from exvae.data.lda_simulator import simulate_corpus


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


def test_the_seed_decides() -> None:
    one, same, other = (simulate_corpus(20, 3, 30, 10, seed=seed).corpus for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        simulate_corpus(0, 3, 30, 10)
