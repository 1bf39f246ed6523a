"""A corpus in any of the formats.

==================================== =========================================================
``docword.NAME.txt``, also ``.gz``   UCI bag of words, beside ``vocab.NAME.txt``
``NAME.dat``                         Blei's lda-c, beside ``NAME.vocab``, ``NAME.vocab.txt``
                                     or ``vocab.txt``
``.npz``                             of `write_corpus`; the words are mapped, not loaded
``.h5ad``                            counts in X; splits in ``obs["split"]``
``.csv``, ``.jsonl``, also ``.gz``   tables with a column of texts
a folder                             of ``.txt`` files; the folder of a file is its label
any other file, also ``.gz``         tab-separated, a line for each document: text, optional
                                     split, optional label
==================================== =========================================================

Texts have no vocabulary of their own: theirs is the sorted distinct words. A folder or
tab-separated file whose texts have no capital letter and no sentence punctuation is taken as
tokenised already: words are separated by spaces.

Whatever is wrong with a file ends in a DataError of one line that names the file and the remedy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..corpora import Corpus
from ..errors import DataError
from ..tokenizer import Tokenizer
from .files import reading_corpus
from .h5ad import read_h5ad
from .lda_c import read_lda_c
from .npz import read_npz
from .options import TextOptions
from .tables import TABLE_NAME, read_table
from .text import read_folder, read_text
from .uci import read_uci
from .vocabularies import limit_vocabulary, map_words, require_words

_UCI_NAME = re.compile(r"docword\.(.+\.)?txt(\.gz)?")


def read_corpus(
    path: str | os.PathLike[str],
    vocabulary: Sequence[str] | np.ndarray | None = None,
    drop_unknown: bool = False,
    *,
    text: str = "text",
    label: str | None = None,
    id: str | None = None,
    tokens: bool = False,
    tokenizer: Tokenizer | None = None,
    min_df: int | float = 1,
    max_df: int | float = 1.0,
    max_features: int | None = None,
    **tokenizing: Any,
) -> Corpus:
    """Read a corpus in any of the formats of this module, recognised by the name of the file.

    Parameters
    ----------
    path
        File or folder.
    vocabulary
        Shape (vocabulary_size,): the vocabulary of a model, onto which words are mapped by name.
    drop_unknown
        Leave out words that are not in `vocabulary`; a document may then have no word.
    text, label, id
        Columns of a table: texts, and classes and names of the documents.
    tokens
        Split all texts at spaces and take words as they are.
    tokenizer
        Splits all texts; by default chosen as above.
    min_df, max_df, max_features
        Limits of :func:`~exvae.data.corpus_formats.vocabularies.limit_vocabulary`, if there is no
        `vocabulary`.
    **tokenizing
        Attributes of :class:`~exvae.data.tokenizer.Tokenizer`, such as ``stop_words=None``.

    Raises
    ------
    DataError
        If the corpus cannot be used, or holds words that are not in `vocabulary` and
        `drop_unknown` is false.

    Examples
    --------
    >>> corpus = exvae.read_corpus("news.csv", text="body", label="section", min_df=2)
    >>> corpus
    Corpus of 40 documents, 320 words in all, a vocabulary of 20, 2 labels
    """
    path = Path(path)
    options = TextOptions(text, label, id, tokens, tokenizer, tokenizing)
    with reading_corpus(path):
        corpus = _read(path, options)
    if vocabulary is not None:
        return map_words(corpus, vocabulary, drop_unknown=drop_unknown)
    require_words(corpus)
    return limit_vocabulary(corpus, min_df=min_df, max_df=max_df, max_features=max_features)


def _read(path: Path, options: TextOptions) -> Corpus:
    """Read a corpus in its own vocabulary; options that its format cannot use are errors."""
    if not path.is_dir() and path.stat().st_size == 0:
        raise DataError(f"{path}: empty file; write or fetch it again")
    if TABLE_NAME.fullmatch(path.name):
        return read_table(path, options)
    if options.names_columns:
        raise DataError(
            f"{path}: its columns have no names; leave out text, label and id, or give a .csv or "
            ".jsonl"
        )
    if path.is_dir():
        return read_folder(path, options)
    readers = {".npz": read_npz, ".h5ad": read_h5ad, ".dat": read_lda_c}
    reader = read_uci if _UCI_NAME.fullmatch(path.name) else readers.get(path.suffix)
    if reader is None:
        return read_text(path, options)
    if options.tokenizing or options.tokens:
        option = next(iter(options.tokenizing), "tokens")
        raise DataError(
            f"{path}: holds counts, not texts; leave out {option}, or use min_df and max_df"
        )
    return reader(path)
