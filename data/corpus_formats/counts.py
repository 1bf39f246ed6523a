"""A corpus from counts of words."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..corpora import Corpus, offsets_of
from ..errors import DataError
from .checks import document_name


def corpus_of_counts(
    path: Path,
    vocabulary: np.ndarray,
    boundaries: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    names: np.ndarray | None = None,
) -> Corpus:
    """Write out counts in compressed sparse rows as tokens.

    Shapes: `boundaries` (documents + 1,), `words` and `counts` (entries,). The entries of
    document d are ``boundaries[d]:boundaries[d + 1]``.
    """
    if len(boundaries) < 2:
        raise DataError(f"{path}: has no documents; give one or more")
    offsets = offsets_of(counts)[boundaries]
    empty = np.flatnonzero(np.diff(offsets) == 0)
    if empty.size:
        raise DataError(
            f"{path}: {empty.size} of {len(offsets) - 1} documents have no words, the first is "
            f"{document_name(names, empty[0])}; remove these documents"
        )
    tokens = np.repeat(words.astype(np.int32), counts)
    return Corpus(tokens, offsets, vocabulary, names, source=str(path))
