"""A corpus from counts of words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from ..corpora import Corpus, offsets_of
from ..errors import DataError
from ..texts import described
from .checks import document_name, require_distinct, words_of
from .vocabulary_files import without_unused


def corpus_of_counts(
    path: Path,
    vocabulary: np.ndarray,
    boundaries: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    names: np.ndarray | None = None,
) -> Corpus:
    """Write out counts in compressed sparse rows as tokens; documents without words stay.

    Shapes: `boundaries` (documents + 1,), `words` and `counts` (entries,). The entries of
    document d are ``boundaries[d]:boundaries[d + 1]``.
    """
    if len(boundaries) < 2:
        raise DataError(f"{path}: has no documents; give one or more")
    offsets = offsets_of(counts)[boundaries]
    vocabulary, words = without_unused(path, vocabulary, words)
    tokens = np.repeat(words.astype(np.int32), counts)
    return Corpus(tokens, offsets, vocabulary, names, source=str(path))


def corpus_of_csr(
    path: Path,
    vocabulary: np.ndarray,
    counts: scipy.sparse.csr_matrix,
    what: str,
    names: np.ndarray | None = None,
) -> Corpus:
    """Make a corpus of counts, shape (documents, vocabulary_size); ``what`` names them.

    Raises
    ------
    DataError
        If they are no whole counts.
    """
    require_counts(counts, path, what, names)
    number = counts.data.astype(np.int64)
    return corpus_of_counts(path, vocabulary, counts.indptr, counts.indices, number, names)


def require_counts(
    counts: scipy.sparse.csr_matrix, source: Path | str, what: str, names: np.ndarray | None
) -> None:
    """Require whole counts, shape (documents, vocabulary_size); ``what`` names them."""
    if counts.dtype.kind not in "biuf":
        raise DataError(f"{source}: has no numbers in {what}; put the counts there")
    with np.errstate(invalid="ignore"):  # NaN and infinity fail the comparisons
        is_count = (counts.data >= 0) & (counts.data < 2**31) & (counts.data % 1 == 0)
    wrong = np.flatnonzero(~is_count)
    if wrong.size:
        row = np.searchsorted(counts.indptr, wrong[0], side="right") - 1
        raise DataError(
            f"{source}: {what} holds {counts.data[wrong[0]]} in {document_name(names, row)}; "
            f"{what} must be raw counts, so put the layer that holds them in {what}"
        )


def corpus_of_matrix(
    matrix: Any,
    vocabulary: Sequence[str] | None = None,
    labels: Sequence[Any] | None = None,
    names: Sequence[Any] | None = None,
) -> Corpus:
    """Make a corpus of a matrix of counts; see :meth:`~exvae.data.corpora.Corpus.from_counts`.

    Documents without words stay. Raises DataError unless counts and vocabulary fit together.
    """
    source = "the counts"
    if isinstance(matrix, pd.DataFrame):
        vocabulary = matrix.columns if vocabulary is None else vocabulary
        names = matrix.index if names is None else names
        matrix = matrix.to_numpy()
    if vocabulary is None:
        raise DataError(f"{source}: have no vocabulary; give the word of each column")
    try:
        counts = scipy.sparse.csr_matrix(matrix)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{source}: are no matrix of numbers ({error}); give documents by words"
        ) from error
    words = words_of(vocabulary, source)
    if counts.shape[1] != len(words):
        raise DataError(
            f"{source}: have {counts.shape[1]} columns but the vocabulary has {len(words)} words; "
            "give one word for each column"
        )
    require_distinct(source, words)
    require_counts(counts, source, "the matrix", None)
    number = counts.data.astype(np.int64)
    if not number.any():
        raise DataError(f"{source}: are all zero; give documents with words")
    corpus = Corpus(
        np.repeat(counts.indices.astype(np.int32), number),
        offsets_of(number)[counts.indptr],
        words,
        source=source,
    )
    return described(corpus, names, labels)
