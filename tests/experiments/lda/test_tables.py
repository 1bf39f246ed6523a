"""Tables of a fitted topic model: words, proportions, documents and labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from exvae.data.corpora import Corpus, offsets_of
from exvae.data.errors import DataError, DataWarning
from exvae.experiments.lda import tables
from exvae.experiments.lda.completion import infer
from exvae.experiments.lda.fitting import LDAFit

COLUMNS = ["topic_0", "topic_1", "topic_2"]


@pytest.mark.parametrize("steps", [0, 3])
def test_proportions_are_those_inferred(corpus: Corpus, expressive_fit: LDAFit, steps: int) -> None:
    table = tables.topic_table(expressive_fit, corpus, steps=steps)
    expected = infer(expressive_fit.guide, corpus, steps=steps).numpy()
    assert table.columns.tolist() == [*COLUMNS, "dominant_topic"]
    np.testing.assert_allclose(table[COLUMNS].to_numpy(), expected)
    assert table["dominant_topic"].tolist() == expected.argmax(1).tolist()
    assert table.index.tolist() == corpus.names.tolist()
    nameless = tables.topic_table(expressive_fit, replace(corpus, names=None), steps=steps)
    assert nameless.index.tolist() == list(range(40))
    labels = np.array([f"kind{number % 3}" for number in range(40)])
    labelled = tables.topic_table(expressive_fit, replace(corpus, labels=labels), steps=steps)
    assert labelled["label"].tolist() == labels.tolist()


@pytest.mark.parametrize("empty", [[4], [0, 5, 39], range(40)])
def test_documents_without_words_get_the_prior_mean(
    corpus: Corpus, expressive_fit: LDAFit, empty: list[int]
) -> None:
    lengths = corpus.lengths.copy()
    lengths[list(empty)] = 0
    kept = np.repeat(lengths > 0, corpus.lengths)
    own = replace(corpus, words=corpus.words[kept], offsets=offsets_of(lengths))
    with pytest.warns(DataWarning, match=f"{len(empty)} of 40 documents have no known word"):
        table = tables.topic_table(expressive_fit, own, steps=3)[COLUMNS].to_numpy()
    prior = torch.tensor([0.5, 0.2, 0.9]) / 1.6
    np.testing.assert_allclose(table[list(empty)], prior.expand(len(empty), 3), rtol=1e-6)
    others = np.flatnonzero(lengths)
    expected = infer(expressive_fit.guide, corpus, steps=3)[others]
    np.testing.assert_allclose(table[others], expected, rtol=1e-4)


def test_topics_are_told_by_weight_and_their_words_by_probability(
    expressive_fit: LDAFit,
) -> None:
    held = expressive_fit.guide.topics.concentration.double().numpy()
    table = tables.top_words(expressive_fit, 4, relevance=1.0)
    order = np.argsort(-held.sum(1))
    assert table["topic"].tolist() == np.repeat(order, 4).tolist()
    assert table["rank"].tolist() == [1, 2, 3, 4] * 3
    for topic, own in table.groupby("topic"):
        np.testing.assert_allclose(own["weight"], held[topic].sum() / held.sum(), rtol=1e-5)
        best = np.argsort(-held[topic])[:4]
        assert own["word"].tolist() == expressive_fit.vocabulary[best].tolist()
        np.testing.assert_allclose(
            own["probability"], held[topic][best] / held[topic].sum(), rtol=1e-5
        )


TABLE = pd.DataFrame(
    {"topic_0": [0.1, 0.9, 0.5], "topic_1": [0.9, 0.1, 0.5], "label": ["x", "", "x"]},
    index=pd.Index(["one", "two", "three"], name="document"),
)


def test_top_documents_of_each_topic() -> None:
    found = tables.top_documents(TABLE, ["topic_0", "topic_1"], 2)
    assert found["topic"].tolist() == [0, 0, 1, 1]
    assert found["rank"].tolist() == [1, 2, 1, 2]
    assert found["document"].tolist() == ["two", "three", "one", "three"]
    assert found["proportion"].tolist() == [0.9, 0.5, 0.9, 0.5]
    assert found["label"].tolist() == ["", "x", "x", "x"]
    unlabelled = tables.top_documents(TABLE.drop(columns="label"), ["topic_1"], 9)
    assert unlabelled["document"].tolist() == ["one", "three", "two"]
    assert "label" not in unlabelled


def test_prevalence_is_the_mean_of_each_label() -> None:
    columns = ["topic_0", "topic_1"]
    found = tables.prevalence(TABLE, columns)
    assert found.index.tolist() == ["x"]
    np.testing.assert_allclose(found.loc["x"], [0.3, 0.7, 2])
    found = tables.prevalence(TABLE, columns, by=pd.Series([2, 1, 1], index=[7, 8, 9]))
    np.testing.assert_allclose(found.loc[[1, 2]], [[0.7, 0.3, 2], [0.1, 0.9, 1]])
    with pytest.raises(DataError, match="2 labels for 3 documents"):
        tables.prevalence(TABLE, columns, by=["a", "b"])
    with pytest.raises(DataError, match="no labels"):
        tables.prevalence(TABLE[columns], columns)


@pytest.mark.parametrize("relevance", [None, 0.0, 0.3])
def test_words_are_listed_by_relevance(expressive_fit: LDAFit, relevance: float | None) -> None:
    """A mean of the logs of probability and lift; 0.6 of the first by default."""
    held = expressive_fit.guide.topics.concentration.double().numpy()
    phi, share = held / held.sum(1, keepdims=True), held.sum(0) / held.sum()
    weight = 0.6 if relevance is None else relevance
    score = weight * np.log(phi) + (1 - weight) * np.log(phi / share)
    options = {} if relevance is None else {"relevance": relevance}
    table = tables.top_words(expressive_fit, 4, **options)
    for topic, own in table.groupby("topic"):
        best = np.argsort(-score[topic])[:4]
        assert own["word"].tolist() == expressive_fit.vocabulary[best].tolist()
        np.testing.assert_allclose(own["probability"], phi[topic][best], rtol=1e-5)
    most_probable = tables.top_words(expressive_fit, 4, relevance=1.0)
    assert (table["word"] != most_probable["word"]).any()
