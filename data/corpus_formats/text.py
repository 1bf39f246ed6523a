"""Corpora as text: a file with a line for each document, or a folder of files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..corpora import SPLITS, Corpus
from ..errors import DataError
from ..texts import TextEncoder, corpus_of_texts
from ..tokenizer import AS_THEY_ARE, Tokenizer, detected_tokenizer
from .checks import checked_splits
from .files import numbered_lines, reading_corpus
from .options import TextOptions


def read_text(path: Path, options: TextOptions) -> Corpus:
    """Read a corpus, in each line the text of a document, perhaps its split and its label."""
    tokenizer = options.tokenizer or detected_tokenizer(
        (line.partition("\t")[0] for _, line in numbered_lines(path)),
        str(path),
        tokens=options.tokens,
        options=options.tokenizing,
    )
    encoder = TextEncoder()
    columns: list[list[str]] = []
    for number, line in numbered_lines(path):
        text, *others = line.split("\t")
        if number == 1:
            columns = [[] for _ in others]
        if len(others) != len(columns) or len(others) > 2:
            raise DataError(
                f"{path}: line {number} has {len(others) + 1} columns; every line needs the same "
                "1, 2 or 3, separated by tabs: text, split, label"
            )
        if not encoder.add(tokenizer(text)) and tokenizer == AS_THEY_ARE:
            raise DataError(f"{path}: line {number} is a document without words; remove the line")
        for column, value in zip(columns, others, strict=True):
            column.append(value)
    corpus = encoder.corpus(str(path), tokenizer)
    # A single further column is of splits if any is one; a misspelt one would be a label otherwise.
    if len(columns) == 2 or (columns and set(columns[0]) & set(SPLITS)):
        splits = checked_splits(path, columns.pop(0), "line", "; labels are a third column")
        corpus = replace(corpus, splits=splits)
    return replace(corpus, labels=np.array(columns[0])) if columns else corpus


def read_folder(path: Path, options: TextOptions) -> Corpus:
    """Read a corpus from the ``.txt`` files of a folder, a document each."""
    files = sorted(file for file in path.rglob("*.txt") if file.is_file())
    if not files:
        raise DataError(f"{path}: no .txt file in this folder; give a folder of text files")
    tokenizer: Tokenizer = options.tokenizer or detected_tokenizer(
        _texts(files), str(path), tokens=options.tokens, options=options.tokenizing
    )
    in_subfolders = all(file.parent != path for file in files)
    return corpus_of_texts(
        _texts(files),
        tokenizer,
        names=[file.relative_to(path).as_posix() for file in files],
        labels=[file.parent.name for file in files] if in_subfolders else None,
        source=str(path),
    )


def _texts(files: list[Path]) -> Iterator[str]:
    """Yield the texts of files."""
    for file in files:
        with reading_corpus(file):
            text = file.read_text(encoding="utf-8")
        if "\0" in text:
            raise DataError(f"{file}: holds binary data; remove it or convert it to UTF-8 text")
        if not text.strip():
            raise DataError(f"{file}: has no word; remove it")
        yield text
