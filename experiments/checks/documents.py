"""Posterior predictive checks of topic models.

The model takes the lengths of documents as given, so the checks compare documents of equal length,
and the frequencies of words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from pyro.infer import Predictive

from ...data.corpora import Corpus
from ..drawing.panels import Curve, Panel
from ..lda.completion import INFERENCE_BATCH, batches
from ..lda.evaluation import chosen_documents
from ..lda.fitting import LDAFit
from .bins import LogBins, ratio
from .comparison import Check, Replication, check_blocks
from .document_readings import BURSTS, DISTINCT, FREQUENCY, GROUPS, READINGS, SPREAD, TOP
from .verdicts import Judge

# Word probabilities of topics that are drawn at once.
_BLOCK = 1 << 23

_LENGTHS = LogBins(0, 6, 5)  # words of a document
_COUNTS = LogBins(0, 9, 5)  # of a word in the corpus
_RANKS = LogBins(0, 7, 10)

_COUNT, _LENGTH = "occurrences of the word in the corpus", "words of the document"
PANELS = (
    Panel(FREQUENCY, "rank of the word", "share of all words", "xy"),
    Panel(SPREAD, _COUNT, "share of the documents", "xy"),
    Panel(BURSTS, _COUNT, "variance / mean over documents", "xy"),
    Panel(DISTINCT, _LENGTH, "distinct words / words"),
    Panel(TOP, _LENGTH, "share of the most frequent word"),
)


class DocumentStatistics:
    """Statistics of documents, in memory that does not grow with their number.

    Parameters
    ----------
    vocabulary_size
        V.
    bounds
        Lengths above which a document is medium, and long.
    """

    def __init__(self, vocabulary_size: int, bounds: tuple[float, float]) -> None:
        self.bounds = bounds
        self.num_documents = 0
        # Of each word: occurrences, their squares summed over documents, documents that hold it.
        self.counts, self.squares, self.holders = np.zeros((3, vocabulary_size))
        # By length: documents, their distinct words / words, and the share of their top word.
        self.documents, self.distinct, self.top = np.zeros((3, _LENGTHS.size))
        self.groups, self.distinct_of_groups = np.zeros((2, len(GROUPS)))

    def add(self, words: np.ndarray, offsets: np.ndarray) -> None:
        """Take in documents.

        Parameters
        ----------
        words
            Words of all documents, one after another, shape (words,), integers.
        offsets
            Position of each document's first word, and the end, shape (documents + 1,).
        """
        lengths = np.diff(offsets)
        vocabulary_size = len(self.counts)
        documents = np.repeat(np.arange(len(lengths)), lengths)
        pairs, counts = np.unique(documents * vocabulary_size + words, return_counts=True)
        document, word = np.divmod(pairs, vocabulary_size)
        self.num_documents += len(lengths)
        self.counts += np.bincount(word, counts, vocabulary_size)
        self.squares += np.bincount(word, counts.astype(float) ** 2, vocabulary_size)
        self.holders += np.bincount(word, minlength=vocabulary_size)
        distinct = np.bincount(document, minlength=len(lengths)) / np.maximum(lengths, 1)
        largest = np.zeros(len(lengths))
        np.maximum.at(largest, document, counts)
        self.documents += _LENGTHS.sums(lengths)
        self.distinct += _LENGTHS.sums(lengths, distinct)
        self.top += _LENGTHS.sums(lengths, largest / np.maximum(lengths, 1))
        group = np.searchsorted(self.bounds, lengths, side="left")
        self.groups += np.bincount(group, minlength=len(GROUPS))
        self.distinct_of_groups += np.bincount(group, distinct, len(GROUPS))

    @property
    def _bursts(self) -> np.ndarray:
        """Variance / mean of each word's count over documents, shape (vocabulary,)."""
        means = self.counts / self.num_documents
        return ratio(self.squares / self.num_documents - means**2, means)

    def scalars(self) -> dict[str, float]:
        """Give each statistic by its name, with its unit."""
        shares = self.counts / self.counts.sum()
        seen = shares > 0
        distinct = ratio(self.distinct_of_groups, self.groups)
        found = {
            "words of the vocabulary that occur": seen.sum(),
            "entropy of words (nats)": -np.sum(shares[seen] * np.log(shares[seen])),
            "variance / mean of a word's count, mean over tokens": np.sum(
                shares[seen] * self._bursts[seen]
            ),
            "documents that hold a word, mean over tokens (share)": np.sum(
                shares * self.holders / self.num_documents
            ),
            "share of a document's most frequent word, mean": self.top.sum() / self.num_documents,
        }
        for name, value in zip(GROUPS, distinct, strict=True):
            if not np.isnan(value):
                found[f"distinct words / words of {name} documents, mean"] = value
        return {name: float(value) for name, value in found.items()}

    def curves(self) -> dict[str, Curve]:
        """Give x and y of each panel by its title."""
        frequencies = np.sort(self.counts)[::-1] / self.counts.sum()
        ranks = np.arange(1, len(frequencies) + 1)
        of_ranks = ratio(_RANKS.sums(ranks, frequencies), _RANKS.sums(ranks))
        seen = self.counts > 0
        counts = self.counts[seen]
        number = _COUNTS.sums(counts)
        holders = _COUNTS.sums(counts, self.holders[seen] / self.num_documents)
        return {
            FREQUENCY: (_RANKS.centres, np.where(of_ranks > 0, of_ranks, np.nan)),
            SPREAD: (_COUNTS.centres, ratio(holders, number)),
            BURSTS: (_COUNTS.centres, ratio(_COUNTS.sums(counts, self._bursts[seen]), number)),
            DISTINCT: (_LENGTHS.centres, ratio(self.distinct, self.documents)),
            TOP: (_LENGTHS.centres, ratio(self.top, self.documents)),
        }


def check_documents(
    fit: LDAFit,
    corpus: Corpus,
    *,
    split: str = "test",
    replication: Replication = Replication(),  # noqa: B008  (immutable)
) -> Check:
    """Compare documents with documents generated by a fit.

    Parameters
    ----------
    fit, corpus
        The fit, and documents in its vocabulary.
    split
        ``train``, ``val``, ``test`` or ``all``.
    replication
        How the documents are replicated; with latents from the prior each new document has the
        length of an observed one.

    Raises
    ------
    DataError
        If no document is in the split.
    """
    corpus = chosen_documents(fit, corpus, split)
    bounds = tuple(np.quantile(corpus.lengths, (1 / 3, 2 / 3)))
    torch.manual_seed(replication.seed)
    check = check_blocks(
        lambda: DocumentStatistics(corpus.vocabulary_size, bounds),
        _blocks(fit, corpus, replication),
        replication.num_replicates,
        Judge("documents", READINGS, fit.options | fit.config["training"]),
    )
    scope = f"documents: {corpus.num_documents}; replicates: {replication.num_replicates}"
    return replace(check, scope=scope)


def _blocks(
    fit: LDAFit, corpus: Corpus, replication: Replication
) -> Iterator[tuple[int, Sequence[np.ndarray]]]:
    """Give the observed documents as data set 0, and then the replicates as 1, 2, ..."""
    for batch in batches(corpus, fit.device):
        yield 0, (batch.words.cpu().numpy(), batch.offsets.cpu().numpy())
    for number, *documents in replicate_documents(
        fit, corpus, replication.latents, replication.num_replicates
    ):
        yield number + 1, documents


def replicate_documents(
    fit: LDAFit,
    corpus: Corpus,
    latents: str,
    num_replicates: int,
    *,
    values_at_once: int = _BLOCK,
    block_size: int = INFERENCE_BATCH,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Generate documents like the documents of a corpus; all of a replicate share its topics.

    Parameters
    ----------
    fit, corpus
        The fit, and documents in its vocabulary.
    latents
        ``posterior`` or ``prior``.
    num_replicates
        Number of times that each document is replicated.
    values_at_once
        Word probabilities of topics that are drawn at once.
    block_size
        Documents that are generated at once.

    Yields
    ------
    tuple
        Number of the replicate, from 0 on; words of some documents, shape (words,); and their
        offsets, shape (documents + 1,).
    """
    guide = fit.guide
    at_once = max(1, values_at_once // guide.topics.concentration.numel())
    for first in range(0, num_replicates, at_once):
        number = min(at_once, num_replicates - first)
        drawn = {"topic_words": guide.topics.distribution().sample((number,))}
        for batch in batches(corpus, fit.device, block_size=block_size):
            local = {}
            if latents == "posterior":
                local = Predictive(guide, drawn)(*batch)
            generated = Predictive(guide.model, drawn | local)(*batch._replace(obs=None))
            offsets = batch.offsets.cpu().numpy()
            for offset, words in enumerate(generated["words"]):
                yield first + offset, words.cpu().numpy(), offsets
