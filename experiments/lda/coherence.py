"""Coherence of topics: normalised pointwise mutual information of their top words."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from ...data.corpora import Corpus
from ...data.errors import DataError

# Number of neighbouring words that occur together, by measure; None is the whole document.
MEASURES: dict[str, int | None] = {"c_npmi": 10, "npmi_documents": None}
# As in gensim, so that probabilities of zero have a logarithm.
_EPSILON = 1e-12
# Tokens counted at once, which bounds memory.
_BLOCK = 1 << 20


def coherence(
    corpus: Corpus, words: np.ndarray, *, measure: str = "c_npmi", block: int = _BLOCK
) -> np.ndarray:
    """Mean normalised pointwise mutual information of the pairs of top words of each topic.

    NPMI = log(p(v, w) / p(v) p(w)) / -log p(v, w), where p is the share of windows that hold a
    word, or both (Röder, Both & Hinneburg, 2015). It is 1 for words that occur only together and
    -1 for words that never do.

    Parameters
    ----------
    corpus
        The documents.
    words
        Top words of each topic, shape (topics, top), positions in the vocabulary.
    measure
        ``c_npmi``: windows are all runs of 10 words of a document, counted as gensim does.
        ``npmi_documents``: windows are documents, for which counts of words are enough.
    block
        Tokens counted at once.

    Returns
    -------
    numpy.ndarray
        Shape (topics,).

    Raises
    ------
    DataError
        If the measure does not exist, or needs an order of words that the corpus does not have.
    """
    if measure not in MEASURES:
        raise DataError(f"measure is {measure!r}; choose one of {', '.join(MEASURES)}")
    if words.shape[1] < 2:
        raise DataError("top is 1; coherence is of pairs of words, so give at least 2")
    window = MEASURES[measure]
    if window is not None and corpus.tokenizer is None:
        raise DataError(
            f"{corpus.source}: is made of counts, so its words have no order; choose the measure "
            "npmi_documents"
        )
    chosen, columns = np.unique(words, return_inverse=True)
    columns = columns.reshape(words.shape)
    together = np.zeros((len(chosen), len(chosen)))
    total = 0
    for first, last in _blocks(corpus.offsets, block):
        incidence = _incidence(corpus, first, last, chosen, window)
        together += (incidence.T @ incidence).toarray()
        total += incidence.shape[0]
    return np.array([_mean_npmi(together[np.ix_(own, own)] / total) for own in columns])


def _mean_npmi(joint: np.ndarray) -> float:
    """Mean over pairs of words, given their joint probabilities, shape (top, top).

    As in gensim a pair with a word that never occurs counts as 0.
    """
    first, second = np.triu_indices(len(joint), 1)
    single = joint.diagonal()
    pairs = joint[first, second]
    independent = single[first] * single[second]
    seen = independent > 0
    information = np.zeros(len(pairs))
    information[seen] = np.log((pairs[seen] + _EPSILON) / independent[seen])
    return float(np.mean(information / -np.log(pairs + _EPSILON)))


def _blocks(offsets: np.ndarray, size: int) -> list[tuple[int, int]]:
    """First and last document + 1 of blocks of about ``size`` tokens."""
    numbers = offsets[:-1] // size
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    return list(zip(starts, [*starts[1:], len(numbers)], strict=True))


def _incidence(
    corpus: Corpus, first: int, last: int, chosen: np.ndarray, window: int | None
) -> csr_matrix:
    """Mark which windows of documents ``first:last`` hold which words.

    Returns a matrix of zeros and ones, shape (windows, chosen words). Like gensim it forgets all
    occurrences of a word in a window as soon as one of them leaves it, until the word enters again.
    """
    lengths = corpus.lengths[first:last]
    size = max(int(lengths.max()), 1) if window is None else window
    last_windows = np.maximum(lengths - size, 0)
    bounds = np.concatenate([[0], np.cumsum(last_windows + 1)])
    own = corpus.words[corpus.offsets[first] : corpus.offsets[last]]
    column_of = np.full(corpus.vocabulary_size, -1)
    column_of[chosen] = np.arange(len(chosen))
    tokens = np.flatnonzero(column_of[own] >= 0)
    documents = np.repeat(np.arange(last - first), lengths)[tokens]
    places = tokens - (corpus.offsets[first:last] - corpus.offsets[first])[documents]
    columns = column_of[own[tokens]]
    enters = np.maximum(places - size + 1, 0)
    # The first occurrence of the word in the window that it enters is the first to leave.
    keys = (documents * len(chosen) + columns) * (int(lengths.max()) + 1)
    order = np.argsort(keys + places)
    sorted_keys = (keys + places)[order]
    leaves = places[order][np.searchsorted(sorted_keys, keys + enters)]
    leaves = np.minimum(leaves, last_windows[documents])
    spans = leaves - enters + 1
    rows = np.repeat(bounds[documents] + enters, spans) + _ranges(spans)
    shape = (int(bounds[-1]), len(chosen))
    marks = csr_matrix((np.ones(len(rows)), (rows, np.repeat(columns, spans))), shape)
    marks.sum_duplicates()
    marks.data[:] = 1.0
    return marks


def _ranges(lengths: np.ndarray) -> np.ndarray:
    """Concatenate ``range(n)`` for each length."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
