"""A corpus in any of the formats.

Whatever is wrong with a file ends in a DataError of one line that names the file and the remedy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..corpora import Corpus, offsets_of
from ..errors import DataError
from .checks import document_name, require_distinct
from .files import reading_corpus
from .h5ad import read_h5ad
from .lda_c import read_lda_c
from .npz import read_npz
from .text import read_folder, read_text
from .uci import read_uci

_UCI_NAME = re.compile(r"docword\.(.+\.)?txt(\.gz)?")


def read_corpus(
    path: str | os.PathLike[str],
    vocabulary: Sequence[str] | np.ndarray | None = None,
    drop_unknown: bool = False,
) -> Corpus:
    """Read a corpus in any of the formats, recognised by the name of the file.

    ==================================== =========================================================
    ``docword.NAME.txt``, also ``.gz``   UCI bag of words, beside ``vocab.NAME.txt``
    ``NAME.dat``                         Blei's lda-c, beside ``NAME.vocab``, ``NAME.vocab.txt``
                                         or ``vocab.txt``
    ``.npz``                             of `write_corpus`; the words are mapped, not loaded
    ``.h5ad``                            counts in X; splits in ``obs["split"]``
    a folder                             of ``.txt`` files; the folder of a file is its label
    any other file, also ``.gz``         tab-separated, a line for each document: tokens
                                         separated by spaces, optional split, optional label
    ==================================== =========================================================

    Text and folders have no vocabulary of their own: theirs is the sorted distinct words.

    Parameters
    ----------
    path
        File or folder.
    vocabulary
        Shape (vocabulary_size,): the vocabulary of a model, onto which words are mapped by name.
    drop_unknown
        Leave out words that are not in `vocabulary`.

    Raises
    ------
    DataError
        If the corpus cannot be used, or holds words that are not in `vocabulary` and
        `drop_unknown` is false, or documents in which no word is left.
    """
    path = Path(path)
    with reading_corpus(path):
        if path.is_dir():
            corpus = read_folder(path)
        elif path.stat().st_size == 0:
            raise DataError(f"{path}: empty file; write or fetch it again")
        elif path.suffix == ".npz":
            corpus = read_npz(path)
        elif path.suffix == ".h5ad":
            corpus = read_h5ad(path)
        elif path.suffix == ".dat":
            corpus = read_lda_c(path)
        elif _UCI_NAME.fullmatch(path.name):
            corpus = read_uci(path)
        else:
            corpus = read_text(path)
        if vocabulary is None:
            return corpus
        return _map_words(corpus, np.asarray(vocabulary, np.str_), drop_unknown)


def _map_words(corpus: Corpus, vocabulary: np.ndarray, drop_unknown: bool) -> Corpus:
    """Express a corpus in another vocabulary, word by word."""
    if np.array_equal(corpus.vocabulary, vocabulary):
        return corpus  # and words mapped from a file stay there
    require_distinct("the given vocabulary", vocabulary)
    positions = {word: position for position, word in enumerate(vocabulary.tolist())}
    mapping = np.array([positions.get(word, -1) for word in corpus.vocabulary.tolist()], np.int32)
    words = mapping[corpus.words]
    known = words >= 0
    if known.all():
        return replace(corpus, words=words, vocabulary=vocabulary)
    if not drop_unknown:
        unknown = np.unique(corpus.words[~known])
        first = str(corpus.vocabulary[corpus.words[np.argmin(known)]])
        raise DataError(
            f"{corpus.source}: {len(unknown)} of {len(mapping)} words ({np.sum(~known)} of "
            f"{len(known)} tokens) are not in the vocabulary of the model, the first is {first!r}; "
            "set drop_unknown to leave them out"
        )
    lengths = np.add.reduceat(known, corpus.offsets[:-1], dtype=np.int64)
    if not lengths.all():
        raise DataError(
            f"{corpus.source}: {np.sum(lengths == 0)} of {len(lengths)} documents have no word in "
            "the vocabulary of the model, the first is "
            f"{document_name(corpus.names, np.argmin(lengths))}; remove these documents"
        )
    return replace(corpus, words=words[known], offsets=offsets_of(lengths), vocabulary=vocabulary)
