"""Words of documents given topic proportions and topics; the topic of each word is summed out."""

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
        Topic proportions theta, shape (..., documents, topics).
    topic_words
        Word probabilities phi, shape (..., topics, vocabulary).
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
        num_documents = document_topics.shape[-2]
        documents = torch.arange(num_documents, device=offsets.device)
        self.documents = documents.repeat_interleave(offsets.diff())
        outer = torch.broadcast_shapes(document_topics.shape[:-2], topic_words.shape[:-2])
        super().__init__(
            torch.Size([*outer, num_documents]), self.documents.shape, validate_args=validate_args
        )

    def expand(self, batch_shape: torch.Size, _instance: WordSets | None = None) -> WordSets:
        """Repeat the distribution over outer dimensions; the documents stay as they are.

        Raises
        ------
        ValueError
            If the last dimension of the batch shape is not (documents,).
        """
        *outer, num_documents = batch_shape
        if num_documents != self.batch_shape[-1]:
            raise ValueError(
                f"sets of words have batch shape {tuple(self.batch_shape)} and cannot be expanded "
                f"to {tuple(batch_shape)}"
            )
        new = self._get_checked_instance(WordSets, _instance)
        parts = (
            part.expand(*outer, *part.shape[-2:])
            for part in (self.document_topics, self.topic_words)
        )
        WordSets.__init__(new, *parts, self.offsets, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of each document's words in nats, shape (..., documents).

        Parameters
        ----------
        value
            Vocabulary indices, shape (..., words), int64; outer dimensions broadcast with the batch
            shape.

        Raises
        ------
        ValueError
            If validation is on and the value has another length or an index outside the
            vocabulary.
        """
        if self._validate_args:
            self._validate_words(value)
        probabilities = torch.linalg.vecdot(
            self.document_topics.index_select(-2, self.documents), self._topics_of(value)
        )
        # A word that no topic holds can underflow to zero in float32; it stays finite.
        log_probabilities = probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()
        shape = (*log_probabilities.shape[:-1], self.batch_shape[-1])
        total = log_probabilities.new_zeros(shape)
        return total.index_add(-1, self.documents, log_probabilities)

    def _topics_of(self, value: Tensor) -> Tensor:
        """Probability of each word in each topic, shape (..., words, topics)."""
        words = self.topic_words.mT.contiguous()
        if value.dim() == 1 and words.dim() == 2:
            return functional.embedding(value, words)
        outer = torch.broadcast_shapes(value.shape[:-1], words.shape[:-2])
        rows = value.expand(*outer, -1).unsqueeze(-1).expand(*outer, -1, words.shape[-1])
        return words.expand(*outer, -1, -1).gather(-2, rows)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw words for the lengths given by ``offsets``, shape sample_shape + (..., words)."""
        outer = self.batch_shape[:-1]
        thetas, phis = (
            part.expand(*outer, *part.shape[-2:]).reshape(-1, *part.shape[-2:])
            for part in (self.document_topics, self.topic_words)
        )
        draws = torch.Size(sample_shape).numel()
        drawn = [self._draw(*pair, draws) for pair in zip(thetas, phis, strict=True)]
        return torch.stack(drawn, 1).reshape(*sample_shape, *outer, *self.event_shape)

    def _draw(self, document_topics: Tensor, topic_words: Tensor, draws: int) -> Tensor:
        """Draw words given theta (documents, topics), phi (topics, vocabulary): (draws, words)."""
        topics = document_topics.index_select(0, self.documents.repeat(draws))
        topics = torch.multinomial(topics, 1).squeeze(-1) if len(topics) else topics[:, 0].long()
        words = torch.empty_like(topics)
        for topic, probabilities in enumerate(topic_words):
            chosen = topics == topic
            count = int(chosen.sum())
            if count:
                words[chosen] = torch.multinomial(probabilities, count, replacement=True)
        return words.reshape(draws, -1)

    def _validate_words(self, value: Tensor) -> None:
        if value.shape[-1:] != self.event_shape:
            raise ValueError(
                f"the offsets say {self.event_shape[0]} words, but the value's shape is "
                f"{tuple(value.shape)}"
            )
        vocabulary_size = self.topic_words.shape[-1]
        if value.numel() and not 0 <= int(value.min()) <= int(value.max()) < vocabulary_size:
            raise ValueError(f"a word's index is outside the vocabulary of {vocabulary_size} words")
