"""The words of documents given their topics, with the topic of each word summed out."""

from __future__ import annotations

import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor
from torch.nn import functional


class WordSets(TorchDistribution):
    r"""Sets of words, one set for each document, exchangeable within the document.

    .. math:: p(w_d \mid \theta_d, \phi) = \prod_j \sum_k \theta_{dk} \phi_{k w_{dj}}

    (Chan, Spence & Song, appendix A, with z summed out). Documents have different numbers of
    words, so a value is flat: the words of all documents one after another, shape (words,).
    ``log_prob`` has one entry for each document; memory is words x topics.

    Parameters
    ----------
    document_topics
        Topic proportions theta, shape (documents, topics).
    topic_words
        Word probabilities phi, shape (topics, vocabulary).
    offsets
        Document d's words are ``value[offsets[d]:offsets[d + 1]]``, shape (documents + 1,), int64.
    """

    arg_constraints = {"document_topics": constraints.simplex, "topic_words": constraints.simplex}
    support = constraints.independent(constraints.nonnegative_integer, 1)

    def __init__(
        self,
        document_topics: Tensor,
        topic_words: Tensor,
        offsets: Tensor,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.document_topics = document_topics
        self.topic_words = topic_words
        self.offsets = offsets
        documents = torch.arange(len(document_topics), device=offsets.device)
        self.documents = documents.repeat_interleave(offsets.diff())
        super().__init__(
            document_topics.shape[:-1], self.documents.shape, validate_args=validate_args
        )

    def expand(self, batch_shape: torch.Size, _instance: WordSets | None = None) -> WordSets:
        """Return the distribution itself: ragged sets cannot be repeated.

        Raises
        ------
        ValueError
            If the batch shape is not (documents,).
        """
        if torch.Size(batch_shape) != self.batch_shape:
            raise ValueError(
                f"sets of words have batch shape {tuple(self.batch_shape)} and cannot be expanded "
                f"to {tuple(batch_shape)}"
            )
        return self

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of each document's words in nats, shape (documents,).

        Parameters
        ----------
        value
            Vocabulary indices, shape (words,), int64.

        Raises
        ------
        ValueError
            If validation is on and the value has another length or an index outside the
            vocabulary.
        """
        if self._validate_args:
            self._validate_words(value)
        probabilities = torch.linalg.vecdot(
            self.document_topics.index_select(0, self.documents),
            functional.embedding(value, self.topic_words.T.contiguous()),
        )
        # A word that no topic holds can underflow to zero in float32; it stays finite.
        log_probabilities = probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()
        total = log_probabilities.new_zeros(self.batch_shape)
        return total.index_add(0, self.documents, log_probabilities)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw words for the lengths given by ``offsets``, shape sample_shape + (words,)."""
        with torch.no_grad():
            draws = torch.Size(sample_shape).numel()
            topics = self.document_topics.index_select(0, self.documents.repeat(draws))
            topics = (
                torch.multinomial(topics, 1).squeeze(-1) if len(topics) else topics[:, 0].long()
            )
            words = torch.empty_like(topics)
            for topic, probabilities in enumerate(self.topic_words):
                chosen = topics == topic
                count = int(chosen.sum())
                if count:
                    words[chosen] = torch.multinomial(probabilities, count, replacement=True)
        return words.reshape(torch.Size(sample_shape) + self.event_shape)

    def _validate_words(self, value: Tensor) -> None:
        if value.shape[-1:] != self.event_shape:
            raise ValueError(
                f"the offsets say {self.event_shape[0]} words, but the value's shape is "
                f"{tuple(value.shape)}"
            )
        vocabulary_size = self.topic_words.shape[-1]
        if value.numel() and not 0 <= int(value.min()) <= int(value.max()) < vocabulary_size:
            raise ValueError(f"a word's index is outside the vocabulary of {vocabulary_size} words")
