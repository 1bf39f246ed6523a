"""Corpora in any format, the vocabulary of a model, and files that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exvae.data.corpora import write_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataError

from .fruit import (
    DOCUMENTS,
    FORMATS,
    VOCABULARY,
    assert_error,
    bags,
    write_lda_c,
    write_text,
    write_text_gz,
    write_uci,
    write_uci_gz,
)

# The folder of raw texts warns that they are tokenised.
pytestmark = pytest.mark.filterwarnings("ignore::exvae.data.errors.DataWarning")
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_corpus(name: str, tmp_path: Path) -> None:
    corpus = read_corpus(FORMATS[name](tmp_path))
    assert corpus.vocabulary.tolist() == VOCABULARY
    assert bags(corpus) == [Counter(document.split()) for document in DOCUMENTS]
    assert corpus.offsets.tolist() == [0, 3, 4, 8]
    assert corpus.words.dtype == np.int32
    assert corpus.offsets.dtype == np.int64
    batch = corpus.batch([2, 1])
    assert batch.offsets.tolist() == [0, 4, 5]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_survives_a_round_trip(name: str, tmp_path: Path) -> None:
    corpus = read_corpus(FORMATS[name](tmp_path))
    path = tmp_path / "copy.npz"
    write_corpus(corpus, path)
    copy = read_corpus(path)
    assert copy.fingerprint == corpus.fingerprint
    for column in ("names", "splits", "labels"):
        before, after = getattr(corpus, column), getattr(copy, column)
        assert (before is None) == (after is None)
        assert before is None or before.tolist() == after.tolist()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_mapped_by_name(name: str, tmp_path: Path) -> None:
    vocabulary = ["zebra", *reversed(VOCABULARY), "quince"]
    corpus = read_corpus(FORMATS[name](tmp_path), vocabulary=vocabulary)
    assert corpus.vocabulary.tolist() == vocabulary
    assert bags(corpus) == [Counter(document.split()) for document in DOCUMENTS]
    assert corpus.words.dtype == np.int32


def test_unknown_words_are_an_error_that_tells_how_to_drop_them(tmp_path: Path) -> None:
    path = write_text(tmp_path)
    with pytest.raises(DataError) as caught:
        read_corpus(path, vocabulary=["fig", "äpfel"])
    assert str(caught.value) == (
        f"{path}: 2 of 4 words (4 of 8 tokens) are not in the vocabulary of the model, "
        "the first is 'pear'; drop_unknown (--drop-unknown) leaves them out"
    )


def test_unknown_words_can_be_dropped(tmp_path: Path) -> None:
    corpus = read_corpus(write_text(tmp_path), vocabulary=["äpfel", "pear"], drop_unknown=True)
    assert bags(corpus) == [Counter(["pear"]), Counter(["äpfel"]), Counter(["pear"])]
    assert corpus.offsets.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("known", "lengths"),
    [(["fig"], [0, 0, 3]), (["apple", "pear"], [3, 0, 1]), (["apple"], [2, 0, 0])],
)
def test_documents_without_a_known_word_stay(
    tmp_path: Path, known: list[str], lengths: list[int]
) -> None:
    corpus = read_corpus(write_text(tmp_path), vocabulary=known, drop_unknown=True)
    assert corpus.lengths.tolist() == lengths
    write_corpus(corpus, tmp_path / "copy.npz")
    assert read_corpus(tmp_path / "copy.npz").lengths.tolist() == lengths


def test_words_of_a_vocabulary_that_do_not_occur_need_not_be_known(tmp_path: Path) -> None:
    path = write_lda_c(tmp_path)
    path.write_text("1 0:1\n")
    assert read_corpus(path, vocabulary=["apple"]).words.tolist() == [0]


def test_a_repeated_word_in_the_given_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'fig' more than once"):
        read_corpus(write_text(tmp_path), vocabulary=[*VOCABULARY, "fig"])


@pytest.mark.parametrize("name", FORMATS)
def test_columns_are_named_in_tables_alone(name: str, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path)
    for options in ({"text": "body"}, {"label": "kind"}, {"id": "name"}):
        with pytest.raises(DataError, match=f"^{path}: its columns have no names; leave out"):
            read_corpus(path, **options)


@pytest.mark.parametrize("name", FORMATS)
def test_counts_cannot_be_tokenised_but_limited(name: str, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path)
    limited = read_corpus(path, min_df=2)
    assert limited.vocabulary.tolist() == ["pear"]
    assert limited.lengths.tolist() == [1, 0, 1]
    if "text" in name or name == "folder":
        return
    for options, named in (({"tokens": True}, "tokens"), ({"stop_words": None}, "stop_words")):
        with pytest.raises(DataError, match=f"^{path}: holds counts, not texts; leave out {named}"):
            read_corpus(path, **options)


def test_missing_files(tmp_path: Path) -> None:
    for name in ("corpus.tsv", "corpus.npz", "corpus.h5ad", "a.dat", "docword.a.txt", "folder/x"):
        assert_error(tmp_path / name, "no such file")


@pytest.mark.parametrize(
    "name", ["corpus.tsv", "corpus.npz", "corpus.h5ad", "a.dat", "docword.a.txt.gz"]
)
def test_empty_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert_error(tmp_path / name, "empty file")


@pytest.mark.parametrize("content", [b"PK\x03\x04 not a zip", bytes(range(256)), b"some text"])
@pytest.mark.parametrize("name", ["corpus.npz", "corpus.h5ad", "corpus.tsv.gz"])
def test_files_of_another_kind(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert_error(tmp_path / name)


def test_truncated_gz(tmp_path: Path) -> None:
    for path in (write_text_gz(tmp_path), write_uci_gz(tmp_path)):
        path.write_bytes(path.read_bytes()[:-12])
        assert_error(path, "truncated")


def test_a_file_name_with_a_line_break_still_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_corpus(tmp_path / "two\nlines.tsv")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("write", [write_uci, write_lda_c])
def test_bad_vocabularies(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path)
    (vocabulary,) = tmp_path.glob("vocab*")
    for content, part in (
        (b"apple\nfig\napple\npear\n", "'apple' more than once"),
        (b"apple\n\nfig\npear\n", "line 2 is blank"),
        (b"apple\n\xff\nfig\npear\n", "line 2 is not UTF-8"),
        (b"", "empty"),
    ):
        vocabulary.write_bytes(content)
        assert_error(path, part, names=vocabulary)
    vocabulary.unlink()
    assert_error(path, "vocabulary is missing", vocabulary.name)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_text(tmp_path)

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert_error(path, "cannot be read (Permission denied)")


@pytest.mark.parametrize(
    ("name", "documents", "words", "shortest", "longest", "median", "splits", "num_labels"),
    [
        ("bbc_news", 2225, 2949, 16, 1176, 107, {"train": 1556, "val": 334, "test": 335}, 5),
        ("dblp", 54595, 1513, 3, 21, 5, {"train": 38215, "val": 8190, "test": 8190}, 4),
    ],
)
def test_real_corpora(
    name: str,
    documents: int,
    words: int,
    shortest: int,
    longest: int,
    median: int,
    splits: dict[str, int],
    num_labels: int,
) -> None:
    path = SHARED / name / "corpus.tsv"
    if not path.is_file():
        pytest.skip(f"{name} is not beside the repository")
    corpus = read_corpus(path)
    assert (corpus.num_documents, corpus.vocabulary_size) == (documents, words)
    lengths = corpus.lengths
    assert (lengths.min(), lengths.max(), np.median(lengths)) == (shortest, longest, median)
    assert Counter(corpus.splits.tolist()) == splits
    assert len(set(corpus.labels.tolist())) == num_labels
    first = path.read_text("utf-8").split("\t", 1)[0].split()
    assert corpus.vocabulary[corpus.words[: len(first)]].tolist() == first
