"""Corpora as text: a file with a line for each document, or a folder of files."""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..corpora import SPLITS, Corpus
from ..errors import DataError
from .checks import checked_splits
from .files import numbered_lines, reading_corpus

# Two letters or more, of any alphabet.
_WORD = re.compile(r"[^\W\d_]{2,}")


class _TextEncoder:
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

    def corpus(self, source: Path) -> Corpus:
        """Build the corpus, with a sorted vocabulary."""
        met = np.array(list(self._numbers))
        order = np.argsort(met)
        rank = np.empty(len(met), np.int32)
        rank[order] = np.arange(len(met))
        return Corpus(
            rank[np.frombuffer(self._words, np.intc)],
            np.array(self._offsets, np.int64),
            met[order],
            source=str(source),
        )


def read_text(path: Path) -> Corpus:
    """Read a corpus, in each line the tokens of a document, perhaps its split and its label."""
    encoder = _TextEncoder()
    columns: list[list[str]] = []
    for number, line in numbered_lines(path):
        tokens, *others = line.split("\t")
        if number == 1:
            columns = [[] for _ in others]
        if len(others) != len(columns) or len(others) > 2:
            raise DataError(
                f"{path}: line {number} has {len(others) + 1} columns; every line needs the same "
                "1, 2 or 3, separated by tabs: tokens, split, label"
            )
        if not encoder.add(tokens.split()):
            raise DataError(f"{path}: line {number} is a document without words; remove the line")
        for column, value in zip(columns, others, strict=True):
            column.append(value)
    corpus = encoder.corpus(path)
    # A single further column is of splits if any is one; a misspelt one would be a label otherwise.
    if len(columns) == 2 or (columns and set(columns[0]) & set(SPLITS)):
        splits = checked_splits(path, columns.pop(0), "line", "; labels are a third column")
        corpus = replace(corpus, splits=splits)
    return replace(corpus, labels=np.array(columns[0])) if columns else corpus


def read_folder(path: Path) -> Corpus:
    """Read a corpus from the ``.txt`` files of a folder, a document each."""
    files = sorted(file for file in path.rglob("*.txt") if file.is_file())
    if not files:
        raise DataError(f"{path}: no .txt file in this folder; give a folder of text files")
    encoder = _TextEncoder()
    for file in files:
        with reading_corpus(file):
            text = file.read_text(encoding="utf-8")
        if "\0" in text:
            raise DataError(f"{file}: holds binary data; remove it or convert it to UTF-8 text")
        if not encoder.add(_WORD.findall(text.lower())):
            raise DataError(f"{file}: has no word of two letters or more; remove it")
    in_subfolders = all(file.parent != path for file in files)
    return replace(
        encoder.corpus(path),
        names=np.array([file.relative_to(path).as_posix() for file in files]),
        labels=np.array([file.parent.name for file in files]) if in_subfolders else None,
    )
