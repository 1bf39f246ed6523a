"""Documents drawn from latent Dirichlet allocation, with the truth that they were drawn from.

Lengths, topics, proportions and words each have a random stream of their own, read from the first
document to the last. A corpus therefore does not depend on the number of documents drawn at once,
and a corpus larger than memory can be written array after array, reading the streams again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..corpora import Corpus
from ..npz import ArrayParts, write_npz

LENGTHS = ("fixed", "poisson", "heavy-tailed")
DEFAULT_LENGTH_DISPERSION = 1.0

# A document of more words would not fit into memory, where documents are drawn as a whole.
_LARGEST_MEAN_LENGTH = 1e7
# Beyond it one document is as long as all others together.
_LARGEST_LENGTH_DISPERSION = 3.0
# Words and proportions drawn at once; bounds the memory.
_CHUNK = 1 << 19
# Streams of random numbers; the meaning of a seed depends on their order.
_STREAMS = ("lengths", "rates of lengths", "topic words", "document topics", "words")


@dataclass(frozen=True)
class SimulatedCorpus:
    """A corpus and its truth.

    Attributes
    ----------
    corpus
        The documents.
    topic_words
        Topics phi, shape (topics, vocabulary), float64.
    document_topics
        Proportions theta, shape (documents, topics), float32.
    """

    corpus: Corpus
    topic_words: np.ndarray
    document_topics: np.ndarray


@dataclass(frozen=True)
class CorpusSimulator:
    r"""A corpus yet to be drawn (Chan, Spence & Song, appendix A).

    Parameters
    ----------
    num_documents, num_topics, vocabulary_size
        D, K and V, the numbers of documents, topics and words.
    mean_length
        Mean number of words of a document.
    lengths
        Distribution of the lengths. ``fixed``: all the same. ``poisson``: one plus a Poisson
        number. ``heavy-tailed``: one plus a Poisson number whose rate is log-normal (Bulmer,
        1974), so that with m = mean_length - 1 and s = length_dispersion the variance is
        m + m^2 (exp(s^2) - 1).
    length_dispersion
        Standard deviation of the rate's logarithm, for heavy-tailed lengths only, 1 by default; the
        news articles of the BBC have 0.5.
    document_concentration
        Dirichlet parameter alpha of each topic.
    topic_concentration
        Dirichlet parameter beta of each word.
    seed
        Seed of all draws.

    Raises
    ------
    ValueError
        If a size is below 1, there are no such lengths, or a parameter is out of range.
    """

    num_documents: int
    num_topics: int
    vocabulary_size: int
    mean_length: float
    _: KW_ONLY
    lengths: str = "poisson"
    length_dispersion: float | None = None
    document_concentration: float = 0.1
    topic_concentration: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not min(self.num_documents, self.num_topics, self.vocabulary_size) >= 1:
            raise ValueError("documents, topics and vocabulary must be at least 1")
        if not 1 <= self.mean_length <= _LARGEST_MEAN_LENGTH:
            raise ValueError(
                f"mean_length is {self.mean_length}; "
                f"it must be at least 1 and at most {_LARGEST_MEAN_LENGTH:g}"
            )
        if self.lengths not in LENGTHS:
            raise ValueError(f"lengths is {self.lengths!r}; choose one of {', '.join(LENGTHS)}")
        if self.lengths == "fixed" and self.mean_length % 1:
            raise ValueError(
                f"mean_length is {self.mean_length}, but fixed lengths are whole numbers; "
                "give one or choose other lengths"
            )
        if self.length_dispersion is not None:
            if self.lengths != "heavy-tailed":
                raise ValueError(
                    f"length_dispersion is for heavy-tailed lengths, not {self.lengths} ones; "
                    "leave it out"
                )
            if not 0 < self.length_dispersion <= _LARGEST_LENGTH_DISPERSION:
                raise ValueError(
                    f"length_dispersion is {self.length_dispersion}; "
                    f"give one above 0 and up to {_LARGEST_LENGTH_DISPERSION:g}"
                )
        for name in ("document_concentration", "topic_concentration"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")

    def draw(self) -> SimulatedCorpus:
        """Draw the corpus into memory."""
        arrays = {name: parts.array() for name, parts in self._arrays().items()}
        corpus = Corpus(
            arrays["words"],
            arrays["offsets"],
            arrays["vocabulary"],
            source="the simulated corpus",
        )
        return SimulatedCorpus(corpus, arrays["true_topic_words"], arrays["true_document_topics"])

    def write(self, path: str | os.PathLike[str]) -> int:
        """Draw the corpus into a file, in memory that does not grow with the documents.

        The file equals the one that :func:`~.corpora.write_corpus` writes of the corpus drawn into
        memory, with the truth in its arrays ``true_topic_words`` and ``true_document_topics``; it
        appears when it is complete.

        Returns
        -------
        int
            Number of words in all documents together.

        Raises
        ------
        DataError
            If the file cannot be written, or its name does not end in ``.npz``.
        """
        arrays = self._arrays()
        write_npz(Path(path), arrays)
        return arrays["words"].shape[0]

    @cached_property
    def topic_words(self) -> np.ndarray:
        """Give phi, shape (topics, vocabulary), float64."""
        concentrations = np.full(self.vocabulary_size, self.topic_concentration)
        return self._stream("topic words").dirichlet(concentrations, self.num_topics)

    def _arrays(self) -> dict[str, ArrayParts]:
        num_tokens = sum(int(lengths.sum()) for lengths in self._lengths())
        width = len(str(self.vocabulary_size - 1))
        vocabulary = [f"word{index:0{width}d}" for index in range(self.vocabulary_size)]
        truth = (self.num_documents, self.num_topics)
        return {
            "words": ArrayParts((num_tokens,), np.int32, self._words()),
            "offsets": ArrayParts((self.num_documents + 1,), np.int64, self._offsets()),
            "vocabulary": ArrayParts.of(np.array(vocabulary)),
            "true_topic_words": ArrayParts.of(self.topic_words),
            "true_document_topics": ArrayParts(truth, np.float32, self._document_topics()),
        }

    # The methods below yield one chunk of documents after another.

    def _chunks(self) -> Iterator[int]:
        """Yield numbers of documents."""
        size = max(1, int(_CHUNK / max(self.mean_length, self.num_topics)))
        for start in range(0, self.num_documents, size):
            yield min(size, self.num_documents - start)

    def _lengths(self) -> Iterator[np.ndarray]:
        """Yield words of each document, shape (documents,), int64."""
        stream, rates = self._stream("lengths"), self._stream("rates of lengths")
        excess = self.mean_length - 1
        for size in self._chunks():
            if self.lengths == "fixed":
                yield np.full(size, int(self.mean_length))
            elif self.lengths == "poisson":
                yield 1 + stream.poisson(excess, size)
            else:
                spread = self.length_dispersion or DEFAULT_LENGTH_DISPERSION
                # The mean of a log-normal variable is above its median by this.
                factors = rates.lognormal(-0.5 * spread**2, spread, size)
                yield 1 + stream.poisson(excess * factors)

    def _offsets(self) -> Iterator[np.ndarray]:
        end = np.zeros(1, np.int64)
        yield end
        for lengths in self._lengths():
            offsets = end + lengths.cumsum()
            yield offsets
            end = offsets[-1]

    def _document_topics(self) -> Iterator[np.ndarray]:
        """Yield theta, shape (documents, topics), float64."""
        stream = self._stream("document topics")
        concentrations = np.full(self.num_topics, self.document_concentration)
        for size in self._chunks():
            yield stream.dirichlet(concentrations, size)

    def _words(self) -> Iterator[np.ndarray]:
        """Yield the words of all documents, shape (words,)."""
        stream = self._stream("words")
        of_topics = _cumulative(self.topic_words)
        for lengths, document_topics in zip(self._lengths(), self._document_topics(), strict=True):
            documents = np.repeat(np.arange(len(lengths)), lengths)
            uniform = stream.random((len(documents), 2))
            topics = _draw_categories(_cumulative(document_topics), documents, uniform[:, 0])
            yield _draw_categories(of_topics, topics, uniform[:, 1])

    def _stream(self, name: str) -> np.random.Generator:
        """Start a stream from its beginning."""
        key = (_STREAMS.index(name),)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def simulate_corpus(
    num_documents: int, num_topics: int, vocabulary_size: int, mean_length: float, **options
) -> SimulatedCorpus:
    """Draw a corpus into memory; arguments of :class:`CorpusSimulator`."""
    simulator = CorpusSimulator(num_documents, num_topics, vocabulary_size, mean_length, **options)
    return simulator.draw()


def _cumulative(probabilities: np.ndarray) -> np.ndarray:
    """Cumulative probabilities of each row and the row's number, so that all increase as one."""
    cumulative = probabilities.cumsum(-1)
    return cumulative / cumulative[:, -1:] + np.arange(len(cumulative))[:, None]


def _draw_categories(cumulative: np.ndarray, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Draw a category from each of these rows of :func:`_cumulative`, shape (draws,)."""
    num_categories = cumulative.shape[1]
    categories = np.searchsorted(cumulative.ravel(), rows + uniform, side="right")
    # The sum may be rounded up to the next row's.
    return np.minimum(categories - rows * num_categories, num_categories - 1)
