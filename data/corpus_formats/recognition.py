"""The format of a file, by its content and then by its name.

Content comes first because people save counts under any name. What is read as text by mistake
gives a plausible topic model of numbers.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

from ..errors import DataError
from ..unreadable import (
    BZIP2,
    OFFICE,
    PARQUET,
    PDF,
    POINTERS,
    R_OBJECT,
    XZ,
    ZIP,
    ZSTD,
)
from .options import TextOptions
from .sampling import first_bytes, first_lines

_NAMES = {
    "npz": re.compile(r".+\.npz"),
    "h5ad": re.compile(r".+\.h5ad"),
    "csv": re.compile(r".+\.csv(\.gz)?"),
    "json": re.compile(r".+\.jsonl?(\.gz)?"),
    "uci": re.compile(r"docword\.(.+\.)?txt(\.gz)?"),
    "lda-c": re.compile(r".+\.(dat|ldac)(\.gz)?"),
    "matrix-market": re.compile(r".+\.(mtx|mm)(\.gz)?"),
}
_COUNTS = "{}; give its counts and words to Corpus.from_counts"
# First bytes of files that are no text: what they are, and the way on.
_SIGNS = {
    BZIP2: "is compressed by bzip2; unpack it, or compress it by gzip",
    XZ: "is compressed by xz; unpack it, or compress it by gzip",
    ZSTD: "is compressed by zstd; unpack it, or compress it by gzip",
    ZIP: "is a zip archive; unpack it, or save its texts as .csv or .txt",
    PARQUET: "is a Parquet table; read it with pandas and give it to Corpus.from_dataframe",
    PDF: "is a PDF; convert it to text",
    b"{\\rtf": "is RTF with its commands; save it as plain text",
    OFFICE: "is a file of Word or Excel; save its texts as .csv or .txt",
    R_OBJECT: "is an object of R; write its texts as .csv",
    b"\x93NUMPY": _COUNTS.format("is an array of numpy"),
    **dict.fromkeys(
        (*(bytes([0x80, protocol]) for protocol in range(2, 6)), b"(lp0\n", b"(dp0\n"),
        _COUNTS.format("is a pickle, which is not opened as it may run code"),
    ),
}
# Of a tar archive, after the name and the properties of its first file.
_TAR, _TAR_PLACE = b"ustar", 257
_LDA_C = re.compile(r"\s*(\d+)((?:\s+\d+:\d+)*)\s*", re.ASCII)
_SVMLIGHT = re.compile(r"\s*[-+]?\d+(\.\d+)?(\s+qid:\d+)?(\s+\d+:[-+.\deE]+)*\s*(#.*)?", re.ASCII)
_INTEGERS = re.compile(r"\s*\d+(\s+\d+)*\s*", re.ASCII)
# Names of columns by which a line is known to be a header.
TEXT_NAMES = frozenset(
    ("text", "texts", "body", "content", "document", "abstract", "title", "review", "message")
    + ("tweet", "comment", "description", "headline", "article", "sentence", "tokens", "words")
)
_FEWEST_ROWS = 3


def format_of(path: Path, options: TextOptions) -> str:
    """Recognise the format of a file.

    Returns ``npz``, ``h5ad``, ``csv``, ``json``, ``uci``, ``lda-c``, ``matrix-market`` or ``text``.

    Raises
    ------
    DataError
        If the file is of a kind that cannot be read; the message tells the way on.
    """
    named = next((kind for kind, name in _NAMES.items() if name.fullmatch(path.name)), None)
    if named in ("npz", "h5ad"):
        return named
    start = first_bytes(path, 512)
    if start.startswith(b"\x89HDF\r\n"):
        return "h5ad"
    for sign, problem in _SIGNS.items():
        if start.startswith(sign):
            raise DataError(f"{path}: {problem}")
    if start[_TAR_PLACE:].startswith(_TAR):
        raise DataError(f"{path}: is a tar archive; unpack it and give its folder or file")
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DataError(f"{path}: is HTML or XML; convert it to text without tags")
    for sign, command in POINTERS.items():
        if start.startswith(sign):
            raise DataError(f"{path}: is a pointer to a file; fetch it with {command}")
    if options.tokens and named is None:
        return "text"
    lines = first_lines(path)
    return _kind_of_counts(path, lines) or _kind_of_table(path, lines, named, options) or "text"


def _kind_of_counts(path: Path, lines: list[str]) -> str | None:
    """Recognise formats of counts; DataError for svmlight, whose first number is a label."""
    if lines and lines[0].startswith("%%MatrixMarket"):
        return "matrix-market"
    numbers = [len(line.split()) for line in lines[:4] if _INTEGERS.fullmatch(line)]
    if numbers == [1, 1, 1, 3]:
        return "uci"
    with_pairs = [line for line in lines if ":" in line]
    of_lda_c = sum(_is_lda_c(line) for line in with_pairs)
    if with_pairs and all(map(_is_lda_c, lines)):
        return "lda-c"
    if len(lines) > 1 and of_lda_c < len(with_pairs) / 2 and all(map(_SVMLIGHT.fullmatch, lines)):
        raise DataError(
            f"{path}: is svmlight (label index:value ...), which has no words; load it with "
            "sklearn.datasets.load_svmlight_file and give the matrix to Corpus.from_counts"
        )
    return None


def _is_lda_c(line: str) -> bool:
    found = _LDA_C.fullmatch(line)
    return found is not None and int(found[1]) == found[2].count(":")


def _kind_of_table(
    path: Path, lines: list[str], named: str | None, options: TextOptions
) -> str | None:
    """Recognise JSON and CSV, whatever their name; other names are taken at their word."""
    if _is_json(lines):
        return "json"
    if named is not None:
        return named
    if lines and lines[0].startswith("sep="):
        return "csv"
    separator = separator_of(lines, options.text if options.names_columns else None)
    if separator is not None and separator != "\t":
        return "csv"
    if separator is None and _is_csv_without_header(lines):
        raise DataError(
            f"{path}: looks like CSV without names of columns; add a first line such as label,text"
        )
    return None


def _is_json(lines: list[str]) -> bool:
    if not lines or lines[0].lstrip()[:1] not in ("{", "[", '"'):
        return False
    if lines[0].startswith('"'):
        return all(line.startswith('"') and _parses(line) for line in lines)
    if lines[0].strip() in ("[", "{", "[{"):
        return True
    return _parses(lines[0]) or lines[0].lstrip().startswith(('{"', '[{"', '["'))


def _parses(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def separator_of(lines: list[str], column: str | None = None) -> str | None:
    """Find what separates the columns of a table whose first line names them.

    Parameters
    ----------
    lines
        The first lines.
    column
        Column that the first line has to name; by default one of :data:`TEXT_NAMES`.

    Returns
    -------
    str or None
        The separator; None if the first line does not name columns.
    """
    for separator in ",;\t|":
        rows = _rows(lines, separator)
        if len(rows) < 2 or len(rows[0]) < 2 or len({len(row) for row in rows}) > 1:
            continue
        names = [name.strip().lower() for name in rows[0]]
        wanted = TEXT_NAMES if column is None else {column.lower()}
        if len(set(names)) == len(names) and wanted & set(names):
            return separator
    return None


def _rows(lines: list[str], separator: str) -> list[list[str]]:
    """Split lines into cells; a last row whose quotes are open is left out."""
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    try:
        rows = list(csv.reader((f"{line}\n" for line in lines), delimiter=separator,
                               quoting=quoting))  # fmt: skip
    except csv.Error:
        return []
    return rows[:-1] if len(rows) > 2 and len(rows[-1]) != len(rows[0]) else rows


def _is_csv_without_header(lines: list[str]) -> bool:
    """Tell whether all lines have the same cells, some quoted or all numbered."""
    for separator in ",;":
        rows = _rows(lines, separator)
        if len(rows) < _FEWEST_ROWS or len(rows[0]) < 2 or len({len(row) for row in rows}) > 1:
            continue
        quoted = sum(f'{separator}"' in line or line.startswith('"') for line in lines)
        if quoted >= len(rows) / 2 or all(row[0].strip().isdigit() for row in rows):
            return True
    return False
