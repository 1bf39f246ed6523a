"""Tables of a fitted topic model: words of topics, topics of documents and of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from ...data.arguments import listed, number_between, whole_number
from ...data.corpora import Corpus
from ...data.errors import DataError
from .completion import infer
from .fitting import LDAFit, warn

# Readers told topics best by words of this relevance (Sievert & Shirley, 2014).
RELEVANCE = 0.6


def top_words(fit: LDAFit, count: int, *, relevance: float = RELEVANCE) -> pd.DataFrame:
    """Most relevant words of each topic, the most used topic first.

    Parameters
    ----------
    fit
        The fit.
    count
        Number of words of each topic.
    relevance
        Weight of a word's probability against its lift, from 0 to 1, see
        :meth:`~exvae.guides.conjugate.TopicPosterior.relevance`; 1 lists the most probable words.

    Returns
    -------
    pandas.DataFrame
        Columns ``topic``, ``weight`` (the topic's expected share of all words), ``rank`` (from 1),
        ``word``, ``probability``.
    """
    concentration = fit.guide.topics.concentration.cpu()
    weight = concentration.sum(-1) / concentration.sum()
    word = top_positions(fit, count, relevance=relevance)
    probability = fit.guide.topics.mean().cpu().gather(-1, word)
    rows = [
        (topic, float(weight[topic]), rank + 1, fit.vocabulary[word[topic, rank]], float(value))
        for topic in weight.argsort(descending=True).tolist()
        for rank, value in enumerate(probability[topic])
    ]
    return pd.DataFrame(rows, columns=["topic", "weight", "rank", "word", "probability"])


def top_positions(fit: LDAFit, count: int, *, relevance: float = RELEVANCE) -> Tensor:
    """Positions of the most relevant words in the vocabulary, shape (topics, count)."""
    whole_number("top", count)
    relevance = number_between("relevance", relevance, 0.0, 1.0)
    score = fit.guide.topics.relevance(relevance).cpu()
    return score.topk(min(count, len(fit.vocabulary))).indices


def topic_table(fit: LDAFit, corpus: Corpus, *, steps: int) -> pd.DataFrame:
    """Posterior mean topic proportions, one row per document, indexed by name or number.

    Documents without words get the prior mean, with a warning.

    Returns
    -------
    pandas.DataFrame
        Columns ``topic_0`` ..., ``dominant_topic`` (its number; missing without words)
        and, for a corpus with labels,
        ``label``.
    """
    empty = int((corpus.lengths == 0).sum())
    if empty:
        warn(
            f"{corpus.source}: {empty} of {corpus.num_documents} documents have no known word; "
            "their topics are the prior mean"
        )
    proportions = infer(fit.guide, corpus, steps=steps).numpy()
    table = pd.DataFrame(proportions, document_index(corpus), topic_columns(fit))
    table["dominant_topic"] = proportions.argmax(1)
    if empty:  # no topic is dominant in a document without words
        dominant = table["dominant_topic"].astype("Int64")
        table["dominant_topic"] = dominant.mask(corpus.lengths == 0)
    if corpus.labels is not None:
        table["label"] = corpus.labels.astype(object)
    return table


def document_index(corpus: Corpus) -> pd.Index:
    """Names of the documents, or their numbers."""
    names = np.arange(corpus.num_documents) if corpus.names is None else corpus.names
    return pd.Index(names.astype(object) if names.dtype.kind == "U" else names, name="document")


def topic_columns(fit: LDAFit) -> list[str]:
    """Names of the columns of topic proportions."""
    return [f"topic_{topic}" for topic in range(fit.config["model"]["num_topics"])]


def top_documents(table: pd.DataFrame, columns: Sequence[str], count: int) -> pd.DataFrame:
    """Documents with the largest proportion of each topic.

    Parameters
    ----------
    table
        Table of :func:`topic_table`.
    columns
        Its columns of topic proportions.
    count
        Number of documents for each topic.

    Returns
    -------
    pandas.DataFrame
        Columns ``topic`` (its number), ``rank`` (from 1), ``document``, ``proportion`` and, where
        known, ``label``.
    """
    whole_number("count", count)
    rows = []
    for topic, column in enumerate(columns):
        best = np.argsort(-table[column].to_numpy(), kind="stable")[:count]
        found = {
            "topic": topic,
            "rank": np.arange(1, len(best) + 1),
            "document": table.index[best],
            "proportion": table[column].to_numpy()[best],
        }
        if "label" in table:
            found["label"] = table["label"].to_numpy()[best]
        rows.append(pd.DataFrame(found))
    return pd.concat(rows, ignore_index=True)


def prevalence(table: pd.DataFrame, columns: Sequence[str], by: Any = None) -> pd.DataFrame:
    """Mean topic proportions of the documents of each label.

    Parameters
    ----------
    table
        Table of :func:`topic_table`.
    columns
        Its columns of topic proportions.
    by
        Label of each document, shape (documents,); by default the column ``label``, without
        documents whose label is unknown.

    Returns
    -------
    pandas.DataFrame
        Indexed by label: ``columns``, and ``documents`` (number of documents).

    Raises
    ------
    DataError
        If there are no labels, or not as many as documents.
    """
    by = None if isinstance(by, str) and by == "label" else by
    if isinstance(by, str):
        raise DataError(
            f"by is {by!r}, but a corpus has no columns; give the label of each document, such as "
            f"table[{by!r}] of the table of texts"
        )
    if by is None and "label" not in table:
        raise DataError("the corpus has no labels; give one for each document by `by`")
    own = table["label"].where(table["label"] != "") if by is None else by
    labels = pd.Series(listed("by", own, "['news', 'sport']"))
    if len(labels) != len(table):
        raise DataError(
            f"there are {len(labels)} labels for {len(table)} documents; give one for each"
        )
    groups = table[list(columns)].reset_index(drop=True)
    if "dominant_topic" in table:  # documents without words say nothing
        labels = labels.where(table["dominant_topic"].notna().to_numpy())
    groups = groups.groupby(labels.rename("label"))
    return groups.mean().assign(documents=groups.size())
