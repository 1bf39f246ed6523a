"""Text files read line by line, and errors that name the file."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import DataError
from ..files import reading
from .checks import require_distinct


def reading_corpus(path: Path) -> AbstractContextManager[None]:
    """Turn failures to read a file of a corpus into a DataError that names it."""
    return reading(path, "no such file or folder; check the path", "write or fetch it again")


def open_file(path: Path) -> gzip.GzipFile | BinaryIO:
    """Open a file, compressed by gzip or not, to read bytes."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers; blank lines are errors."""
    number = 0
    with reading_corpus(path), open_file(path) as file:
        for number, raw in enumerate(file, 1):
            if number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            try:
                line = raw.decode().rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}: line {number} is not UTF-8 text; convert the file to UTF-8"
                ) from error
            if "\0" in line:
                raise DataError(
                    f"{path}: line {number} holds binary data; give a text file in UTF-8"
                )
            if not line.strip():
                raise DataError(f"{path}: line {number} is blank; remove the line")
            yield number, line
    if number == 0:
        raise DataError(f"{path}: empty file; give a file with a line for each document or word")


def read_vocabulary(path: Path) -> np.ndarray:
    """Read a vocabulary, a word in each line, shape (vocabulary_size,), fixed-width strings."""
    words = np.array([line.strip() for _, line in numbered_lines(path)], np.str_)
    require_distinct(path, words)
    return words
