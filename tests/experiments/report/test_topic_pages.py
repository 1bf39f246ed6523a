"""The page of a topic model holds the numbers of the fit."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from exvae.experiments.report import topic_pages
from exvae.experiments.report.topic_pages import contents_of_topics

from .conftest import IMAGE, Page


@pytest.fixture(scope="module")
def numbers(topics_page: Page) -> dict:
    return topics_page.numbers


def test_words_and_shares_of_topics(topics_page: Page, numbers: dict) -> None:
    table = topics_page.model.topics(15)
    tidy = topics_page.model.topics(15, tidy=True)
    coherence = topics_page.model.coherence(10, "npmi_documents", per_topic=True)
    assert [own["topic"] for own in numbers["topics"]] == table.index.tolist()
    for own in numbers["topics"]:
        assert own["words"] == table.loc[own["topic"], list(range(1, 16))].tolist()
        probabilities = tidy.loc[tidy["topic"] == own["topic"], "probability"]
        np.testing.assert_allclose(own["probabilities"], probabilities, rtol=1e-3)
        assert own["share"] == pytest.approx(table.loc[own["topic"], "weight"], rel=1e-3)
        assert own["coherence"] == pytest.approx(coherence[own["topic"]], rel=1e-3)


def test_proportions_of_documents(topics_page: Page, numbers: dict) -> None:
    table = topics_page.model.transform()
    documents = numbers["documents"]
    assert documents["names"] == table.index.tolist()
    assert IMAGE in documents["names"]
    assert documents["dominant"] == table["dominant_topic"].tolist()
    codes = np.frombuffer(base64.b64decode(documents["proportions"]["codes"]), "<u2")
    found = codes.reshape(3, 40) * documents["proportions"]["unit"]
    columns = ["topic_0", "topic_1", "topic_2"]
    np.testing.assert_allclose(found, table[columns].to_numpy().T, atol=6e-5)
    (labels,) = documents["groups"]
    assert [labels["levels"][code] for code in labels["codes"]] == table["label"].tolist()


def test_prevalence_and_top_documents(topics_page: Page, numbers: dict) -> None:
    prevalence = topics_page.model.prevalence()
    found = numbers["prevalence"]
    assert found["labels"] == prevalence.index.tolist()
    assert found["documents"] == prevalence["documents"].tolist()
    expected = prevalence[["topic_0", "topic_1", "topic_2"]].to_numpy()
    np.testing.assert_allclose(found["means"], expected, rtol=1e-3)
    top = topics_page.model.top_documents(10)
    assert [own["document"] for own in numbers["top_documents"]] == top["document"].tolist()
    corpus = topics_page.model.corpus
    for own in numbers["top_documents"]:
        place = corpus.names.tolist().index(own["document"])
        words = corpus.words[corpus.offsets[place] : corpus.offsets[place + 1]]
        assert own["words"] == " ".join(corpus.vocabulary[words])
        assert own["label"] == corpus.labels[place]


def test_quality_is_that_of_the_model(topics_page: Page) -> None:
    assert f">{topics_page.model.perplexity():.4g}</td>" in topics_page.html
    assert "6 documents held out of training" in topics_page.html


def test_documents_beyond_the_most_are_left_out_of_the_map(
    topics_page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_pages, "MOST_BYTES", 2 * 3 * 12)
    monkeypatch.setattr(topic_pages, "MOST_GROUPS", 1)
    model = topics_page.model
    contents = contents_of_topics(model.fitted, model.history, model.corpus, 0, 0)
    assert len(contents.numbers["documents"]["names"]) == 12
    assert any("12 of 40 documents" in note for note in contents.notes)
    assert any("1 most frequent of 2 labels" in note for note in contents.notes)
    assert len(contents.numbers["prevalence"]["labels"]) == 1
    assert contents.check is None


def test_a_page_without_documents_shows_words(topics_page: Page) -> None:
    contents = contents_of_topics(topics_page.model.fitted, topics_page.model.history, None, 20, 0)
    assert set(contents.numbers) == {"training", "topics"}
    assert contents.numbers["topics"][0]["coherence"] is None


def test_documents_without_labels(topics_page: Page) -> None:
    model = topics_page.model
    corpus = replace(model.corpus, labels=None, names=None)
    contents = contents_of_topics(model.fitted, model.history, corpus, 0, 0)
    assert contents.numbers["prevalence"] is None
    assert contents.numbers["documents"]["names"][:2] == ["0", "1"]
    assert contents.numbers["top_documents"][0]["label"] == ""
