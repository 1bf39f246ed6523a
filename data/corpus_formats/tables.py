"""Corpora as tables with a column of texts: CSV, and JSON lines or arrays."""

from __future__ import annotations

import gzip
import io
import json
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from ..corpora import Corpus
from ..errors import DataError, shortened
from ..texts import columns_of, corpus_of_texts, with_splits
from ..tokenizer import tokenizer_of
from .columns import ROLES
from .files import open_file
from .options import TextOptions
from .recognition import separator_of
from .sampling import first_lines

# How R and pandas write a missing text.
_MISSING = ("NA", "NaN", "nan", "<NA>")
# Bytes that are read at once.
_PART = 1 << 20
_NO_JSON = (
    "{}: is no JSON lines, nor an array of objects, in UTF-8 ({}); write an object with the text "
    "of a document in each line"
)
_SPLIT_HINT = "; if the column holds labels, set label to split"


def read_csv(path: Path, options: TextOptions) -> Corpus:
    """Read a corpus from the rows of CSV; DataError if it or a column cannot be read."""
    lines = first_lines(path)
    skipped = int(lines[:1] != [] and lines[0].startswith("sep="))  # of Excel
    lines = lines[skipped:]
    names = (options.text, options.usual.get("text"), None)
    separators = filter(None, (separator_of(lines, name) for name in names))
    separator = next(separators, None) or _likely(lines)
    _require_clear(path, lines, separator, options)
    try:
        with open_file(path) as file, warnings.catch_warnings():
            checked = io.BufferedReader(_WithoutZeros(file, path), _PART)
            # Of rows longer than the header, whose first fields would be taken for an index.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # Classes and names stay as written: 007 is no number.
            table = pd.read_csv(
                checked,
                sep=separator,
                skiprows=skipped,
                skipinitialspace=True,
                dtype=str,
                keep_default_na=False,
                index_col=False,
            )
    except DataError:
        raise
    except UnicodeError as error:
        raise DataError(f"{path}: is no CSV in UTF-8; convert it to UTF-8") from error
    except pd.errors.ParserWarning as error:
        raise DataError(
            f"{path}: is no CSV (rows have more fields than the header, as where texts with commas "
            "lack quotation marks); write it again with these"
        ) from error
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: is no CSV in UTF-8 ({error}); write it again") from error
    options = options.recalled(table.columns)
    if options.text in table:
        texts = table[options.text]
        table[options.text] = texts.mask(texts.str.strip().isin(_MISSING), "")
    return _corpus(path, table, options)


class _WithoutZeros(io.RawIOBase):
    """A file that refuses binary data, which pandas cuts, while it is read."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, path: Path) -> None:
        self._file, self._path = file, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        """Read bytes into a buffer; DataError if one of them is zero."""
        number = self._file.readinto(buffer)
        if b"\0" in bytes(buffer[:number]):
            raise DataError(
                f"{self._path}: holds binary data, or UTF-16; give a text file in UTF-8"
            )
        return number


def _require_clear(path: Path, lines: list[str], separator: str, options: TextOptions) -> None:
    """Refuse two columns of one name that is asked for."""
    names = [name.strip(' "') for line in lines[:1] for name in line.split(separator)]
    for name in (options.text, options.label, options.id):
        if names.count(name) > 1:
            raise DataError(f"{path}: has the column {name} twice; rename or remove one")


def _likely(lines: list[str]) -> str:
    """Give the first separator that is in the first line; a comma by default."""
    return next((own for own in ",;\t|" if lines and own in lines[0]), ",")


def read_json(path: Path, options: TextOptions) -> Corpus:
    """Read a corpus from JSON: an object in each line, or an array of objects or of texts."""
    with open_file(path) as file:
        content = file.read()
    try:
        rows = _json_rows(path, content.decode("utf-8-sig"))
        if len(rows) == 1 and isinstance(rows[0], dict):
            _refuse_wrapped(path, rows[0], options.text)
        if rows and not any(isinstance(row, dict) for row in rows):
            rows = [{options.text: row} for row in rows]  # texts, or lists of words
        table = pd.DataFrame(rows)
    except DataError:
        raise
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(_NO_JSON.format(path, shortened(str(error)))) from error
    return _corpus(path, table, options)


def _json_rows(path: Path, text: str) -> list[Any]:
    """Values of the lines, or of one array over one or several lines."""
    numbered = enumerate(re.split("\r\n|\n|\r", text), 1)
    lines = [(number, line) for number, line in numbered if line.strip()]
    first = lines[0][1].strip() if lines else "["
    if first in ("[", "{", "[{") or (len(lines) == 1 and first[0] == "["):
        found = json.loads(text)
        return found if isinstance(found, list) else [found]
    return [_json_line(path, number, line) for number, line in lines]


def _json_line(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        reason = f"line {number}, column {error.colno}: {error.msg}"
        raise DataError(_NO_JSON.format(path, reason)) from error


def _refuse_wrapped(path: Path, found: dict[str, Any], text: str) -> None:
    """Refuse one object that holds the columns of a table, or an array of the documents."""
    if found and all(isinstance(values, dict) for values in found.values()):
        raise DataError(
            f"{path}: is one object of columns; write it with orient='records' or as JSON lines"
        )
    arrays = [name for name, own in found.items() if isinstance(own, list)]
    if text not in found and arrays:
        raise DataError(
            f"{path}: is one object around an array, {shortened(repr(arrays[0]))}; give the array "
            "itself"
        )


def _corpus(path: Path, table: pd.DataFrame, options: TextOptions) -> Corpus:
    if table.empty:
        raise DataError(f"{path}: has no rows; give a table with a row for each document")
    options = options.recalled(table.columns)
    _refuse_counts(path, table, options)
    options = _recognised(table, options)
    columns = columns_of(table, options.text, options.label, options.id, source=str(path))
    corpus = corpus_of_texts(
        columns["texts"],
        options.tokenizer or tokenizer_of(options.tokenizing, tokens=options.tokens),
        names=columns["ids"],
        labels=columns["labels"],
        source=str(path),
        hints=options.tokenizer is None and not options.tokens,
    )
    if "split" in table and "split" not in (options.text, options.label, options.id):
        corpus = with_splits(corpus, table, "split", path, _SPLIT_HINT)
    return replace(corpus, columns=options.columns) if options.names_columns else corpus


def _recognised(table: pd.DataFrame, options: TextOptions) -> TextOptions:
    """Find labels and ids that are not named, by usual names.

    There must be one such column. Labels repeat, and ids are distinct.
    """
    found = {}
    for role in ("label", "id"):
        if options.text not in table or getattr(options, role) is not None:
            continue
        others = [name for name in table if name not in options.columns.values()]
        named = [name for name in others if ROLES.get(str(name).strip().lower()) == role]
        if len(named) == 1:
            number = table[named[0]].astype(str).nunique()
            if number == len(table) if role == "id" else 1 < number < len(table):
                found[role] = named[0]
    return replace(options, **found)


def _refuse_counts(path: Path, table: pd.DataFrame, options: TextOptions) -> None:
    """Refuse a matrix of counts with a column for each word, which has no texts."""
    if len(table.columns) < 2:
        return
    if options.text in table:
        _refuse_numbers(path, table[options.text], options)
        return
    others = [name for name in table if pd.to_numeric(table[name], errors="coerce").isna().any()]
    words = [table[name].astype(str).str.split().str.len().mean() for name in others]
    if len(others) <= 1 and max(words, default=1.0) < 2.0:
        raise DataError(
            f"{path}: has numbers in {len(table.columns) - len(others)} columns and no texts; if "
            "they are counts of words, give the table to Corpus.from_counts"
        )


def _refuse_numbers(path: Path, texts: pd.Series, options: TextOptions) -> None:
    """Refuse counts of a word that has the name of the column of texts."""
    if options.tokens or options.tokenizer:
        return
    found = pd.to_numeric(texts.astype(str).loc[lambda values: values != ""], errors="coerce")
    if len(found) and found.notna().all():
        raise DataError(
            f"{path}: its column {options.text} holds numbers, not texts; name the column of the "
            "texts by text, or give a table of counts to Corpus.from_counts"
        )
