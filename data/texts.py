"""Corpora made of texts, in lists and in columns of tables."""

from __future__ import annotations

import warnings
from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .arguments import listed
from .corpora import Corpus
from .errors import DataError, DataWarning, shortened
from .languages import Sample, hint
from .tokenizer import AS_THEY_ARE, Tokenizer

# Columns that a message lists.
_MOST_LISTED = 12


class TextEncoder:
    """Turns words into numbers document by document, so that no text is kept in memory."""

    def __init__(self) -> None:
        self._words = array("i")
        self._offsets = array("q", [0])
        # A word that is met for the first time gets the next number.
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__

    def add(self, tokens: Iterable[str]) -> bool:
        """Append a document; tell whether it has any word."""
        self._words.extend(map(self._numbers.__getitem__, tokens))
        self._offsets.append(len(self._words))
        return self._offsets[-1] > self._offsets[-2]

    def corpus(self, source: str, tokenizer: Tokenizer | None = None) -> Corpus:
        """Build the corpus, with a sorted vocabulary."""
        met = np.array(list(self._numbers), np.str_)
        order = np.argsort(met)
        rank = np.empty(len(met), np.int32)
        rank[order] = np.arange(len(met))
        return Corpus(
            rank[np.frombuffer(self._words, np.intc)],
            np.array(self._offsets, np.int64),
            met[order],
            source=source,
            tokenizer=tokenizer,
        )


def corpus_of_texts(
    texts: Iterable[str | Sequence[str] | None],
    tokenizer: Tokenizer,
    *,
    names: Any = None,
    labels: Any = None,
    source: str = "the texts",
    hints: bool = True,
) -> Corpus:
    """Make a corpus of texts, or of documents that are lists of words already.

    Parameters
    ----------
    texts
        The documents; a missing one (None, NaN) has no words.
    tokenizer
        Splits texts; lists of words are taken as they are.
    names, labels
        As for :func:`described`.
    source
        Origin of the texts, for messages.
    hints
        Whether to warn if the tokeniser does not suit the language of the texts.

    Raises
    ------
    DataError
        If a text is something else.
    """
    _require_texts(texts, source)
    encoder, sample = TextEncoder(), Sample()
    of_words = False
    for number, text in enumerate(sample.of(texts), 1):
        if isinstance(text, str):
            encoder.add(tokenizer(text))
        elif isinstance(text, list | tuple | np.ndarray):
            of_words = True
            encoder.add(map(str, text))
        elif pd.isna(text):
            encoder.add(())
        else:
            raise DataError(
                f"{source}: text {number} is {shortened(repr(text))}; give strings, or lists of "
                "words"
            )
    if hints:
        warn_of_language(sample.texts, tokenizer, source)
    corpus = encoder.corpus(source, AS_THEY_ARE if of_words else tokenizer)
    return described(corpus, names, labels)


def _require_texts(texts: Any, source: str) -> None:
    """Require a list of texts; DataError for anything else, which may be iterable too."""
    if isinstance(texts, str | pd.DataFrame | Mapping) or not isinstance(texts, Iterable):
        kinds = {str: "one string", pd.DataFrame: "a table"}
        what = kinds.get(type(texts), f"of the type {type(texts).__name__}")
        file = ", or read a file by read_corpus" if isinstance(texts, str | PathLike) else ""
        raise DataError(f"{source}: are {what}; give a list of texts, or a column of a table{file}")
    if isinstance(texts, np.ndarray) and texts.ndim > 1 and texts.dtype.kind in "biuf":
        raise DataError(f"{source}: are a matrix of numbers; make a corpus with Corpus.from_counts")


def warn_of_language(texts: Sequence[str], tokenizer: Tokenizer, source: str) -> None:
    """Warn if a tokeniser does not suit the language of these texts."""
    found = hint(texts, tokenizer)
    if found is not None:
        warnings.warn(f"{source}: {found}", DataWarning, stacklevel=3)


def described(corpus: Corpus, names: Any, labels: Any) -> Corpus:
    """Give names and labels, each shape (documents,) or None, to the documents of a corpus.

    Names may be of any kind; labels become strings, missing ones empty strings.

    Raises
    ------
    DataError
        If they are not as many as the documents.
    """
    columns = {"names": names, "labels": labels}
    for what, values in columns.items():
        if values is None:
            continue
        column = pd.Series(listed(what, values, "['a', 'b']"))
        if len(column) != corpus.num_documents:
            raise DataError(
                f"{corpus.source}: there are {len(column)} {what} for {corpus.num_documents} "
                "documents; give one for each document"
            )
        if what == "labels":
            column = column.astype(object).where(column.notna(), "")
        number = what == "names" and column.dtype.kind in "iu"
        columns[what] = column.to_numpy() if number else column.to_numpy().astype(np.str_)
    if names is not None:
        warn_of_repeated(columns["names"], corpus.source)
    return replace(corpus, **columns)


def warn_of_repeated(names: np.ndarray, source: str) -> None:
    """Warn if documents share a name, shape (documents,)."""
    repeated = pd.Series(names).duplicated(keep=False)
    if repeated.any():
        warnings.warn(
            f"{source}: {repeated.sum()} of {len(names)} documents share an id with another, the "
            f"first is {names[repeated.argmax()]!s}; make ids distinct, or their rows in tables "
            "cannot be told apart",
            DataWarning,
            stacklevel=3,
        )


def with_splits(
    corpus: Corpus,
    table: pd.DataFrame,
    split: str,
    source: Path | str = "the table",
    advice: str = "",
) -> Corpus:
    """Give the documents of a table the splits of its column ``split``.

    ``source`` names the table, and ``advice`` ends the message about a value that is no split.

    Raises
    ------
    DataError
        If the column does not exist, or a value is no split.
    """
    from .corpus_formats.checks import checked_splits

    require_column(table, "split", split, str(source))
    values = table[split].astype(str).to_numpy()
    return replace(corpus, splits=checked_splits(source, values, "row", advice))


def require_column(table: pd.DataFrame, what: str, column: Any, source: str) -> None:
    """Require a column of a table, which is its ``text``, ``label``, ``id`` or ``split``."""
    if not isinstance(column, Hashable):
        raise DataError(f"{source}: {what} is {column!r}; give the name of one column")
    if column not in table:
        known = ", ".join(shortened(str(own)) for own in table.columns[:_MOST_LISTED])
        known += ", ..." if len(table.columns) > _MOST_LISTED else ""
        raise DataError(
            f"{source}: has no column {column!r}; name the column of the {what} by {what} "
            f"(--{what}), one of {known}"
        )


def columns_of(
    table: pd.DataFrame,
    text: str,
    label: str | None,
    name: str | None,
    source: str = "the table",
) -> dict[str, Any]:
    """Texts, labels and ids of a table, by these names, shape (documents,) each.

    Raises
    ------
    DataError
        If a column does not exist.
    """
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"{source}: is no DataFrame; give a table, or texts to Corpus.from_texts")
    for what, column in (("text", text), ("label", label), ("id", name)):
        if column is not None:
            require_column(table, what, column, source)
    numbered = isinstance(table.index, pd.RangeIndex) and table.index.equals(
        pd.RangeIndex(len(table))
    )
    own_names = None if numbered else table.index
    return {
        "texts": table[text].tolist(),
        "labels": None if label is None else table[label],
        "ids": own_names if name is None else table[name],
    }
