"""Corpora as text: columns, folders, and everything that can be wrong."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exvae.data.corpora import write_corpus
from exvae.data.corpus_formats import read_corpus

from .fruit import (
    assert_error,
    bags,
    write_folder,
)


def test_three_columns_are_tokens_split_label(tmp_path: Path) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_text("a b\ttrain\tx\nb\ttest\ttrain\n")
    corpus = read_corpus(path)
    assert corpus.splits.tolist() == ["train", "test"]
    assert corpus.labels.tolist() == ["x", "train"]


def test_the_second_of_two_columns_is_of_splits_or_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_text("a b\ttrain\nb\tval\n")
    corpus = read_corpus(path)
    assert corpus.splits.tolist() == ["train", "val"]
    assert corpus.labels is None
    path.write_text("a b\tship\nb\tplane\n")
    corpus = read_corpus(path)
    assert corpus.splits is None
    assert corpus.labels.tolist() == ["ship", "plane"]


@pytest.mark.parametrize("value", ["trian", "dev", "plane"])
def test_a_misspelt_split_is_no_label(tmp_path: Path, value: str) -> None:
    """Its document would be trained on, and so would the test documents."""
    path = tmp_path / "corpus.tsv"
    path.write_text(f"a b\ttest\nb\ttrain\na\t{value}\n")
    assert_error(path, f"line 3 has the split {value!r}", "labels are a third column")


def test_subfolders_are_labels(tmp_path: Path) -> None:
    for name in ("sport/b.txt", "sport/a.txt", "art/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"word{name[-5]}word")
    corpus = read_corpus(tmp_path)
    assert corpus.names.tolist() == ["art/c.txt", "sport/a.txt", "sport/b.txt"]
    assert corpus.labels.tolist() == ["art", "sport", "sport"]
    (tmp_path / "top.txt").write_text("word")
    assert read_corpus(tmp_path).labels is None


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=1, max_size=5))
def test_any_words_survive(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("words")
    (folder / "corpus.tsv").write_text("\n".join(map(" ".join, documents)), "utf-8")
    corpus = read_corpus(folder / "corpus.tsv")
    write_corpus(corpus, folder / "corpus.npz")
    expected = [Counter(document) for document in documents]
    assert bags(corpus) == expected
    assert bags(read_corpus(folder / "corpus.npz")) == expected
    assert corpus.vocabulary.tolist() == sorted({*sum(documents, [])})


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"a b\nc \xff\xfe d\n", "line 2 is not UTF-8"),
        (b"a b\nc \0 d\n", "line 2 holds binary"),
        ("ab\ncd\n".encode("utf-16-le"), "line 1 holds binary"),
        (b"a\n\nb\n", "line 2 is blank"),
        (b"a\n  \t\n", "line 2 is blank"),
        (b"\xef\xbb\xbf", "line 1 is blank"),
        (b"a\tx\n\ty\n", "line 2 is a document without words"),
        (b"a\ttrain\tx\nb\ttrain\n", "line 2 has 2 columns"),
        (b"a\nb\ttrain\n", "line 2 has 2 columns"),
        (b"a\ttrain\tx\t1\n", "line 1 has 4 columns"),
        (b"a\ttrain\tx\nb\ttesting\tx\n", "line 2 has the split 'testing'"),
    ],
)
def test_bad_text(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_bytes(content)
    assert_error(path, part)


def test_an_empty_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "corpus.tsv.gz"
    path.write_bytes(gzip.compress(b""))
    assert_error(path, "empty file")


def test_bad_folders(tmp_path: Path) -> None:
    assert_error(tmp_path, "no .txt file")
    write_folder(tmp_path)
    bad = tmp_path / "bad.txt"
    for content in (b"caf\xe9 and more", b"a\0b", b"", b"1 2 a b\n"):
        bad.write_bytes(content)
        assert_error(tmp_path, names=bad)
