"""A corpus in any of the formats, recognised by content and by name.

==================================== =========================================================
UCI bag of words                     ``docword.NAME.txt`` beside ``vocab.NAME.txt``
Blei's lda-c                         ``NAME.dat`` or ``NAME.ldac``
MatrixMarket                         ``NAME.mtx`` or ``NAME.mm``, also of gensim
``.npz``                             of `write_corpus`; the words are mapped, not loaded; or of
                                     `scipy.sparse.save_npz`
``.h5ad``                            counts in X; splits in ``obs["split"]``
CSV, JSON                            tables with a column of texts
a folder                             of ``.txt`` files; the folder of a file is its label
any other text                       a line for each document; columns separated by tabs
==================================== =========================================================

All but folders, ``.npz`` and ``.h5ad`` may be compressed by gzip. Counts without words of their own
need a vocabulary beside them: ``NAME.vocab``, ``NAME.tokens``, ``vocab.txt`` and so on, see
:func:`~exvae.data.corpus_formats.vocabulary_files.vocabulary_beside`.

Texts have no vocabulary of their own: theirs is the sorted distinct words. A folder or
tab-separated file whose texts have no capital letter and no sentence punctuation is taken as
tokenised already: words are separated by spaces.

Whatever is wrong with a file ends in a DataError of one line that names the file and the remedy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..corpora import Corpus
from ..errors import DataError
from ..h5ad.zarr_stores import is_zarr
from ..tokenizer import Tokenizer
from .checks import require_words_everywhere
from .files import reading_corpus
from .h5ad import read_h5ad
from .lda_c import read_lda_c
from .matrices import is_sparse_npz, read_matrix_market, read_sparse_npz
from .npz import read_npz
from .options import TextOptions
from .recognition import format_of
from .tables import read_csv, read_json
from .text import read_folder, read_text
from .uci import read_uci
from .vocabularies import limit_vocabulary, map_words, require_words

_TEXTS = {"csv": read_csv, "json": read_json, "text": read_text, "folder": read_folder}
_COUNTS_BESIDE_WORDS = {
    "uci": read_uci,
    "lda-c": read_lda_c,
    "matrix-market": read_matrix_market,
    "sparse-npz": read_sparse_npz,
}
_COUNTS_WITH_WORDS = {"npz": read_npz, "h5ad": read_h5ad}


def read_corpus(
    path: str | os.PathLike[str],
    vocabulary: Sequence[str] | np.ndarray | None = None,
    drop_unknown: bool = False,
    *,
    vocabulary_file: str | os.PathLike[str] | None = None,
    keep_empty: bool = False,
    text: str = "text",
    label: str | None = None,
    id: str | None = None,
    tokens: bool = False,
    tokenizer: Tokenizer | None = None,
    min_df: int | float = 1,
    max_df: int | float = 1.0,
    max_features: int | None = None,
    usual: Mapping[str, str] | None = None,
    **tokenizing: Any,
) -> Corpus:
    """Read a corpus in any of the formats of this module.

    Documents without words stay, so that each has its number; training leaves them out.

    Parameters
    ----------
    path
        File or folder.
    vocabulary
        Shape (vocabulary_size,): the vocabulary of a model, onto which words are mapped by name.
    drop_unknown
        Leave out words that are not in `vocabulary`; a document may then have no word.
    vocabulary_file
        Words of a file of counts, if they are not beside it: a word in each line, or a dictionary
        that gensim saved as text.
    keep_empty
        Require that every document has a word, so that none is left out of training.
    text, label, id
        Columns of a table, or numbers of tab-separated columns, from 1: texts, and classes and
        names of the documents. Labels and ids of CSV and JSON that are not named are found by
        usual names, such as ``label`` and ``id``; the corpus tells them in ``columns``.
    tokens
        Split all texts at spaces and take words as they are.
    tokenizer
        Splits all texts; by default chosen as above.
    min_df, max_df, max_features
        Limits of :func:`~exvae.data.corpus_formats.vocabularies.limit_vocabulary`, if there is no
        `vocabulary`.
    usual
        Attribute ``columns`` of another corpus: its columns are used in a file of the same kind
        that has them, but for ``text``, ``label`` and ``id`` that it leaves out.
    **tokenizing
        Attributes of :class:`~exvae.data.tokenizer.Tokenizer`, such as ``stop_words=None``.

    Raises
    ------
    DataError
        If the corpus cannot be used, or holds unknown words and `drop_unknown` is false.

    Examples
    --------
    >>> corpus = exvae.read_corpus("news.csv", text="body", label="section", min_df=2)
    >>> corpus
    Corpus of 40 documents, 320 words in all, a vocabulary of 20, 2 labels
    """
    path = Path(path)
    with reading_corpus(path):
        options = TextOptions(text, label, id, tokens, tokenizer, tokenizing, usual or {})
        corpus = _read(path, options, None if vocabulary_file is None else Path(vocabulary_file))
    if vocabulary is not None:
        return map_words(corpus, vocabulary, drop_unknown=drop_unknown)
    require_words(corpus)
    corpus = limit_vocabulary(corpus, min_df=min_df, max_df=max_df, max_features=max_features)
    if keep_empty:
        require_words_everywhere(corpus)
    return corpus


def _read(path: Path, options: TextOptions, vocabulary_file: Path | None) -> Corpus:
    """Read a corpus in its own vocabulary; options that its format cannot use are errors."""
    if path.is_dir() and is_zarr(path):
        raise DataError(f"{path}: is a zarr store; write it as .h5ad")
    kind = "folder" if path.is_dir() else _format_of_file(path, options)
    if vocabulary_file is not None and kind not in _COUNTS_BESIDE_WORDS:
        raise DataError(f"{path}: has its own words; leave out --vocabulary (vocabulary_file)")
    if options.names_columns and kind not in ("csv", "json", "text"):
        raise DataError(
            f"{path}: its columns have no names; leave out text, label and id, or give a .csv or "
            ".jsonl"
        )
    if kind in _TEXTS:
        table = "tabs" if kind == "text" else "table"
        if options.usual.get("kind") != table:
            options = replace(options, usual={})
        usual = {role: name for role, name in options.usual.items() if role != "kind"}
        corpus = _TEXTS[kind](path, replace(options, usual=usual))
        return _with_columns(corpus, table, options)
    if options.tokenizing or options.tokens:
        option = next(iter(options.tokenizing), "tokens")
        raise DataError(
            f"{path}: holds counts, not texts; leave out {option}, or use min_df and max_df"
        )
    if kind in _COUNTS_WITH_WORDS:
        return _COUNTS_WITH_WORDS[kind](path)
    return _COUNTS_BESIDE_WORDS[kind](path, vocabulary_file)


def _with_columns(corpus: Corpus, table: str, options: TextOptions) -> Corpus:
    """Keep the columns that were named or found, and the kind of table that has them."""
    if corpus.columns is None and not options.names_columns:
        return corpus
    return replace(corpus, columns={"kind": table, **(corpus.columns or options.columns)})


def _format_of_file(path: Path, options: TextOptions) -> str:
    if path.stat().st_size == 0:
        raise DataError(f"{path}: empty file; write or fetch it again")
    kind = format_of(path, options)
    return "sparse-npz" if kind == "npz" and is_sparse_npz(path) else kind
