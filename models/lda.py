"""Latent Dirichlet allocation (Chan, Spence & Song, appendix A; Blei, Ng & Jordan, 2003).

::

    theta_d ~ Dirichlet(alpha)            topic proportions of document d
    phi_k   ~ Dirichlet(beta)             word probabilities of topic k
    w_dj    ~ Categorical(theta_d phi)    word j of document d, its topic z_dj summed out
"""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import Dirichlet
from torch import Tensor

from .base import UniquelyNamedModule
from .distributions.word_sets import WordSets


class LDA(UniquelyNamedModule):
    """Topic model of documents, each a set of words.

    Parameters
    ----------
    vocabulary_size
        V, the number of distinct words.
    num_topics
        K, the number of topics.
    document_concentration
        alpha of each topic at the start; 1 / K by default. A guide may learn it.
    topic_concentration
        beta of each word.
    """

    document_concentration: Tensor
    topic_concentration: Tensor

    def __init__(
        self,
        vocabulary_size: int,
        num_topics: int,
        *,
        document_concentration: float | None = None,
        topic_concentration: float = 0.1,
    ) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.num_topics = num_topics
        alpha = 1.0 / num_topics if document_concentration is None else document_concentration
        self.register_buffer("document_concentration", torch.full((num_topics,), float(alpha)))
        self.register_buffer("topic_concentration", torch.tensor(float(topic_concentration)))
        for name, value in self.named_buffers():
            if not (value > 0).all():
                raise ValueError(f"{name} is {value.min():g}; give a positive number")

    def forward(
        self,
        words: Tensor,
        offsets: Tensor,
        indices: Tensor,
        num_documents: int,
        obs: Tensor | None = None,
    ) -> Tensor:
        """Generate a minibatch of documents, or score the words observed.

        Parameters
        ----------
        words
            Input of the guide, unused here, shape (words,), int64.
        offsets
            Document d of the minibatch has ``offsets[d + 1] - offsets[d]`` words, shape
            (documents + 1,), int64.
        indices
            Positions of the minibatch's documents in the corpus, shape (documents,), int64.
        num_documents
            Documents in the whole corpus; scales the minibatch.
        obs
            Vocabulary indices of the words observed, shape (words,), int64; None generates them.

        Returns
        -------
        Tensor
            The words, shape (words,), int64.
        """
        with pyro.plate("topics", self.num_topics):
            topic_words = pyro.sample("topic_words", self.topic_words_prior())
        with pyro.plate("documents", num_documents, subsample=indices):
            document_topics = pyro.sample("document_topics", self.document_topics_prior())
            return pyro.sample("words", WordSets(document_topics, topic_words, offsets), obs=obs)

    def topic_words_prior(self) -> Dirichlet:
        """Distribution of one topic's word probabilities, event shape (vocabulary,)."""
        return Dirichlet(self.topic_concentration.expand(self.vocabulary_size))

    def document_topics_prior(self) -> Dirichlet:
        """Distribution of one document's topic proportions, event shape (topics,)."""
        return Dirichlet(self.document_concentration)
