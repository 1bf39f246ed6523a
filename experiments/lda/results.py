"""Results of a topic model: words of its topics, topics of documents, and how good they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...data.arguments import whole_number
from ...data.corpora import Corpus
from ...data.corpus_formats.vocabularies import map_words
from ...data.errors import DataError
from ...data.texts import corpus_of_texts
from ...data.tokenizer import Tokenizer
from . import evaluation, fitting, tables
from .coherence import coherence
from .uncertainty import with_uncertainty

Documents = Corpus | Iterable[str | Sequence[str]]
"""A corpus, texts, or lists of words."""


class TopicResults:
    """Base of :class:`~exvae.TopicModel`: all that a trained model tells.

    Parameters
    ----------
    corpus
        The documents of the model; None if only its fit is known.
    fit
        The fit; None before training.
    """

    def __init__(self, corpus: Corpus | None, fit: fitting.LDAFit | None = None) -> None:
        self.corpus = corpus
        self._fit = fit

    @property
    def fitted(self) -> fitting.LDAFit:
        """Guide, vocabulary and configuration; DataError before training."""
        if self._fit is None:
            raise DataError("the model is not trained; call train() first")
        return self._fit

    def topics(
        self, top: int = 10, *, relevance: float = tables.RELEVANCE, tidy: bool = False
    ) -> pd.DataFrame:
        """Most relevant words of each topic, the most used topic first.

        Parameters
        ----------
        top
            Number of words.
        relevance
            Weight of a word's probability against its lift, from 0 to 1; 1 lists the most probable
            words (Sievert & Shirley, 2014).
        tidy
            One row for each word, with its probability, in place of one for each topic.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``topic``: ``weight`` (share of all words), and words by rank, 1 to ``top``.

        Examples
        --------
        >>> model.topics(3).shape
        (2, 4)
        """
        words = tables.top_words(self.fitted, top, relevance=relevance)
        if tidy:
            return words
        wide = words.pivot(index="topic", columns="rank", values="word").rename_axis(columns=None)
        weights = words.groupby("topic", sort=False)["weight"].first()
        wide.insert(0, "weight", weights)
        return wide.loc[weights.index]

    def transform(
        self,
        documents: Documents | None = None,
        *,
        refine: int = 5,
        return_uncertainty: bool = False,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Posterior mean topic proportions of documents.

        Documents without a known word get the prior mean, with a warning.

        Parameters
        ----------
        documents
            A corpus or texts, split as those of the model were; its own corpus by default.
        refine
            Number of refinement steps after the encoder.
        return_uncertainty
            Whether to add standard deviations and 95 % intervals, by Gibbs sampling of each
            document; the means are then those of the draws.
        seed
            Seed of the sampling.

        Returns
        -------
        pandas.DataFrame
            Indexed by the documents' ids: ``topic_0`` ..., ``dominant_topic`` and, where there are
            labels, ``label``; with uncertainty also ``topic_0_sd``, ``topic_0_q0.025``,
            ``topic_0_q0.975`` ....

        Examples
        --------
        >>> list(model.transform(["Heavy rain and wind.", "The striker missed."]))
        ['topic_0', 'topic_1', 'dominant_topic']
        """
        whole_number("refine", refine, 0)
        corpus = self._documents(documents)
        table = tables.topic_table(self.fitted, corpus, steps=refine)
        if return_uncertainty:
            table = with_uncertainty(table, self.fitted, corpus, seed=seed)
        return table

    def top_documents(
        self, count: int = 5, corpus: Documents | None = None, *, refine: int = 5
    ) -> pd.DataFrame:
        """Documents with the largest proportion of each topic, ``count`` for each.

        Examples
        --------
        >>> list(model.top_documents(1))
        ['topic', 'rank', 'document', 'proportion', 'label']
        """
        table = self.transform(corpus, refine=refine)
        return tables.top_documents(table, tables.topic_columns(self.fitted), count)

    def prevalence(
        self, by: Sequence[Any] | None = None, corpus: Documents | None = None, *, refine: int = 5
    ) -> pd.DataFrame:
        """Mean topic proportions of the documents of each label.

        ``by`` has a label for each document; by default the labels of the corpus.

        Examples
        --------
        >>> model.prevalence().index.tolist()
        ['sport', 'weather']
        """
        table = self.transform(corpus, refine=refine)
        return tables.prevalence(table, tables.topic_columns(self.fitted), by)

    def perplexity(
        self,
        corpus: Documents | None = None,
        *,
        split: str | None = None,
        refine: int = 5,
        seed: int = 0,
    ) -> float:
        """Perplexity by document completion: half of each document predicts the other half.

        Parameters
        ----------
        corpus
            Documents; the model's own by default.
        split
            ``train``, ``val``, ``test`` or ``all``; by default ``test`` of the model's own corpus
            and of a corpus with splits, and all documents of any other.
        refine, seed
            Number of refinement steps, and seed of the halves.

        Examples
        --------
        >>> 1 < model.perplexity() < 20
        True
        """
        documents = self._documents(corpus)
        if split is None:
            own = documents.fingerprint == self.fitted.config["data"]["fingerprint"]
            split = "test" if own or documents.splits is not None else "all"
        measured = evaluation.evaluate(self.fitted, documents, split=split, steps=refine, seed=seed)
        return float(measured["perplexity"])

    def coherence(
        self,
        top: int = 10,
        measure: str = "c_npmi",
        corpus: Documents | None = None,
        *,
        relevance: float = tables.RELEVANCE,
        per_topic: bool = False,
    ) -> float | pd.Series:
        """Coherence of the words that :meth:`topics` lists in a corpus, by default the model's own.

        ``measure`` is one of :func:`~exvae.experiments.lda.coherence.coherence`: ``c_npmi``
        (windows of 10 words) or ``npmi_documents`` (whole documents, also for corpora of counts).

        Examples
        --------
        >>> -1 <= model.coherence(5) <= 1
        True
        """
        words = tables.top_positions(self.fitted, top, relevance=relevance).numpy()
        found = coherence(self._documents(corpus), words, measure=measure)
        if per_topic:
            return pd.Series(found, pd.RangeIndex(len(found), name="topic"), name=measure)
        return float(found.mean())

    def pyldavis(self, corpus: Documents | None = None) -> dict[str, Any]:
        """Arguments of ``pyLDAvis.prepare``; documents without words are left out.

        Examples
        --------
        >>> sorted(model.pyldavis())
        ['doc_lengths', 'doc_topic_dists', 'term_frequency', 'topic_term_dists', 'vocab']
        """
        documents = self._documents(corpus)
        documents = documents.select(documents.lengths > 0)
        proportions = self.transform(documents)[tables.topic_columns(self.fitted)]
        words = self.fitted.guide.topics.mean().cpu().double().numpy()
        proportions = proportions.to_numpy(np.float64)
        return {
            "topic_term_dists": words / words.sum(1, keepdims=True),
            "doc_topic_dists": proportions / proportions.sum(1, keepdims=True),
            "doc_lengths": documents.lengths,
            "vocab": self.fitted.vocabulary.tolist(),
            "term_frequency": np.bincount(documents.words, minlength=len(self.fitted.vocabulary)),
        }

    def _own_corpus(self) -> Corpus:
        if self.corpus is None:
            raise DataError("the model was loaded without its corpus; give a corpus")
        return self.corpus

    def _documents(self, documents: Documents | None) -> Corpus:
        """Documents in the vocabulary of the model; the model's own for None."""
        if documents is None:
            return self._own_corpus()
        fit = self.fitted
        if isinstance(documents, Sequence) and not len(documents):
            raise DataError("there are no documents; give at least one")
        if isinstance(documents, dict) or (
            hasattr(documents, "shape") and len(documents.shape) > 1
        ):
            raise DataError("documents are no texts; make a corpus with Corpus.from_counts")
        if not isinstance(documents, Corpus):
            tokenizer = fit.tokenizer or Tokenizer(stop_words=None)
            names = documents.index if isinstance(documents, pd.Series) else None
            documents = corpus_of_texts(documents, tokenizer, names=names, hints=False)
        return map_words(documents, fit.vocabulary, drop_unknown=True)
