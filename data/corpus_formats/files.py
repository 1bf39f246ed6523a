"""Text files read line by line, and errors that name the file."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from ..errors import DataError
from ..files import reading


def reading_corpus(path: Path) -> AbstractContextManager[None]:
    """Turn failures to read a file of a corpus into a DataError that names it."""
    return reading(path, "no such file or folder; check the path", "write or fetch it again")


def open_file(path: Path) -> gzip.GzipFile | BinaryIO:
    """Open a file, compressed by gzip or not, to read bytes."""
    if path.suffix == ".gz":
        return gzip.open(path)
    file = path.open("rb")
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return gzip.open(path)
    file.seek(0)
    return file


def numbered_lines(path: Path, *, blank: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers; the ends of any system end a line.

    Blank lines are errors unless ``blank`` is true.
    """
    number = 0
    with reading_corpus(path), open_file(path) as file:
        for number, raw in enumerate(_raw_lines(file), 1):
            if number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}: line {number} is not UTF-8 text; convert the file to UTF-8"
                ) from error
            if "\0" in line:
                raise DataError(
                    f"{path}: line {number} holds binary data; give a text file in UTF-8"
                )
            if not (blank or line.strip()):
                raise DataError(f"{path}: line {number} is blank; remove the line")
            yield number, line
    if number == 0:
        raise DataError(f"{path}: empty file; give a file with a line for each document or word")


def _raw_lines(file: gzip.GzipFile | BinaryIO) -> Iterator[bytes]:
    """Yield lines without their ends, also those of old Macs, which are carriage returns."""
    for raw in file:
        yield from raw.rstrip(b"\r\n").split(b"\r")
