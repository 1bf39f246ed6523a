"""Kinds of corpora that people have: read right, or told in one line with the way on."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from exvae.data.corpora import Corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataError, DataWarning

from .corpus_formats.fruit import CSV, TEXTS, write

# Apples, pears and figs in four documents, of which the second has no words.
WORDS = ["apple", "pear", "plum", "fig"]
COUNTS = np.array([[2, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 3], [0, 1, 0, 0]])
MATRIX_MARKET = "%%MatrixMarket matrix coordinate real general\n"
ENTRIES = "1 1 2\n1 2 1\n3 3 1\n4 2 1\n4 4 3\n5 2 1\n"
LDA_C = "2 0:2 1:1\n0 \n1 2:1\n2 1:1 3:3\n1 1:1\n"
VOCABULARY = "".join(f"{word}\n" for word in WORDS)
DICTIONARY = "5\n" + "".join(f"{n}\t{word}\t1\n" for n, word in sorted(enumerate(WORDS), key=str))


def matrix_market(counts: np.ndarray, **options: str) -> str:
    """Text of a matrix by another writer, scipy's."""
    file = io.BytesIO()
    scipy.io.mmwrite(file, scipy.sparse.coo_matrix(counts), **options)
    return file.getvalue().decode()


# Files by name, the first of which is the corpus of COUNTS.
OF_COUNTS: dict[str, dict[str, str]] = {
    "gensim MmCorpus": {
        "c.mm": f"{MATRIX_MARKET}5 4 6{' ' * 45}\n{ENTRIES}",
        "c.dict.txt": DICTIONARY,
    },
    "MmCorpus that ends before the vocabulary": {
        "c.mm": f"{MATRIX_MARKET}5 4 6{' ' * 45}\n{ENTRIES}",
        "c.mm.vocab": f"{VOCABULARY}quince\n",
    },
    "integer matrix": {"c.mtx": matrix_market(COUNTS, field="integer"), "vocab.txt": VOCABULARY},
    "matrix of words by documents": {"c.mtx": matrix_market(COUNTS.T), "c.vocab": VOCABULARY},
    "matrix under another name": {
        "corpus.txt": f"{MATRIX_MARKET}5 4 6\n{ENTRIES}",
        "vocab.txt": VOCABULARY,
    },
    "Blei's lda-c": {"c.ldac": LDA_C, "c.tokens": VOCABULARY},
    "gensim BleiCorpus": {"c.dat": LDA_C, "c.dat.vocab": VOCABULARY},
    "BleiCorpus with unused numbers": {
        "c.dat": LDA_C.replace("3:3", "5:3"),
        "c.dat.vocab": VOCABULARY.replace("fig", "---\n---\nfig"),
    },
    "lda-c under another name": {"corpus.txt": LDA_C, "corpus.vocab": VOCABULARY},
    "gensim UciCorpus": {
        "c.uci": "".join(f"{n:<20}\n" for n in (5, 4, 6)) + ENTRIES,
        "c.uci.vocab": f"{VOCABULARY}quince\n",
    },
    "UCI bag of words": {
        "docword.c.txt": f"5\n4\n6\n{ENTRIES}",
        "vocab.c.txt": VOCABULARY,
    },
    "UCI under another name": {"corpus.txt": f"5\n4\n6\n{ENTRIES}", "vocab.txt": VOCABULARY},
}


def table(corpus: Corpus) -> np.ndarray:
    """Count WORDS, shape (documents, words)."""
    found = np.zeros((corpus.num_documents, len(WORDS)), int)
    positions = [WORDS.index(word) for word in corpus.vocabulary[corpus.words]]
    np.add.at(found, (np.repeat(np.arange(corpus.num_documents), corpus.lengths), positions), 1)
    return found


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", OF_COUNTS)
def test_counts_are_read(kind: str, packed: bool, tmp_path: Path) -> None:
    path = write(tmp_path, OF_COUNTS[kind], packed=packed)
    transposed = kind == "matrix of words by documents"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        corpus = read_corpus(path)
    assert [str(own.message).split("; ")[-1] for own in told] == (
        ["columns are taken as documents"] if transposed else []
    )
    np.testing.assert_array_equal(table(corpus), COUNTS)
    assert "---" not in corpus.vocabulary


@pytest.mark.parametrize("kind", [kind for kind in OF_COUNTS if "words by documents" not in kind])
def test_documents_of_counts_without_words_are_told_on_request(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, OF_COUNTS[kind])
    with pytest.raises(DataError, match="1 of 5 documents have no words, the first is document 2"):
        read_corpus(path, keep_empty=True)


@pytest.mark.parametrize("kind", OF_COUNTS)
def test_a_vocabulary_may_lie_elsewhere(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, OF_COUNTS[kind])
    words = tmp_path / [*OF_COUNTS[kind]][1]
    with pytest.raises(DataError, match=r"no such file"):
        read_corpus(path, vocabulary_file=tmp_path / "words")
    # gensim's shorter counts are known by the name of its vocabulary.
    words.write_text(words.read_text().replace("quince\n", ""))
    words.rename(tmp_path / "words")
    with pytest.raises(DataError, match="its vocabulary is missing; .* --vocabulary"):
        read_corpus(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        corpus = read_corpus(path, vocabulary_file=tmp_path / "words")
    np.testing.assert_array_equal(table(corpus), COUNTS)


def test_sparse_matrices_of_scipy(tmp_path: Path) -> None:
    path = tmp_path / "counts.npz"
    scipy.sparse.save_npz(path, scipy.sparse.csr_matrix(COUNTS))
    (tmp_path / "counts.vocab").write_text(VOCABULARY)
    np.testing.assert_array_equal(table(read_corpus(path)), COUNTS)


@pytest.mark.peers
def test_what_gensim_writes(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        corpora = pytest.importorskip("gensim.corpora")
    texts = [[WORDS[n] for n in np.repeat(np.arange(4), row)] for row in COUNTS]
    dictionary = corpora.Dictionary(texts)
    bags = [dictionary.doc2bow(text) for text in texts]
    for kind, name in (("MmCorpus", "c.mm"), ("BleiCorpus", "c.dat"), ("UciCorpus", "c.uci")):
        folder = tmp_path / kind
        folder.mkdir()
        getattr(corpora, kind).serialize(str(folder / name), bags, id2word=dictionary)
        if kind == "MmCorpus":
            dictionary.save_as_text(str(folder / "c.dict.txt"))
        np.testing.assert_array_equal(table(read_corpus(folder / name)), COUNTS)
    corpora.LowCorpus.serialize(str(tmp_path / "c.low"), bags, id2word=dictionary)
    np.testing.assert_array_equal(table(read_corpus(tmp_path / "c.low")), COUNTS)


SVMLIGHT = "1 3:1.0 7:2\n-1 1:2\n1 2:4 3:1\n"
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "svmlight": ({"c.txt": SVMLIGHT}, "is svmlight .*load_svmlight_file .*Corpus.from_counts"),
    "svmlight as .dat": ({"c.dat": SVMLIGHT}, "is svmlight"),
    "svmlight of integers": ({"c.svm": "0 1:2 2:1\n0 \n0 3:1\n1 2:1 4:3\n"}, "is svmlight"),
    "MALLET with spaces": (
        {"c.txt": "".join(f"{n} en {text}\n" for n, text in enumerate(TEXTS))},
        "looks like `id label text` of MALLET",
    ),
    "numbers": ({"c.txt": "3 4 4\n5 1\n9 9 2\n"}, "holds numbers, not words; .* set tokens"),
    "pairs": ({"c.txt": "3:1 4:2\n5:1 1:1 7:1\n"}, "holds numbers, not words"),
    "CSV of numbers": ({"c.txt": "3,4,4\n5,1,0\n9,9,2\n"}, "looks like CSV|holds numbers"),
    "CSV without names": ({"c.txt": CSV.partition("\n")[2]}, "looks like CSV without names"),
    "CSV of counts": ({"c.csv": "apple,pear\n2,1\n0,1\n"}, "counts of words, .*from_counts"),
    "CSV of counts of named documents": (
        {"c.csv": "doc,apple,pear\na,2,1\nb,0,1\n"},
        "counts of words, .*from_counts",
    ),
    "matrix of neither": (
        {"c.mtx": f"{MATRIX_MARKET}2 3 1\n1 1 1\n", "vocab.txt": VOCABULARY},
        "2 rows and 3 columns but the vocabulary has 4 words; .* --vocabulary",
    ),
    "matrix of weights": (
        {"c.mtx": f"{MATRIX_MARKET}5 4 1\n2 1 0.25\n", "vocab.txt": VOCABULARY},
        "the matrix holds 0.25 in document 2",
    ),
    "symmetric matrix": (
        {
            "c.mtx": "%%MatrixMarket matrix coordinate real symmetric\n4 4 1\n2 1 1\n",
            "vocab.txt": VOCABULARY,
        },
        "is a symmetric matrix; give a matrix of documents by words",
    ),
    "truncated matrix": (
        {"c.mtx": f"{MATRIX_MARKET}5 4 6\n1 1 1\n", "vocab.txt": VOCABULARY},
        "is no MatrixMarket file, or damaged",
    ),
    "matrix by name alone": ({"c.mtx": "5 4 6\n1 1 1\n", "vocab.txt": VOCABULARY}, "is no Matrix"),
    "numbers without words that occur": (
        {"c.dat": LDA_C, "c.dat.vocab": "---\npear\n---\nfig\n"},
        "has no word for the number 0, .*; give the vocabulary with which",
    ),
    "words with counts": ({"c.txt": "figs:2 pears:1\nplums:3 figs:1 jam:1\n"}, "(word:count)"),
    "Vowpal Wabbit": (
        {"c.txt": "1 |w figs:2 pears:1\n-1 |w plums:3 figs:1 jam:1 \n"},
        "word:count",
    ),
    "HTML": ({"c.txt": "<!DOCTYPE html>\n<p>figs\n"}, "is HTML or XML; convert it to text"),
    "pointer": (
        {"c.txt": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"},
        "is a pointer to a file; fetch it with git lfs pull",
    ),
    "Parquet": ({"c.txt": "PAR1 ..."}, "is a Parquet table; .*from_dataframe"),
    "zip": ({"c.txt": "PK\x03\x04 ..."}, "is a zip archive; unpack it"),
    "counts with the word text": (
        {"c.csv": "apple,text\n2,1\n0,1\n"},
        "column text holds numbers, .*from_counts",
    ),
    "columns of pandas": (
        {"c.json": json.dumps({"text": {str(n): text for n, text in enumerate(TEXTS)}})},
        "is one object of columns; write it with orient='records' or as JSON lines$",
    ),
    "wrapped array": (
        {"c.json": json.dumps({"data": [{"text": text} for text in TEXTS], "n": 4})},
        "is one object around an array, 'data'; give the array itself",
    ),
    "broken line": (
        {"c.jsonl": '{"text": "figs"}\n\n' * 30 + '{"text": "abc\n'},
        r"\(line 61, column 10: Unterminated string",
    ),
    "blank JSON": ({"c.json": "\n"}, "is no JSON lines"),
    "long names": ({"c.csv": f"{'a' * 999},{'b' * 999}\nfigs,pears jam\n"}, "a{59}…, b{59}…$"),
    "nested text": ({"c.jsonl": f'{{"text": {{"a": "{"b" * 999}"}}, "n": 1}}\n'}, "is .{60}; give"),
    "RTF": ({"c.rtf": "{\\rtf1\\ansi Figs and pears.\\par\n"}, "is RTF with its commands; save"),
    "NUL in CSV": ({"c.csv": "id,text\n1,figs and\0pears\n"}, "holds binary data"),
    "commas without quotation marks": (
        {"c.csv": "id,text\n1,figs, pears\n2,plums, jam\n"},
        "is no CSV .rows have more fields than the header, .* lack quotation marks.; write it",
    ),
    "two columns of texts": ({"c.csv": "text,text\nfigs,jam\n"}, "has the column text twice; re"),
    "vocabulary of a text": (
        {"c.txt": "figs and pears\n", "words": VOCABULARY},
        r"has its own words; leave out --vocabulary \(vocabulary_file\)",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_named_with_the_way_on(kind: str, tmp_path: Path) -> None:
    files, message = REFUSED[kind]
    path = write(tmp_path, files)
    options = {"vocabulary_file": tmp_path / "words"} if "words" in files else {}
    with pytest.raises(DataError, match=f"^{path}: .*({message})") as told:
        read_corpus(path, **options)
    assert len(str(told.value).splitlines()) == 1
    assert "; " in str(told.value)


def pack(packing: str) -> bytes:
    """Give a tar archive of a text."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=packing) as archive:
        archive.addfile(tarfile.TarInfo("d/a.txt"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("c.xls", b"\xd0\xcf\x11\xe0 ...", "is a file of Word or Excel; save its texts"),
        ("c.rds", gzip.compress(b"X\n\0\0\0\3"), "is an object of R; write its texts as .csv"),
        ("c.pkl", pickle.dumps(TEXTS, 0), "is a pickle, .*from_counts"),
        ("c.tar", pack("w"), "is a tar archive; unpack it"),
        ("c.tar.gz", pack("w:gz"), "is a tar archive; unpack it"),
        ("c.npy", b"\x93NUMPY\x01\0v\0{'descr'", "is an array of numpy; .*from_counts"),
        *(("c.pkl", pickle.dumps(TEXTS, number), "is a pickle, .*from_counts")
          for number in range(2, 6)),
    ],
    # A packed file holds the time, by which names of tests would differ between processes.
    ids=lambda value: "content" if isinstance(value, bytes) else None,
)  # fmt: skip
def test_binary_files_are_named(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{path}: {told}"):
        read_corpus(path)


@pytest.mark.parametrize("missing", ["NA", "NaN", "nan", "<NA>", " NA "])
def test_missing_texts_of_a_table_have_no_words(missing: str, tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"id,text\n1,figs NA\n2,{missing}\n3,jam\n")
    corpus = read_corpus(path, tokens=True)
    assert corpus.lengths.tolist() == [2, 0, 1]
    assert corpus.vocabulary.tolist() == ["NA", "figs", "jam"]


def test_numbers_may_be_words(tmp_path: Path) -> None:
    path = write(tmp_path, {"c.txt": "3 4 4\n5 1\n9 9 2\n"})
    assert read_corpus(path, tokens=True).vocabulary.tolist() == ["1", "2", "3", "4", "5", "9"]


SPLITS = ["train", "train", "val", "test"]


def write_splits(path: Path, splits: list[str]) -> None:
    rows = zip(TEXTS, splits, strict=True)
    path.write_text("text,split\n" + "".join(f"{text},{split}\n" for text, split in rows))


@pytest.mark.parametrize(
    "splits",
    [
        SPLITS,
        ["training", "Training", "validation", "Test"],
        ["TRAIN", "train", "valid", "testing"],
        ["train", "train", "dev", "test"],
    ],
)
def test_splits_of_a_table(splits: list[str], tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    write_splits(path, splits)
    assert read_corpus(path).splits.tolist() == SPLITS
    corpus = read_corpus(path, label="split")
    assert (corpus.splits, corpus.labels.tolist()) == (None, splits)


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        (["train", "train", "deve", "test"], "row 3 has the split 'deve'"),
        (["a", "a", "b", "b"], "row 1 has the split 'a'"),
        (["x" * 999] * 4, "row 1 has the split 'x{58}…"),
        ([""] * 4, "row 1 has the split ''"),
    ],
)
def test_other_values_of_a_column_split(splits: list[str], told: str, tmp_path: Path) -> None:
    """Test documents would be trained on."""
    path = tmp_path / "c.csv"
    write_splits(path, splits)
    with pytest.raises(DataError, match=f"{told}; it must be .* set label to split"):
        read_corpus(path)
    assert read_corpus(path, label="split").labels.tolist() == splits


def write_plain(path: Path, texts: list[str]) -> None:
    path.write_text("\n".join(texts))


def write_csv(path: Path, texts: list[str]) -> None:
    path.write_text("id,text\n" + "".join(f"d{n},{text}\n" for n, text in enumerate(texts)))


@pytest.mark.parametrize("write_documents", [write_plain, write_csv])
def test_documents_without_words_keep_their_place(
    write_documents: Callable[[Path, list[str]], None], tmp_path: Path
) -> None:
    """Of 1000 documents 37 have no words left, which is normal."""
    texts = [TEXTS[n % 4] for n in range(1000)]
    for n in range(0, 999, 27):
        texts[n] = ""
    path = tmp_path / "c.txt"
    write_documents(path, texts)
    corpus = read_corpus(path)
    np.testing.assert_array_equal(np.flatnonzero(corpus.lengths == 0), np.arange(0, 999, 27))
    with pytest.raises(DataError, match="37 of 1000 documents have no words, .* --keep-empty"):
        read_corpus(path, keep_empty=True)


def test_folders_of_other_files_are_named(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / str(number)).write_text("figs grow")
    (tmp_path / "readme.md").write_text("figs")
    told = "no .txt file in this folder but 3 without an ending; .* all named .txt"
    with pytest.raises(DataError, match=told):
        read_corpus(tmp_path)
    (tmp_path / "A.TXT").write_text("figs grow")
    assert read_corpus(tmp_path).names.tolist() == ["A.TXT"]
    (tmp_path / "store.zarr").mkdir()
    with pytest.raises(DataError, match="store.zarr: is a zarr store; write it as .h5ad"):
        read_corpus(tmp_path / "store.zarr")


def test_hidden_files_are_no_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("figs grow", "utf-8-sig")
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "._a.txt").write_bytes(b"\0\5\26\7")
    corpus = read_corpus(tmp_path)
    assert corpus.names.tolist() == ["a.txt", "b.txt"]
    assert corpus.vocabulary.tolist() == ["figs", "grow"]
