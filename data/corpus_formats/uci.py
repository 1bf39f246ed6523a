"""Corpora in the UCI bag of words format, ``docword.NAME.txt`` beside ``vocab.NAME.txt``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ..corpora import Corpus, offsets_of
from ..errors import DataError
from .counts import corpus_of_counts
from .files import open_file
from .vocabulary_files import read_vocabulary, vocabulary_beside


def read_uci(path: Path, vocabulary_file: Path | None) -> Corpus:
    """Read a corpus, a line ``document word count`` for each entry; DataError if malformed."""
    vocabulary_path = vocabulary_beside(path, vocabulary_file)
    vocabulary = read_vocabulary(vocabulary_path)
    with open_file(path) as file:
        try:
            num_documents, num_words, num_entries = (int(file.readline()) for _ in range(3))
        except ValueError as error:
            raise DataError(
                f"{path}: the first three lines must be the numbers of documents, of words and of "
                "entries; give a file in the UCI bag of words format"
            ) from error
        # gensim counts words up to the last one that occurs.
        by_gensim = vocabulary_path.name.startswith(f"{path.name.removesuffix('.gz')}.vocab")
        if num_words != len(vocabulary) and not (by_gensim and num_words < len(vocabulary)):
            raise DataError(
                f"{path}: line 2 says {num_words} words but {vocabulary_path.name} has "
                f"{len(vocabulary)}; put the vocabulary of this corpus beside it"
            )
        try:
            table = pd.read_csv(file, sep=r"\s+", header=None, dtype=np.int64).to_numpy()
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"{path}: every line after the third must be three integers, document word count; "
                f"correct the file ({error})"
            ) from error
    if table.shape != (num_entries, 3):
        raise DataError(
            f"{path}: line 3 says {num_entries} entries of 3 columns but the file has "
            f"{table.shape[0]} of {table.shape[1]}; it may be truncated, fetch it again"
        )
    documents, words, counts = table.T
    for name, values, largest in (
        ("document", documents, num_documents),
        ("word", words, num_words),
        ("count", counts, np.iinfo(np.int32).max),
    ):
        wrong = np.flatnonzero((values < 1) | (values > largest))
        if wrong.size:
            raise DataError(
                f"{path}: line {wrong[0] + 4} has the {name} {values[wrong[0]]}, which must be "
                f"from 1 to {largest}; correct the line"
            )
    # Entries are nearly always ordered by document, and then the sort costs next to nothing.
    order = np.argsort(documents, kind="stable")
    boundaries = offsets_of(np.bincount(documents - 1, minlength=num_documents))
    return corpus_of_counts(path, vocabulary, boundaries, words[order] - 1, counts[order])
