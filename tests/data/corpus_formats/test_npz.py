"""Corpora as `.npz`: words that are mapped, and everything that can be wrong."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from exvae.data.corpus_formats import read_corpus

from .fruit import (
    VOCABULARY,
    assert_error,
    write_compressed_npz,
    write_npz,
)


def test_words_are_mapped_and_not_loaded(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    corpus = read_corpus(path)
    assert isinstance(corpus.words, np.memmap)
    assert isinstance(read_corpus(path, vocabulary=VOCABULARY).words, np.memmap)
    assert corpus.tensors().words.data_ptr() == corpus.words.ctypes.data
    assert not isinstance(read_corpus(write_compressed_npz(tmp_path)).words, np.memmap)


def test_changing_mapped_words_does_not_change_the_file(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    corpus = read_corpus(path)
    corpus.tensors().words.zero_()
    assert read_corpus(path).words.any()


GOOD_ARRAYS = {
    "words": np.array([0, 1, 1], np.int32),
    "offsets": np.array([0, 1, 3]),
    "vocabulary": np.array(["a", "b"]),
}


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"words": None}, "no array words"),
        ({"words": None, "vocabulary": None}, "no array words or vocabulary"),
        ({"words": np.array([0.0, 1.0, 1.0])}, "must be integers"),
        ({"words": np.array([0, 1, 2], np.int32)}, "from 0 to 1"),
        ({"words": np.array([0, 1, -1], np.int32)}, "from 0 to 1"),
        ({"words": np.array([0, 1, 2**32], np.int64)}, "from 0 to 1"),
        ({"words": np.zeros((3, 1), np.int32)}, "one dimension"),
        ({"words": np.zeros(0, np.int32)}, "words cannot be read"),
        ({"words": np.array([0, "b", None], object)}, "words cannot be read"),
        ({"offsets": np.array([0, 3, 1])}, "end with the number"),
        ({"offsets": np.array([1, 2, 3])}, "begin with 0"),
        ({"offsets": np.array([0, 2, 1, 3])}, "document 2 ends before it begins"),
        ({"offsets": np.array([0, 2, 1, 3], np.uint64)}, "document 2 ends before it begins"),
        ({"offsets": np.array([0.0, 1.0, 3.0])}, "must be integers"),
        ({"offsets": np.array([0])}, "no documents"),
        ({"vocabulary": np.array(["a", "a"])}, "'a' more than once"),
        ({"vocabulary": np.array([1, 2])}, "must be strings"),
        ({"vocabulary": np.array(["a", "b"], object)}, "vocabulary cannot be read"),
        ({"names": np.array(["one"])}, "as many as the documents"),
        ({"labels": np.array([1, 2])}, "must be strings"),
        ({"splits": np.array(["train", "deve"])}, "document 2 has the split 'deve'"),
    ],
)
def test_bad_npz(tmp_path: Path, changes: dict[str, np.ndarray | None], part: str) -> None:
    path = tmp_path / "corpus.npz"
    arrays = {key: value for key, value in {**GOOD_ARRAYS, **changes}.items() if value is not None}
    np.savez(path, **arrays)
    assert_error(path, part)


def test_damaged_npz(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    assert_error(path, "truncated or damaged")
    position = content.index("äpfel".encode("utf-32-le"))
    path.write_bytes(content[:position] + b"b" + content[position + 1 :])
    assert_error(path, "truncated or damaged")
    with zipfile.ZipFile(path, "w") as archive:
        for key in GOOD_ARRAYS:
            archive.writestr(f"{key}.npy", b"no array")
    assert_error(path, "words cannot be read")


def test_other_arrays_of_an_npz_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "corpus.npz"
    np.savez(path, **GOOD_ARRAYS, topics=np.eye(2))
    assert read_corpus(path).num_documents == 2
