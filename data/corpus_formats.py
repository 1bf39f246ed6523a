"""Readers of corpora: text, bags of words, lda-c, folders, our `.npz`, and `.h5ad`.

Whatever is wrong with a file ends in a DataError of one line that names the file and the remedy.
"""

from __future__ import annotations

import codecs
import gzip
import os
import re
import struct
import warnings
import zipfile
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import scipy.sparse

from .corpora import SPLITS, Corpus, offsets_of
from .errors import DataError

_UCI_NAME = re.compile(r"docword\.(.+\.)?txt(\.gz)?")
_LDA_C_LINE = re.compile(r"\s*\d+(\s+\d+:\d+)*\s*", re.ASCII)
# Two letters or more, of any alphabet.
_WORD = re.compile(r"[^\W\d_]{2,}")


def read_corpus(
    path: str | os.PathLike[str],
    vocabulary: Sequence[str] | np.ndarray | None = None,
    drop_unknown: bool = False,
) -> Corpus:
    """Read a corpus in any of the formats, told apart by the name of the file.

    ==================================== =========================================================
    ``docword.NAME.txt``, also ``.gz``   UCI bag of words, beside ``vocab.NAME.txt``
    ``NAME.dat``                         Blei's lda-c, beside ``NAME.vocab``, ``NAME.vocab.txt``
                                         or ``vocab.txt``
    ``.npz``                             of `write_corpus`; the words are mapped, not loaded
    ``.h5ad``                            counts in X; splits in ``obs["split"]``
    a folder                             of ``.txt`` files; the folder of a file is its label
    any other file, also ``.gz``         tab-separated, a line for each document: tokens
                                         separated by spaces, optional split, optional label
    ==================================== =========================================================

    Text and folders have no vocabulary of their own: theirs is the sorted distinct words.

    Parameters
    ----------
    path
        File or folder.
    vocabulary
        Shape (vocabulary_size,): the vocabulary of a model, onto which words are mapped by name.
    drop_unknown
        Leave out words that are not in `vocabulary`.

    Raises
    ------
    DataError
        If the corpus cannot be used, or holds words that are not in `vocabulary` and
        `drop_unknown` is false, or documents in which no word is left.
    """
    path = Path(path)
    with _reading(path):
        if path.is_dir():
            corpus = _read_folder(path)
        elif path.stat().st_size == 0:
            raise DataError(f"{path}: empty file; write or fetch it again")
        elif path.suffix == ".npz":
            corpus = _read_npz(path)
        elif path.suffix == ".h5ad":
            corpus = _read_h5ad(path)
        elif path.suffix == ".dat":
            corpus = _read_lda_c(path)
        elif _UCI_NAME.fullmatch(path.name):
            corpus = _read_uci(path)
        else:
            corpus = _read_text(path)
        if vocabulary is None:
            return corpus
        return _map_words(corpus, np.asarray(vocabulary, np.str_), drop_unknown)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the ways in which reading a file can fail into a DataError that names it."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder; check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; convert it to UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: truncated or damaged ({error}); write or fetch it again"
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read ({reason}); check the file") from error
    except MemoryError as error:
        raise DataError(f"{path}: does not fit in memory; give fewer documents") from error


def _map_words(corpus: Corpus, vocabulary: np.ndarray, drop_unknown: bool) -> Corpus:
    """Express a corpus in another vocabulary, word by word."""
    if np.array_equal(corpus.vocabulary, vocabulary):
        return corpus  # and words mapped from a file stay there
    _check_distinct("the given vocabulary", vocabulary)
    positions = {word: position for position, word in enumerate(vocabulary.tolist())}
    mapping = np.array([positions.get(word, -1) for word in corpus.vocabulary.tolist()], np.int32)
    words = mapping[corpus.words]
    known = words >= 0
    if known.all():
        return replace(corpus, words=words, vocabulary=vocabulary)
    if not drop_unknown:
        unknown = np.unique(corpus.words[~known])
        first = str(corpus.vocabulary[corpus.words[np.argmin(known)]])
        raise DataError(
            f"{corpus.source}: {len(unknown)} of {len(mapping)} words ({np.sum(~known)} of "
            f"{len(known)} tokens) are not in the vocabulary of the model, the first is {first!r}; "
            "leave them out with --drop-unknown"
        )
    lengths = np.add.reduceat(known, corpus.offsets[:-1], dtype=np.int64)
    if not lengths.all():
        raise DataError(
            f"{corpus.source}: {np.sum(lengths == 0)} of {len(lengths)} documents have no word in "
            "the vocabulary of the model, the first is "
            f"{_document(corpus.names, np.argmin(lengths))}; remove these documents"
        )
    return replace(corpus, words=words[known], offsets=offsets_of(lengths), vocabulary=vocabulary)


# Text


def _open(path: Path) -> gzip.GzipFile | BinaryIO:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers; blank lines are errors."""
    number = 0
    with _reading(path), _open(path) as file:
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


def _read_text(path: Path) -> Corpus:
    encoder = _TextEncoder()
    columns: list[list[str]] = []
    for number, line in _lines(path):
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
    # A single further column is a split if it can be one.
    if len(columns) == 2 or (columns and set(columns[0]) <= set(SPLITS)):
        corpus = replace(corpus, splits=_checked_splits(path, columns.pop(0), "line"))
    return replace(corpus, labels=np.array(columns[0])) if columns else corpus


def _read_folder(path: Path) -> Corpus:
    files = sorted(file for file in path.rglob("*.txt") if file.is_file())
    if not files:
        raise DataError(f"{path}: no .txt file in this folder; give a folder of text files")
    encoder = _TextEncoder()
    for file in files:
        with _reading(file):
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


# Counts


def _expand(
    path: Path,
    vocabulary: np.ndarray,
    boundaries: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    names: np.ndarray | None = None,
) -> Corpus:
    """Write out counts in compressed sparse rows as tokens.

    Shapes: `boundaries` (documents + 1,), `words` and `counts` (entries,). The entries of
    document d are ``boundaries[d]:boundaries[d + 1]``.
    """
    if len(boundaries) < 2:
        raise DataError(f"{path}: has no documents; give one or more")
    offsets = offsets_of(counts)[boundaries]
    empty = np.flatnonzero(np.diff(offsets) == 0)
    if empty.size:
        raise DataError(
            f"{path}: {empty.size} of {len(offsets) - 1} documents have no words, the first is "
            f"{_document(names, empty[0])}; remove these documents"
        )
    tokens = np.repeat(words.astype(np.int32), counts)
    return Corpus(tokens, offsets, vocabulary, names, source=str(path))


def _document(names: np.ndarray | None, position: int | np.integer) -> str:
    """Name a document in a message."""
    return f"document {position + 1}" if names is None else f"{str(names[position])!r}"


def _check_distinct(path: Path | str, words: np.ndarray) -> None:
    """Require that no word occurs twice in a vocabulary."""
    distinct, first = np.unique(words, return_index=True)
    if len(distinct) < len(words):
        repeated = np.delete(words, first)[0]
        raise DataError(
            f"{path}: the vocabulary has {str(repeated)!r} more than once; make its words distinct"
        )


def _read_vocabulary(path: Path) -> np.ndarray:
    words = np.array([line.strip() for _, line in _lines(path)], np.str_)
    _check_distinct(path, words)
    return words


def _read_uci(path: Path) -> Corpus:
    vocabulary_path = path.with_name(path.name.removesuffix(".gz").replace("docword", "vocab", 1))
    if not vocabulary_path.is_file():
        raise DataError(f"{path}: its vocabulary is missing; put {vocabulary_path.name} beside it")
    vocabulary = _read_vocabulary(vocabulary_path)
    with _open(path) as file:
        try:
            num_documents, num_words, num_entries = (int(file.readline()) for _ in range(3))
        except ValueError as error:
            raise DataError(
                f"{path}: the first three lines must be the numbers of documents, of words and of "
                "entries; give a file in the UCI bag of words format"
            ) from error
        if num_words != len(vocabulary):
            raise DataError(
                f"{path}: line 2 says {num_words} words but {vocabulary_path.name} has "
                f"{len(vocabulary)}; put the vocabulary of this corpus beside it"
            )
        try:
            table = pd.read_csv(file, sep=r"\s+", header=None, dtype=np.int64).to_numpy()
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"{path}: every line after the third must be three integers, document word count; "
                f"correct the file ({error})"
            ) from error
    if table.shape != (num_entries, 3):
        raise DataError(
            f"{path}: line 3 says {num_entries} entries of 3 columns but the file has "
            f"{table.shape[0]} of {table.shape[1]}; it may be truncated, fetch it again"
        )
    documents, words, counts = table.T
    for name, values, largest in (
        ("document", documents, num_documents),
        ("word", words, num_words),
        ("count", counts, np.iinfo(np.int32).max),
    ):
        wrong = np.flatnonzero((values < 1) | (values > largest))
        if wrong.size:
            raise DataError(
                f"{path}: line {wrong[0] + 4} has the {name} {values[wrong[0]]}, which must be "
                f"from 1 to {largest}; correct the line"
            )
    # Entries are nearly always ordered by document, and then the sort costs next to nothing.
    order = np.argsort(documents, kind="stable")
    boundaries = offsets_of(np.bincount(documents - 1, minlength=num_documents))
    return _expand(path, vocabulary, boundaries, words[order] - 1, counts[order])


def _read_lda_c(path: Path) -> Corpus:
    names = (f"{path.stem}.vocab", f"{path.stem}.vocab.txt", "vocab.txt")
    candidates = [path.with_name(name) for name in names]
    vocabulary_path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if vocabulary_path is None:
        raise DataError(f"{path}: its vocabulary is missing; put {' or '.join(names)} beside it")
    vocabulary = _read_vocabulary(vocabulary_path)
    words, counts, boundaries = array("q"), array("q"), array("q", [0])
    for number, line in _lines(path):
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
    return _expand(
        path, vocabulary, *(np.array(values, np.int64) for values in (boundaries, words, counts))
    )


def _read_h5ad(path: Path) -> Corpus:
    import anndata  # slow to import, and no other format needs it

    try:
        with warnings.catch_warnings():
            # What is warned about, such as names that are not distinct, is an error below.
            warnings.simplefilter("ignore")
            table = anndata.read_h5ad(path)
    except Exception as error:  # of many kinds, as anndata and h5py find their way in the file
        raise DataError(f"{path}: not a readable .h5ad file ({error}); write it again") from error
    if table.X is None or table.X.dtype.kind not in "biuf":
        raise DataError(f"{path}: has no numbers in X; put the counts there")
    names = table.obs_names.to_numpy().astype(np.str_)
    vocabulary = table.var_names.to_numpy().astype(np.str_)
    _check_distinct(path, vocabulary)
    counts = scipy.sparse.csr_matrix(table.X)
    with np.errstate(invalid="ignore"):  # NaN and infinity fail the comparisons
        is_count = (counts.data >= 0) & (counts.data < 2**31) & (counts.data % 1 == 0)
    wrong = np.flatnonzero(~is_count)
    if wrong.size:
        row = np.searchsorted(counts.indptr, wrong[0], side="right") - 1
        raise DataError(
            f"{path}: X holds {counts.data[wrong[0]]} in {_document(names, row)}; X must be raw "
            "counts, so put the layer that holds them in X"
        )
    corpus = _expand(
        path, vocabulary, counts.indptr, counts.indices, counts.data.astype(np.int64), names
    )
    if "split" not in table.obs:
        return corpus
    splits = table.obs["split"].astype(str).to_numpy()
    return replace(corpus, splits=_checked_splits(path, splits, "document"))


def _checked_splits(path: Path, values: Sequence[str] | np.ndarray, unit: str) -> np.ndarray:
    """Require that every split is one; `unit` is what the file counts documents in."""
    splits = np.array(values, np.str_)
    wrong = np.flatnonzero(~np.isin(splits, SPLITS))
    if wrong.size:
        raise DataError(
            f"{path}: {unit} {wrong[0] + 1} has the split {str(splits[wrong[0]])!r}; "
            f"it must be one of {', '.join(SPLITS)}"
        )
    return splits


# Our .npz


def _read_npz(path: Path) -> Corpus:
    with zipfile.ZipFile(path) as archive:
        present = {name[: -len(".npy")] for name in archive.namelist() if name.endswith(".npy")}
        missing = [key for key in ("words", "offsets", "vocabulary") if key not in present]
        if missing:
            raise DataError(
                f"{path}: has no array {' or '.join(missing)}; write the corpus with write_corpus"
            )
        arrays = {"words": _read_array(path, archive, "words", mapped=True)}
        for key in ("offsets", "vocabulary", "names", "splits", "labels"):
            if key in present:
                arrays[key] = _read_array(path, archive, key)
    words, offsets, vocabulary = arrays["words"], arrays["offsets"], arrays["vocabulary"]
    if any(values.ndim != 1 for values in arrays.values()):
        problem = "every array must have one dimension"
    elif words.dtype.kind not in "iu" or offsets.dtype.kind not in "iu":
        problem = "words and offsets must be integers"
    elif any(arrays[key].dtype.kind != "U" for key in arrays.keys() - {"words", "offsets"}):
        problem = "vocabulary, names, splits and labels must be strings of fixed width"
    elif len(offsets) < 2:
        problem = "there are no documents"
    elif offsets[0] != 0 or offsets[-1] != len(words):
        problem = "offsets must begin with 0 and end with the number of words"
    elif np.any(offsets[1:] <= offsets[:-1]):
        first = np.argmax(offsets[1:] <= offsets[:-1]) + 1
        problem = f"document {first} has no words, or offsets are not increasing"
    elif words.min() < 0 or words.max() >= len(vocabulary):
        problem = f"words must be from 0 to {len(vocabulary) - 1}, positions in the vocabulary"
    elif any(
        len(arrays.get(key, offsets[1:])) != len(offsets) - 1
        for key in ("names", "splits", "labels")
    ):
        problem = "names, splits and labels must be as many as the documents"
    else:
        _check_distinct(path, vocabulary)
        if "splits" in arrays:
            _checked_splits(path, arrays["splits"], "document")
        arrays["words"] = words if words.dtype == np.int32 else words.astype(np.int32)
        arrays["offsets"] = offsets.astype(np.int64)
        return Corpus(**arrays, source=str(path))
    raise DataError(f"{path}: {problem}; write the corpus with write_corpus")


def _read_array(path: Path, archive: zipfile.ZipFile, key: str, mapped: bool = False) -> np.ndarray:
    """Read an array of an `.npz`, or map it from the file if it is stored uncompressed."""
    member = archive.getinfo(f"{key}.npy")
    try:
        if not mapped or member.compress_type != zipfile.ZIP_STORED:
            with archive.open(member) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        with path.open("rb") as file:
            # A member begins with a header of 30 bytes, the last four of them the lengths of the
            # name and of the extra field that follow.
            file.seek(member.header_offset + 26)
            file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
            version = np.lib.format.read_magic(file)
            read_header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
            if dtype.hasobject or 0 in shape:
                raise ValueError("it is empty or holds objects")
            # Copy on write, because a tensor cannot share memory that is read-only.
            return np.memmap(path, dtype, mode="c", offset=file.tell(), shape=shape)
    except (ValueError, RuntimeError, struct.error) as error:
        raise DataError(
            f"{path}: the array {key} cannot be read ({error}); write the corpus with write_corpus"
        ) from error
