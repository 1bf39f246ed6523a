"""Files of vocabularies beside corpora of counts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from ..errors import DataError
from .checks import require_distinct
from .files import numbered_lines

UNUSED = "---"
"""Stands in vocabularies of gensim for numbers that no word has."""
_GENSIM_ROW = re.compile(r"(\d+)\t(.+)\t\d+", re.ASCII)


def vocabulary_beside(path: Path, given: Path | None) -> Path:
    """Find the vocabulary of a corpus of counts.

    Parameters
    ----------
    path
        The corpus.
    given
        The vocabulary, if its user named it.

    Raises
    ------
    DataError
        If it does not exist.
    """
    if given is not None:
        if not given.is_file():
            raise DataError(f"{given}: no such file; give the vocabulary, a word in each line")
        return given
    name = path.name.removesuffix(".gz")
    stem = name.rpartition(".")[0] or name
    names = [f"{stem}.vocab", f"{name}.vocab", f"{stem}.vocab.txt", f"{stem}.tokens",
             f"{stem}.dict.txt", "vocab.txt"]  # fmt: skip
    if name.startswith("docword."):
        names.insert(0, name.replace("docword", "vocab", 1))
    for candidate in names:
        for found in (path.with_name(candidate), path.with_name(f"{candidate}.gz")):
            if found.is_file() and found != path:
                return found
    raise DataError(
        f"{path}: its vocabulary is missing; put {', '.join(names[:-1])} or {names[-1]} beside it, "
        "or name it by --vocabulary (vocabulary_file)"
    )


def read_vocabulary(path: Path) -> np.ndarray:
    """Read a vocabulary, shape (vocabulary_size,), fixed-width strings.

    The file has a word in each line, perhaps with its number or frequency; or is a dictionary of
    gensim as text: a number, a word and a number of documents in each line, separated by tabs; or
    JSON: a list of words, or an object of their numbers. Words are distinct but for
    :data:`UNUSED`.

    Raises
    ------
    DataError
        If words occur twice, or cannot be told from other columns.
    """
    lines = [line.strip() for _, line in numbered_lines(path)]
    words = _gensim_dictionary(lines)
    if words is None:
        words = np.array(_json_words(lines) or _words_of_columns(path, lines), np.str_)
    named = words[words != UNUSED]
    require_distinct(path, named)
    return words


def _gensim_dictionary(lines: list[str]) -> np.ndarray | None:
    """Read the lines of ``Dictionary.save_as_text``; None if they are something else."""
    rows = [_GENSIM_ROW.fullmatch(line) for line in lines[1 if lines[0].isdigit() else 0 :]]
    if not rows or not all(rows):
        return None
    numbers = [int(row[1]) for row in rows]
    words = np.full(max(numbers) + 1, UNUSED, np.array([row[2] for row in rows]).dtype)
    words[numbers] = [row[2] for row in rows]
    return words


def _json_words(lines: list[str]) -> list[str] | None:
    """Words of a list, or of an object of words and their numbers; None for anything else."""
    if lines[0][0] not in "[{":
        return None
    try:
        found = json.loads("\n".join(lines))
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list):
        return found if all(isinstance(word, str) for word in found) else None
    if not all(isinstance(number, int) for number in found.values()):
        return None
    return _ordered(list(found), list(found.values()))


def _ordered(words: list[str], numbers: list[int]) -> list[str] | None:
    """Put words in the order of their numbers; None if these do not count from 0 or 1."""
    places = dict(zip(numbers, words, strict=True))
    for first in (0, 1):
        counted = range(first, first + len(words))
        if set(places) == set(counted):
            return [places[number] for number in counted]
    return None


def _words_of_columns(path: Path, lines: list[str]) -> list[str]:
    """Words of lines of a word each, or of a word and a number separated by a tab."""
    rows = [line.split("\t") for line in lines]
    if all(len(row) == 1 for row in rows):
        return lines
    columns = list(zip(*rows, strict=True)) if all(len(row) == 2 for row in rows) else []
    numeric = [all(re.fullmatch(r"\d{1,18}", cell) for cell in column) for column in columns]
    if sum(numeric) != 1:
        raise DataError(
            f"{path}: has several columns, separated by tabs; give a word in each line, in the "
            "order of the counts"
        )
    words = list(columns[numeric.index(False)])
    return _ordered(words, list(map(int, columns[numeric.index(True)]))) or words


def without_unused(
    path: Path, vocabulary: np.ndarray, words: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Leave numbers that no word has out of a vocabulary.

    Parameters
    ----------
    path
        The corpus, for messages.
    vocabulary
        Shape (vocabulary_size,); several are :data:`UNUSED` if any number has no word.
    words
        Positions in it, shape (entries,), integers.

    Returns
    -------
    vocabulary, words
        The remaining vocabulary, and positions in it, shape (entries,).

    Raises
    ------
    DataError
        If a document has such a number.
    """
    unused = vocabulary == UNUSED
    if unused.sum() < 2:  # one may be a word
        return vocabulary, words
    if unused[words].any():
        wrong = words[np.argmax(unused[words])]
        raise DataError(
            f"{path}: the vocabulary has no word for the number {wrong}, counted from 0, which "
            "occurs; give the vocabulary with which the corpus was made"
        )
    return vocabulary[~unused], (np.cumsum(~unused) - 1)[words]
