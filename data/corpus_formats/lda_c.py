"""Corpora in Blei's lda-c format, ``NAME.dat`` or ``NAME.ldac`` beside its vocabulary."""

from __future__ import annotations

import re
from array import array
from pathlib import Path

import numpy as np

from ..corpora import Corpus
from ..errors import DataError
from .counts import corpus_of_counts
from .files import numbered_lines
from .vocabulary_files import read_vocabulary, vocabulary_beside

_LDA_C_LINE = re.compile(r"\s*\d+(\s+\d+:\d+)*\s*", re.ASCII)


def read_lda_c(path: Path, vocabulary_file: Path | None) -> Corpus:
    """Read a corpus, a line ``M term:count ...`` for each document; DataError if malformed."""
    vocabulary_path = vocabulary_beside(path, vocabulary_file)
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
        if max(numbers[1::2], default=0) >= len(vocabulary):
            raise DataError(
                f"{path}: line {number} has the word {max(numbers[1::2])} but "
                f"{vocabulary_path.name} has {len(vocabulary)}, counted from 0; "
                "put the vocabulary of this corpus beside it"
            )
        if not all(0 < count < 2**31 for count in numbers[2::2]):
            raise DataError(
                f"{path}: line {number} has a count outside 1 to 2^31; correct the line"
            )
        words.extend(numbers[1::2])
        counts.extend(numbers[2::2])
        boundaries.append(len(words))
    return corpus_of_counts(
        path, vocabulary, *(np.array(values, np.int64) for values in (boundaries, words, counts))
    )
