"""Corpora as text: a file with a line for each document, or a folder of files."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ..corpora import SPLITS, Corpus
from ..errors import DataError, DataWarning
from ..texts import TextEncoder, corpus_of_texts, described, warn_of_language
from ..tokenizer import Tokenizer, detected_tokenizer
from .checks import SPLIT_NAMES, checked_splits
from .columns import SPLIT_OR_LABEL, Columns, columns_of_lines
from .files import numbered_lines, reading_corpus
from .options import TextOptions
from .sampling import first_lines

# Of these tokens at least such a share are numbers in files that are no text.
_NUMBER = re.compile(r"[-+]?\d+([.,:]\d+)*([eE][-+]?\d+)?", re.ASCII)
_FEWEST_NUMBERS, _SHARE_OF_NUMBERS = 5, 0.9
# Words with counts, as of Vowpal Wabbit.
_COUNTED_WORD = re.compile(r"[^\W\d]\w*:\d+(\.\d+)?")
_SHARE_OF_PAIRS = 0.5


def read_text(path: Path, options: TextOptions) -> Corpus:
    """Read a corpus, in each line the text of a document, perhaps with its split, label and id."""
    lines = first_lines(path)
    columns = columns_of_lines(path, lines, options)
    if not (options.tokens or options.tokenizer):
        _refuse_numbers(path, lines, columns)
    tokenizer = options.tokenizer or detected_tokenizer(
        (cells[columns.text] for _, cells in _rows(path, columns)),
        str(path),
        tokens=options.tokens,
        options=options.tokenizing,
    )
    if not (options.tokens or options.tokenizer):
        width = len(columns.roles)
        cells = (line.split("\t") for line in lines[columns.header :])
        texts = [own[columns.text] for own in cells if len(own) == width]
        warn_of_language(texts, tokenizer, str(path))
    encoder = TextEncoder()
    values: list[list[str]] = [[] for _ in columns.roles]
    last, blank = int(columns.header), 0
    for number, cells in _rows(path, columns):
        blank += number - last - 1
        last = number
        encoder.add(tokenizer(cells[columns.text]))
        for column, role, value in zip(values, columns.roles, cells, strict=True):
            if role not in ("text", ""):
                column.append(value)
    if blank:
        warnings.warn(f"{path}: {blank} blank lines are left out", DataWarning, stacklevel=2)
    found = {role: own for role, own in zip(columns.roles, values, strict=True) if own}
    return _described(path, encoder.corpus(str(path), tokenizer), found)


def _rows(path: Path, columns: Columns) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and cells; where lines have several cells blank lines are left out."""
    width = len(columns.roles)
    for number, line in numbered_lines(path, blank=True):
        if (columns.header and number == 1) or (width > 1 and not line.strip(" ")):
            continue
        cells = line.split("\t")
        if len(cells) != width:
            raise DataError(
                f"{path}: line {number} has {len(cells)} columns; every line needs the same "
                f"{width if columns.header else '1, 2 or 3'}, separated by tabs: "
                f"{', '.join(columns.roles) if columns.header else 'text, split, label'}"
            )
        yield number, cells


def _described(path: Path, corpus: Corpus, found: dict[str, list[str]]) -> Corpus:
    """Give splits, labels and names to a corpus."""
    if SPLIT_OR_LABEL in found:
        either = found.pop(SPLIT_OR_LABEL)
        # A misspelt split would be a label otherwise.
        of_splits = set(either) & set(SPLITS) or {own.lower() for own in either} <= {*SPLIT_NAMES}
        found["split" if of_splits else "label"] = either
    if "split" in found:
        splits = checked_splits(path, found["split"], "line", "; labels are a third column")
        corpus = replace(corpus, splits=splits)
    return described(corpus, found.get("id"), found.get("label"))


def _refuse_numbers(path: Path, lines: Iterable[str], columns: Columns) -> None:
    """Refuse a file that holds numbers where words should be.

    Raises
    ------
    DataError
        If nearly all of the first words are numbers.
    """
    width = len(columns.roles)
    rows = (line.split("\t") for line in lines)
    texts = [row[columns.text] if len(row) == width else " ".join(row) for row in rows]
    tokens = " ".join(texts).split()
    pairs = sum(_COUNTED_WORD.fullmatch(token) is not None for token in tokens)
    if pairs >= max(_FEWEST_NUMBERS, _SHARE_OF_PAIRS * len(tokens)):
        raise DataError(
            f"{path}: holds words with their counts (word:count); give the counts to "
            "Corpus.from_counts, or set tokens to take these pairs as words"
        )
    numbers = sum(_NUMBER.fullmatch(token.strip(",;")) is not None for token in tokens)
    if numbers >= max(_FEWEST_NUMBERS, _SHARE_OF_NUMBERS * len(tokens)):
        raise DataError(
            f"{path}: holds numbers, not words; give counts in a format of docs/topics.md with "
            "their vocabulary, or set tokens to take the numbers as words"
        )


def read_folder(path: Path, options: TextOptions) -> Corpus:
    """Read a corpus from the ``.txt`` files of a folder, a document each; hidden files are not."""
    found = sorted(
        file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")
    )
    files = [file for file in found if file.suffix.lower() == ".txt"]
    if not files:
        endings = Counter(file.suffix or "without an ending" for file in found)
        others = f" but {max(endings.values())} {max(endings, key=endings.get)}" if found else ""
        raise DataError(
            f"{path}: no .txt file in this folder{others}; give a folder of text files, all named "
            ".txt"
        )
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
        hints=options.tokenizer is None and not options.tokens,
    )


def _texts(files: list[Path]) -> Iterator[str]:
    """Yield the texts of files."""
    for file in files:
        with reading_corpus(file):
            text = file.read_text(encoding="utf-8-sig")
        if "\0" in text:
            raise DataError(f"{file}: holds binary data; remove it or convert it to UTF-8 text")
        yield text
