"""Checks of topic models: right models pass, and wrong ones fail where they are wrong."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from exvae.data.corpora import Corpus, select_split
from exvae.data.simulators.documents import SimulatedCorpus, simulate_corpus
from exvae.experiments.checks import documents as checks
from exvae.experiments.checks.comparison import Replication
from exvae.experiments.checks.documents import DocumentStatistics, check_documents
from exvae.experiments.lda.fitting import LDAConfig, LDAFit, build

ALPHA = 0.3


def simulated(seed: int = 0, **options) -> SimulatedCorpus:
    shape = {"num_documents": 60, "num_topics": 3, "vocabulary_size": 50, "mean_length": 40}
    return simulate_corpus(
        **{**shape, **options}, document_concentration=ALPHA, topic_concentration=0.3, seed=seed
    )


def truth(topic_words: np.ndarray) -> LDAFit:
    """Make a topic model of known topics, as if it had been fitted."""
    config = LDAConfig(num_topics=len(topic_words))
    model, guide = build(config, topic_words.shape[1])
    model.document_concentration.fill_(ALPHA)
    guide.topics.concentration.copy_(torch.from_numpy(topic_words * 1e7))
    vocabulary = np.arange(topic_words.shape[1]).astype(str)
    described = {"model": asdict(config), "training": {"epochs": 30}, "data": {}}
    return LDAFit(guide.eval(), vocabulary, described, torch.device("cpu"))


def drawn_from(fit: LDAFit, seed: int) -> Corpus:
    """Draw a corpus from the prior of a fit."""
    corpus = simulated(seed).corpus
    torch.manual_seed(seed)
    ((_, words, offsets),) = checks.replicate_documents(fit, corpus, "prior", 1)
    return replace(corpus, words=words.astype(np.int32), offsets=offsets)


def bursty(corpus: Corpus, seed: int) -> Corpus:
    """Let every other word of a document repeat the one before."""
    words = corpus.words.copy()
    inside = np.setdiff1d(np.arange(1, len(words), 2), corpus.offsets)
    words[inside] = words[inside - 1]
    return replace(corpus, words=words)


def test_the_p_values_of_a_right_model_are_uniform() -> None:
    fit = truth(simulated().topic_words)
    checked = [
        check_documents(
            fit,
            drawn_from(fit, seed),
            split="all",
            replication=Replication("prior", 19, seed),
        )
        for seed in range(30)
    ]
    table = pd.DataFrame([check.p_values for check in checked])
    assert table.shape[1] == 8
    for name in table:
        assert stats.kstest(table[name], "uniform").pvalue > 1e-3, name


@pytest.mark.parametrize("latents", ["prior", "posterior"])
def test_a_model_of_independent_words_fails_on_bursts(latents: str) -> None:
    fit = truth(simulated().topic_words)
    corpus = bursty(drawn_from(fit, 1), 1)
    replication = Replication(latents, 39)
    found = check_documents(fit, corpus, split="all", replication=replication).p_values
    assert found["variance / mean of a word's count, mean over tokens"] == 0.5 / 40
    for length in ("short", "medium", "long"):
        name = f"distinct words / words of {length} documents, mean"
        assert found[name] == pytest.approx(39.5 / 40)


def test_a_model_of_one_topic_fails_on_many() -> None:
    topic_words = simulated().topic_words
    corpus = drawn_from(truth(topic_words), 1)
    unigram = np.bincount(corpus.words, minlength=50) + 0.1
    fit = truth((unigram / unigram.sum())[np.newaxis])
    replication = Replication(num_replicates=39)
    found = check_documents(fit, corpus, split="all", replication=replication).p_values
    assert found["variance / mean of a word's count, mean over tokens"] == 0.5 / 40
    assert 0.01 < found["entropy of words (nats)"] < 0.99


def test_all_documents_of_a_replicate_share_its_topics() -> None:
    fit = truth(np.full((1, 50), 1 / 50))
    # So little is known of the topic that each of its draws is one word.
    fit.guide.topics.concentration.fill_(0.01)
    corpus = simulated().corpus
    words: dict[int, list[np.ndarray]] = {}
    for number, drawn, offsets in checks.replicate_documents(
        fit, corpus, "posterior", 5, values_at_once=120, block_size=7
    ):
        assert len(drawn) == offsets[-1]
        words.setdefault(number, []).append(drawn)
    assert sorted(words) == [0, 1, 2, 3, 4]
    assert all(sum(map(len, parts)) == corpus.num_tokens for parts in words.values())
    shares = [np.bincount(np.concatenate(parts)).max() / 2400 for parts in words.values()]
    assert min(shares) > 0.3


def test_statistics_agree_with_a_dense_table() -> None:
    corpus = simulated(lengths="heavy-tailed").corpus
    statistics = DocumentStatistics(50, (20.0, 50.0))
    for rows in np.array_split(np.arange(60), 4):
        part = corpus.select(rows)
        statistics.add(part.words, part.offsets)
    table = np.zeros((60, 50))
    documents = np.repeat(np.arange(60), corpus.lengths)
    np.add.at(table, (documents, corpus.words), 1)
    lengths = table.sum(1)
    shares = table.sum(0) / table.sum()
    seen = shares > 0
    bursts = table.var(0)[seen] / table.mean(0)[seen]
    distinct = (table > 0).sum(1) / lengths
    expected = {
        "words of the vocabulary that occur": seen.sum(),
        "entropy of words (nats)": stats.entropy(shares),
        "variance / mean of a word's count, mean over tokens": shares[seen] @ bursts,
        "documents that hold a word, mean over tokens (share)": shares @ (table > 0).mean(0),
        "share of a document's most frequent word, mean": np.mean(table.max(1) / lengths),
        "distinct words / words of short documents, mean": distinct[lengths <= 20].mean(),
        "distinct words / words of long documents, mean": distinct[lengths > 50].mean(),
    }
    found = statistics.scalars()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name


def test_replicates_follow_the_seed() -> None:
    fit = truth(simulated().topic_words)
    corpus = simulated(1).corpus
    found = []
    for seed in (1, 1, 2):
        torch.rand(3)
        replication = Replication(num_replicates=3, seed=seed)
        check = check_documents(fit, corpus, split="all", replication=replication)
        found.append(check.statistics)
    pd.testing.assert_frame_equal(found[0], found[1])
    assert not found[0]["replicated_mean"].equals(found[2]["replicated_mean"])
    assert found[0]["observed"].equals(found[2]["observed"])


def test_the_documents_of_a_split_are_checked_by_their_own_thirds() -> None:
    fit = truth(simulated().topic_words)
    corpus = simulated(1, lengths="heavy-tailed").corpus
    corpus = replace(corpus, splits=np.array(["train", "test", "val"]).repeat(20))
    replication = Replication(num_replicates=2)
    for split in ("train", "test", "val", "all"):
        own = corpus if split == "all" else select_split(corpus, split)
        check = check_documents(fit, own, split="all", replication=replication)
        same = check_documents(fit, corpus, split=split, replication=replication)
        pd.testing.assert_frame_equal(check.statistics, same.statistics)
        bounds = tuple(np.quantile(own.lengths, (1 / 3, 2 / 3)))
        statistics = DocumentStatistics(50, bounds)
        statistics.add(own.words, own.offsets)
        observed = same.statistics.set_index("statistic")["observed"]
        assert observed.to_dict() == pytest.approx(statistics.scalars())


def test_replicated_documents_have_the_topics_of_their_replicate() -> None:
    """With topics drawn for the replicate alone words come from those draws, block by block."""
    fit = truth(np.full((2, 50), 1 / 50))
    # Each draw of a topic is nearly one word.
    fit.guide.topics.concentration.fill_(0.01)
    corpus = simulated().corpus
    for latents in ("prior", "posterior"):
        found: dict[int, list[np.ndarray]] = {}
        for number, words, _ in checks.replicate_documents(
            fit, corpus, latents, 4, values_at_once=200, block_size=9
        ):
            found.setdefault(number, []).append(words)
        for parts in found.values():
            of_parts = [set(np.flatnonzero(np.bincount(own, minlength=50) > 20)) for own in parts]
            assert all(len(own) <= 8 for own in of_parts)
            assert len(set.union(*of_parts)) <= 8
