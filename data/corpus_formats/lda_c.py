"""Corpora in Blei's lda-c format, ``NAME.dat`` beside its vocabulary."""

from __future__ import annotations

import re
from array import array
from pathlib import Path

import numpy as np

from ..corpora import Corpus
from ..errors import DataError
from .counts import corpus_of_counts
from .files import numbered_lines, read_vocabulary

_LDA_C_LINE = re.compile(r"\s*\d+(\s+\d+:\d+)*\s*", re.ASCII)


def read_lda_c(path: Path) -> Corpus:
    """Read a corpus, a line ``M term:count ...`` for each document; DataError if malformed."""
    names = (f"{path.stem}.vocab", f"{path.stem}.vocab.txt", "vocab.txt")
    candidates = [path.with_name(name) for name in names]
    vocabulary_path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if vocabulary_path is None:
        raise DataError(f"{path}: its vocabulary is missing; put {' or '.join(names)} beside it")
    vocabulary = read_vocabulary(vocabulary_path)
    words, counts, boundaries = array("q"), array("q"), array("q", [0])
    for number, line in numbered_lines(path):
        numbers: list[int] = []
        if _LDA_C_LINE.fullmatch(line):
            numbers = [int(field) for field in line.replace(":", " ").split()]
        if len(numbers) != 1 + 2 * sum(numbers[:1]):
            raise DataError(
                f"{path}: line {number} is not `M term:count term:count ...` with M pairs; "
                "correct the line"
            )
        if len(numbers) == 1:
            raise DataError(f"{path}: line {number} is a document without words; remove the line")
        if max(numbers[1::2]) >= len(vocabulary):
            raise DataError(
                f"{path}: line {number} has the word {max(numbers[1::2])} but "
                f"{vocabulary_path.name} has {len(vocabulary)}, counted from 0; "
                "put the vocabulary of this corpus beside it"
            )
        if not 0 < min(numbers[2::2]) <= max(numbers[2::2]) < 2**31:
            raise DataError(
                f"{path}: line {number} has a count outside 1 to 2^31; correct the line"
            )
        words.extend(numbers[1::2])
        counts.extend(numbers[2::2])
        boundaries.append(len(words))
    return corpus_of_counts(
        path, vocabulary, *(np.array(values, np.int64) for values in (boundaries, words, counts))
    )
