"""Corpora from files: every format, and everything that can be wrong with one."""

from __future__ import annotations

import gzip
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from exvae.data.corpora import Corpus, write_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"

DOCUMENTS = ["pear apple apple", "äpfel", "fig fig pear fig"]
VOCABULARY = ["apple", "fig", "pear", "äpfel"]
COUNTS = np.array([[2, 0, 1, 0], [0, 0, 0, 1], [0, 3, 1, 0]])
SPLITS = ["train", "val", "test"]


# The corpus above in every format


def write_text(folder: Path) -> Path:
    path = folder / "corpus.tsv"
    path.write_text("".join(f"{document}\n" for document in DOCUMENTS), "utf-8")
    return path


def write_text_for_windows(folder: Path) -> Path:
    path = folder / "corpus.txt"
    path.write_text("\r\n".join(DOCUMENTS), "utf-8-sig", newline="")
    return path


def write_text_gz(folder: Path) -> Path:
    path = folder / "corpus.tsv.gz"
    path.write_bytes(gzip.compress("\n".join(DOCUMENTS).encode()))
    return path


def uci_text() -> str:
    rows = [f"{d + 1} {w + 1} {COUNTS[d, w]}\n" for d, w in zip(*COUNTS.nonzero(), strict=True)]
    return f"3\n4\n{len(rows)}\n{''.join(rows)}"


def write_uci(folder: Path) -> Path:
    (folder / "vocab.fruit.txt").write_text("\n".join(VOCABULARY) + "\n", "utf-8")
    path = folder / "docword.fruit.txt"
    path.write_text(uci_text())
    return path


def write_uci_gz(folder: Path) -> Path:
    write_uci(folder).unlink()
    path = folder / "docword.fruit.txt.gz"
    path.write_bytes(gzip.compress(uci_text().encode()))
    return path


def write_uci_unordered(folder: Path) -> Path:
    path = write_uci(folder)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:3] + lines[:2:-1]))
    return path


def write_lda_c(folder: Path, vocabulary: str = "vocab.txt") -> Path:
    (folder / vocabulary).write_text("\n".join(VOCABULARY) + "\n", "utf-8")
    path = folder / "fruit.dat"
    path.write_text("2 0:2 2:1\n1 3:1\n2 1:3 2:1\n")
    return path


def write_folder(folder: Path) -> Path:
    for number, document in enumerate(DOCUMENTS):
        text = document.replace(" ", ", 12 a_").upper()
        (folder / f"{number}.txt").write_text(text, "utf-8")
    (folder / "notes.md").write_text("not a document")
    return folder


def write_npz(folder: Path) -> Path:
    path = folder / "corpus.npz"
    write_corpus(read_corpus(write_text(folder)), path)
    return path


def write_compressed_npz(folder: Path) -> Path:
    path = folder / "compressed.npz"
    corpus = read_corpus(write_text(folder))
    np.savez_compressed(
        path, words=corpus.words, offsets=corpus.offsets, vocabulary=corpus.vocabulary
    )
    return path


def write_wide_npz(folder: Path) -> Path:
    path = folder / "wide.npz"
    corpus = read_corpus(write_text(folder))
    words = corpus.words.astype(">i8")
    offsets = corpus.offsets.astype(np.uint32)
    np.savez(path, words=words, offsets=offsets, vocabulary=corpus.vocabulary)
    return path


def table_of(counts: object, **columns: list[str]) -> anndata.AnnData:
    documents = pd.DataFrame(columns, index=["one", "two", "three"])
    return anndata.AnnData(counts, obs=documents, var=pd.DataFrame(index=VOCABULARY))


def h5ad_writer(convert: Callable[[np.ndarray], object]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "corpus.h5ad"
        table_of(convert(COUNTS.astype(np.float32))).write_h5ad(path)
        return path

    return write


FORMATS: dict[str, Callable[[Path], Path]] = {
    "text": write_text,
    "text for Windows": write_text_for_windows,
    "text.gz": write_text_gz,
    "UCI": write_uci,
    "UCI.gz": write_uci_gz,
    "UCI unordered": write_uci_unordered,
    "lda-c": write_lda_c,
    "lda-c NAME.vocab": lambda folder: write_lda_c(folder, "fruit.vocab"),
    "lda-c NAME.vocab.txt": lambda folder: write_lda_c(folder, "fruit.vocab.txt"),
    "folder": write_folder,
    "npz": write_npz,
    "npz compressed": write_compressed_npz,
    "npz of other integers": write_wide_npz,
    "h5ad CSR": h5ad_writer(scipy.sparse.csr_matrix),
    "h5ad CSC": h5ad_writer(scipy.sparse.csc_matrix),
    "h5ad dense": h5ad_writer(np.asarray),
}


def bags(corpus: Corpus) -> list[Counter[str]]:
    """Documents as counts of words."""
    words = corpus.vocabulary[corpus.words]
    return [Counter(document.tolist()) for document in np.split(words, corpus.offsets[1:-1])]


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


# Columns


def test_three_columns_are_tokens_split_label(tmp_path: Path) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_text("a b\ttrain\tx\nb\ttest\ttrain\n")
    corpus = read_corpus(path)
    assert corpus.splits.tolist() == ["train", "test"]
    assert corpus.labels.tolist() == ["x", "train"]


def test_the_second_of_two_columns_is_a_split_if_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_text("a b\ttrain\nb\tval\n")
    corpus = read_corpus(path)
    assert corpus.splits.tolist() == ["train", "val"]
    assert corpus.labels is None
    path.write_text("a b\ttrain\nb\tplane\n")
    corpus = read_corpus(path)
    assert corpus.splits is None
    assert corpus.labels.tolist() == ["train", "plane"]


def test_subfolders_are_labels(tmp_path: Path) -> None:
    for name in ("sport/b.txt", "sport/a.txt", "art/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"word{name[-5]}word")
    corpus = read_corpus(tmp_path)
    assert corpus.names.tolist() == ["art/c.txt", "sport/a.txt", "sport/b.txt"]
    assert corpus.labels.tolist() == ["art", "sport", "sport"]
    (tmp_path / "top.txt").write_text("word")
    assert read_corpus(tmp_path).labels is None


def test_h5ad_has_names_and_splits(tmp_path: Path) -> None:
    path = tmp_path / "corpus.h5ad"
    table_of(COUNTS, split=SPLITS).write_h5ad(path)
    corpus = read_corpus(path)
    assert corpus.names.tolist() == ["one", "two", "three"]
    assert corpus.splits.tolist() == SPLITS
    assert corpus.labels is None


# Mapped files


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


# The vocabulary of a model


def test_unknown_words_are_an_error_that_tells_how_to_drop_them(tmp_path: Path) -> None:
    path = write_text(tmp_path)
    with pytest.raises(DataError) as caught:
        read_corpus(path, vocabulary=["fig", "äpfel"])
    assert str(caught.value) == (
        f"{path}: 2 of 4 words (4 of 8 tokens) are not in the vocabulary of the model, "
        "the first is 'pear'; set drop_unknown to leave them out"
    )


def test_unknown_words_can_be_dropped(tmp_path: Path) -> None:
    corpus = read_corpus(write_text(tmp_path), vocabulary=["äpfel", "pear"], drop_unknown=True)
    assert bags(corpus) == [Counter(["pear"]), Counter(["äpfel"]), Counter(["pear"])]
    assert corpus.offsets.tolist() == [0, 1, 2, 3]


def test_documents_without_a_known_word_are_an_error(tmp_path: Path) -> None:
    path = write_text(tmp_path)
    for known, number, first in (["fig"], 2, 1), (["apple", "pear"], 1, 2), (["apple"], 2, 2):
        with pytest.raises(
            DataError, match=f"^{path}: {number} of 3 documents have no .* document {first}; remove"
        ):
            read_corpus(path, vocabulary=known, drop_unknown=True)


def test_words_of_a_vocabulary_that_do_not_occur_need_not_be_known(tmp_path: Path) -> None:
    path = write_lda_c(tmp_path)
    path.write_text("1 0:1\n")
    assert read_corpus(path, vocabulary=["apple"]).words.tolist() == [0]


def test_a_repeated_word_in_the_given_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'fig' more than once"):
        read_corpus(write_text(tmp_path), vocabulary=[*VOCABULARY, "fig"])


# What can be wrong


def assert_error(path: Path, *parts: str, names: Path | None = None) -> None:
    """Expect one line that begins with the file and has the parts and a remedy."""
    with pytest.raises(DataError) as caught:
        read_corpus(path)
    message = str(caught.value)
    assert message.startswith(f"{names or path}: ")
    assert len(message.splitlines()) == 1
    assert "; " in message
    for part in parts:
        assert part in message


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


def test_truncated_gz(tmp_path: Path) -> None:
    for path in (write_text_gz(tmp_path), write_uci_gz(tmp_path)):
        path.write_bytes(path.read_bytes()[:-12])
        assert_error(path, "truncated")


def test_a_file_name_with_a_line_break_still_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_corpus(tmp_path / "two\nlines.tsv")
    assert len(str(caught.value).splitlines()) == 1


def test_bad_folders(tmp_path: Path) -> None:
    assert_error(tmp_path, "no .txt file")
    write_folder(tmp_path)
    bad = tmp_path / "bad.txt"
    for content in (b"caf\xe9 and more", b"a\0b", b"", b"1 2 a b\n"):
        bad.write_bytes(content)
        assert_error(tmp_path, names=bad)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("3\n4\n", ["first three lines"]),
        ("3\nfour\n5\n1 1 1\n", ["first three lines"]),
        ("1 1 2\n1 2 3\n2 1 1\n2 2 1\n", ["first three lines"]),
        ("1\n5\n1\n1 1 1\n", ["line 2 says 5 words", "vocab.fruit.txt has 4"]),
        ("1\n4\n0\n", ["three integers"]),
        ("1\n4\n1\n1 1\n", ["line 3 says 1", "of 2"]),
        ("1\n4\n2\n1 1 1\n1 2\n", ["three integers"]),
        ("1\n4\n2\n1 1 1\n1 2 1 1\n", ["three integers"]),
        ("1\n4\n1\n1 1 1.5\n", ["three integers"]),
        ("1\n4\n1\n1 one 1\n", ["three integers"]),
        ("1\n4\n1\n1 1 99999999999999999999\n", ["three integers"]),
        ("1\n4\n3\n1 1 1\n1 2 1\n", ["line 3 says 3 entries", "has 2"]),
        ("1\n4\n1\n1 1 1\n1 2 1\n", ["line 3 says 1 entries", "has 2"]),
        ("1\n4\n2\n1 1 1\n2 2 1\n", ["line 5 has the document 2", "1 to 1"]),
        ("1\n4\n1\n0 1 1\n", ["line 4 has the document 0"]),
        ("1\n4\n1\n1 5 1\n", ["line 4 has the word 5", "1 to 4"]),
        ("1\n4\n1\n1 0 1\n", ["line 4 has the word 0"]),
        ("1\n4\n1\n1 1 0\n", ["line 4 has the count 0"]),
        ("1\n4\n1\n1 1 -2\n", ["line 4 has the count -2"]),
        ("3\n4\n1\n2 1 1\n", ["2 of 3 documents have no words", "document 1"]),
    ],
)
def test_bad_bags_of_words(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = write_uci(tmp_path)
    path.write_text(text)
    assert_error(path, *parts)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("2 0:1\n", "line 1 is not"),
        ("1 0:1\n1 0:1 1:1\n", "line 2 is not"),
        ("1 0 1\n", "line 1 is not"),
        ("1 0:-1\n", "line 1 is not"),
        ("1 0:1.5\n", "line 1 is not"),
        ("some words\n", "line 1 is not"),
        ("1 0:1\n0\n", "line 2 is a document without words"),
        ("1 0:0\n", "line 1 has a count"),
        ("1 0:99999999999999999999\n", "line 1 has a count"),
        ("1 4:1\n", "line 1 has the word 4 but vocab.txt has 4"),
        ("1 99999999999999999999:1\n", "line 1 has the word"),
        ("1 0:1\n\n", "line 2 is blank"),
    ],
)
def test_bad_lda_c(tmp_path: Path, text: str, part: str) -> None:
    path = write_lda_c(tmp_path)
    path.write_text(text)
    assert_error(path, part)


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


def test_a_missing_vocabulary_tells_where_it_was_looked_for(tmp_path: Path) -> None:
    path = write_lda_c(tmp_path, "words.txt")
    assert_error(path, "fruit.vocab or fruit.vocab.txt or vocab.txt")


@pytest.mark.parametrize(
    ("value", "part"),
    [(-1, "-1.0"), (0.5, "0.5"), (np.nan, "nan"), (np.inf, "inf"), (1e30, "1e+30")],
)
@pytest.mark.parametrize("convert", [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, np.asarray])
def test_h5ad_that_does_not_hold_counts(
    tmp_path: Path, value: float, part: str, convert: Callable[[np.ndarray], object]
) -> None:
    counts = COUNTS.astype(np.float64)
    counts[1, 1] = value
    path = tmp_path / "corpus.h5ad"
    table_of(convert(counts)).write_h5ad(path)
    assert_error(path, part, "'two'", "raw counts")


def test_h5ad_that_is_not_a_corpus(tmp_path: Path) -> None:
    path = tmp_path / "corpus.h5ad"
    table_of(None).write_h5ad(path)
    assert_error(path, "no numbers in X")
    table_of(COUNTS * [[1], [0], [1]]).write_h5ad(path)
    assert_error(path, "1 of 3 documents have no words", "'two'")
    table_of(COUNTS, split=["train", "dev", "test"]).write_h5ad(path)
    assert_error(path, "document 2 has the split 'dev'")
    table_of(COUNTS)[[]].write_h5ad(path)
    assert_error(path, "no documents")
    repeated = pd.DataFrame(index=["apple", "fig", "apple", "pear"])
    with pytest.warns(UserWarning, match="not unique"):
        anndata.AnnData(COUNTS, var=repeated).write_h5ad(path)
    assert_error(path, "'apple' more than once")


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
        ({"offsets": np.array([0, 2, 2, 3])}, "document 2 has no words"),
        ({"offsets": np.array([0, 2, 1, 3], np.uint64)}, "document 2 has no words"),
        ({"offsets": np.array([0.0, 1.0, 3.0])}, "must be integers"),
        ({"offsets": np.array([0])}, "no documents"),
        ({"vocabulary": np.array(["a", "a"])}, "'a' more than once"),
        ({"vocabulary": np.array([1, 2])}, "must be strings"),
        ({"vocabulary": np.array(["a", "b"], object)}, "vocabulary cannot be read"),
        ({"names": np.array(["one"])}, "as many as the documents"),
        ({"labels": np.array([1, 2])}, "must be strings"),
        ({"splits": np.array(["train", "dev"])}, "document 2 has the split 'dev'"),
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


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_text(tmp_path)

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert_error(path, "cannot be read (Permission denied)")


# Real corpora


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
