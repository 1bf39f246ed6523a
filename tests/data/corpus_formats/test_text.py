"""Corpora as text: columns, folders, and everything that can be wrong."""

from __future__ import annotations

import gzip
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exvae.data.corpora import write_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataWarning
from exvae.data.tokenizer import AS_THEY_ARE, Tokenizer

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
    path.write_text("a b\tTraining\nb\tdev\n")
    assert read_corpus(path).splits.tolist() == ["train", "val"]
    path.write_text("a b\tship\nb\tplane\n")
    corpus = read_corpus(path)
    assert corpus.splits is None
    assert corpus.labels.tolist() == ["ship", "plane"]


@pytest.mark.parametrize("value", ["trian", "deve", "plane"])
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
    corpus = read_corpus(folder / "corpus.tsv", tokens=True)
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
        (b"a\n  \t\n", "line 2 has 2 columns"),
        (b"\xef\xbb\xbf", "no document has a word"),
        (b"a\ttrain\tx\nb\ttrain\n", "line 2 has 2 columns"),
        (b"a\nb\ttrain\n", "line 2 has 2 columns"),
        (b"a\ttrain\tx\t1\n", "line 1 has 4 columns"),
        (b"a\ttrain\tx\nb\ttesing\tx\n", "line 2 has the split 'tesing'"),
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
    bad = tmp_path / "0.txt"
    for content in (b"caf\xe9 and more", b"a\0b"):
        bad.write_bytes(content)
        assert_error(tmp_path, names=bad)


def raw_corpus(folder: Path) -> Path:
    """Write a file whose second document is of stop words and numbers alone."""
    path = folder / "raw.tsv"
    path.write_text("The Pears, and 3 pears.\tTrain!\nAND 7\tother\nA fig\tother\n")
    return path


def test_raw_text_is_tokenised_with_a_warning(tmp_path: Path) -> None:
    path = raw_corpus(tmp_path)
    with pytest.warns(DataWarning, match=f"^{path}: has capitals .*English.*; set tokens") as told:
        corpus = read_corpus(path)
    assert len(told) == 1
    assert len(str(told[0].message).splitlines()) == 1
    assert bags(corpus) == [Counter(pears=2), Counter(), Counter(fig=1)]
    assert corpus.labels.tolist() == ["Train!", "other", "other"]
    assert corpus.tokenizer == Tokenizer()


def test_words_of_raw_text_can_be_taken_as_they_are(tmp_path: Path) -> None:
    corpus = read_corpus(raw_corpus(tmp_path), tokens=True)
    assert bags(corpus)[1] == {"AND": 1, "7": 1}
    assert corpus.tokenizer == AS_THEY_ARE


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("u.s. 3,5 it's a:b e-mail", False),
        ("apple\nfig", False),
        ("apple Fig", True),
        ("apple, fig", True),
        ("apple fig.", True),
        ("apple\nÄpfel", True),
        ("really? yes", True),
    ],
)
def test_capitals_and_punctuation_make_a_text_raw(tmp_path: Path, text: str, raw: bool) -> None:
    for path in (tmp_path / "corpus.tsv", tmp_path / "folder" / "one.txt"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        with pytest.warns(DataWarning) if raw else nullcontext():
            corpus = read_corpus(path if path.suffix == ".tsv" else path.parent)
        assert (corpus.tokenizer == Tokenizer()) == raw
        assert raw or corpus.vocabulary[corpus.words].tolist() == text.split()


def test_capitals_of_labels_do_not_make_a_text_raw(tmp_path: Path) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_text("the apple\ttrain\tFruit, fresh.\n")
    assert read_corpus(path).vocabulary.tolist() == ["apple", "the"]


def test_options_of_the_tokeniser_apply_to_words_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_text("the 1st fig\nthe fig of the fig\n")
    corpus = read_corpus(path, stop_words=["the"], ngram_range=(2, 2), min_df=1)
    assert bags(corpus) == [Counter(["1st fig"]), Counter({"fig of": 1, "of fig": 1})]


def test_the_tokeniser_of_a_fit_is_used_in_any_case(tmp_path: Path) -> None:
    path = raw_corpus(tmp_path)
    own = Tokenizer(lowercase=False, stop_words=None, token_pattern="[A-Z]+")
    corpus = read_corpus(path, tokenizer=own)
    assert bags(corpus) == [Counter("TP"), Counter(["AND"]), Counter("A")]


def test_texts_without_any_word(tmp_path: Path) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_text("The And\n12 34\n")
    with pytest.warns(DataWarning):
        assert_error(path, "no document has a word")
