"""Corpora in another vocabulary: of a model, or without rare and common words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..arguments import whole_number
from ..corpora import Corpus
from ..errors import DataError
from .checks import require_distinct, words_of


def map_words(
    corpus: Corpus, vocabulary: Sequence[str] | np.ndarray, *, drop_unknown: bool
) -> Corpus:
    """Express a corpus in another vocabulary, word by word.

    Parameters
    ----------
    corpus
        The corpus.
    vocabulary
        The other vocabulary, shape (vocabulary_size,).
    drop_unknown
        Leave out words that are not in it; a document may then have no word.

    Raises
    ------
    DataError
        If the corpus holds words that are not in the vocabulary and ``drop_unknown`` is false.
    """
    vocabulary = words_of(vocabulary, corpus.source)
    if np.array_equal(corpus.vocabulary, vocabulary):
        return corpus  # and words mapped from a file stay there
    require_distinct("the given vocabulary", vocabulary)
    positions = {word: position for position, word in enumerate(vocabulary.tolist())}
    mapping = np.array([positions.get(word, -1) for word in corpus.vocabulary.tolist()], np.int32)
    if not drop_unknown:
        _require_known(corpus, mapping)
    return _renumbered(corpus, mapping, vocabulary)


def limit_vocabulary(
    corpus: Corpus,
    *,
    min_df: int | float = 1,
    max_df: int | float = 1.0,
    max_features: int | None = None,
) -> Corpus:
    """Leave out words that few or many documents hold, as scikit-learn's CountVectorizer does.

    Parameters
    ----------
    corpus
        The corpus.
    min_df, max_df
        Fewest and most documents that may hold a word: a number of documents (int) or a share of
        all documents (float).
    max_features
        Number of words to keep, the most frequent ones; None keeps all.

    Raises
    ------
    DataError
        If no word is left.
    """
    _require_limits(min_df, max_df, max_features)
    limits = [
        limit if isinstance(limit, Integral) else limit * corpus.num_documents
        for limit in (min_df, max_df)
    ]
    if limits[0] <= 1 and limits[1] >= corpus.num_documents and max_features is None:
        return corpus
    size = corpus.vocabulary_size
    documents = np.repeat(np.arange(corpus.num_documents), corpus.lengths)
    pairs = np.unique(documents * size + corpus.words)
    frequencies = np.bincount(pairs % size, minlength=size)
    kept = np.flatnonzero((frequencies >= max(limits[0], 1)) & (frequencies <= limits[1]))
    if max_features is not None:
        counts = np.bincount(corpus.words, minlength=size)[kept]
        kept = np.sort(kept[np.argsort(-counts, kind="stable")[:max_features]])
    if not len(kept):
        raise DataError(
            f"{corpus.source}: no word is in at least {min_df} and at most {max_df} of "
            f"{corpus.num_documents} documents; lower min_df or raise max_df"
        )
    mapping = np.full(size, -1, np.int32)
    mapping[kept] = np.arange(len(kept))
    return _renumbered(corpus, mapping, corpus.vocabulary[kept])


def _require_limits(min_df: Any, max_df: Any, max_features: Any) -> None:
    """Require numbers of documents, or shares of them, and a number of words."""
    for name, limit in (("min_df", min_df), ("max_df", max_df)):
        if isinstance(limit, bool) or not isinstance(limit, Real) or limit < 0:
            raise DataError(f"{name} is {limit!r}; give a number of documents or a share as 0.5")
        if not isinstance(limit, Integral) and limit > 1:
            raise DataError(
                f"{name} is {limit!r}, but a share of documents is at most 1.0; for a number of "
                f"documents give {round(limit)}"
            )
    if max_features is not None:
        whole_number("max_features", max_features)


def require_words(corpus: Corpus) -> None:
    """Require that some document has a word; DataError otherwise."""
    if not corpus.num_tokens:
        raise DataError(f"{corpus.source}: no document has a word; give texts with words")


def _require_known(corpus: Corpus, mapping: np.ndarray) -> None:
    """Require that all words that occur have a number in ``mapping``, shape (vocabulary_size,)."""
    known = mapping[corpus.words] >= 0
    if known.all():
        return
    unknown = np.unique(corpus.words[~known])
    first = str(corpus.vocabulary[corpus.words[np.argmin(known)]])
    raise DataError(
        f"{corpus.source}: {len(unknown)} of {len(mapping)} words ({np.sum(~known)} of "
        f"{len(known)} tokens) are not in the vocabulary of the model, the first is {first!r}; "
        "drop_unknown (--drop-unknown) leaves them out"
    )


def _renumbered(corpus: Corpus, mapping: np.ndarray, vocabulary: np.ndarray) -> Corpus:
    """Give word ``w`` the number ``mapping[w]``; words of the number -1 are left out."""
    words = mapping[corpus.words]
    known = words >= 0
    if known.all():
        return replace(corpus, words=words, vocabulary=vocabulary)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(known)])
    return replace(corpus, words=words[known], offsets=ends[corpus.offsets], vocabulary=vocabulary)
