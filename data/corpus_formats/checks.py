"""Requirements that several formats have, and names of documents in messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from ..corpora import SPLITS, Corpus
from ..errors import DataError, shortened

# Other names of the splits, in small letters.
SPLIT_NAMES = {
    **{split: split for split in SPLITS},
    **{"training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test"},
}


def document_name(names: np.ndarray | None, position: int | np.integer) -> str:
    """Name a document in a message."""
    return f"document {position + 1}" if names is None else f"{str(names[position])!r}"


def require_distinct(path: Path | str, words: np.ndarray) -> None:
    """Require that no word occurs twice in a vocabulary, shape (vocabulary_size,)."""
    distinct, first = np.unique(words, return_index=True)
    if len(distinct) < len(words):
        repeated = np.delete(words, first)[0]
        raise DataError(
            f"{path}: the vocabulary has {str(repeated)!r} more than once; make its words distinct"
        )


def words_of(vocabulary: Any, source: Path | str) -> np.ndarray:
    """Give a vocabulary as an array of words, shape (vocabulary_size,).

    Parameters
    ----------
    vocabulary
        A list or array of words; numbers from 0 by word, as ``CountVectorizer.vocabulary_``; or
        words by number, as gensim's dictionary.
    source
        Origin of the vocabulary, for messages.

    Raises
    ------
    DataError
        If it is something else, or its numbers are not those from 0 on.
    """
    if isinstance(vocabulary, Mapping):
        pairs = list(vocabulary.items())
        if pairs and isinstance(pairs[0][1], Integral):
            pairs = [(number, word) for word, number in pairs]
        numbers = [number for number, _ in pairs]
        if set(numbers) != set(range(len(numbers))):
            raise DataError(
                f"{source}: the vocabulary does not number its {len(numbers)} words from 0 on; "
                "give a list of words"
            )
        vocabulary = [word for _, word in sorted(pairs)]
    if isinstance(vocabulary, str | bytes | Set) or np.ndim(vocabulary) != 1:
        raise DataError(
            f"{source}: the vocabulary is of the type {type(vocabulary).__name__}; give a list of "
            "words"
        )
    return np.asarray(vocabulary, np.str_)


def require_words_everywhere(corpus: Corpus) -> None:
    """Require that every document has a word."""
    empty = np.flatnonzero(corpus.lengths == 0)
    if empty.size:
        raise DataError(
            f"{corpus.source}: {empty.size} of {corpus.num_documents} documents have no words, the "
            f"first is {document_name(corpus.names, empty[0])}; remove these documents, or leave "
            "out --keep-empty (keep_empty)"
        )


def checked_splits(
    path: Path | str, values: Sequence[str] | np.ndarray, unit: str, hint: str = ""
) -> np.ndarray:
    """Give splits by their names here, shape (documents,); capitals and synonyms are the same.

    Parameters
    ----------
    path
        The file or table, for messages.
    values
        Splits as the file has them, shape (documents,): ``train``, ``Training``, ``dev`` and so on.
    unit
        Name of a document in the file.
    hint
        End of the message.

    Raises
    ------
    DataError
        If a value is no split.
    """
    values = np.array(values, np.str_)
    splits = np.array([SPLIT_NAMES.get(own.strip().lower(), "") for own in values], np.str_)
    wrong = np.flatnonzero(splits == "")
    if wrong.size:
        found = shortened(repr(str(values[wrong[0]])))
        raise DataError(
            f"{path}: {unit} {wrong[0] + 1} has the split {found}; "
            f"it must be one of {', '.join(SPLITS)}{hint}"
        )
    return splits
