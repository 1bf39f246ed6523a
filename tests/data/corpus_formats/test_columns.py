"""Texts among other columns and in tables, under any name."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from exvae.data.corpora import Corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataError, DataWarning

from .fruit import CSV, TEXTS, write

JSON_LINES = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
NAMES = [f"doc{n}" for n in range(4)]
LABELS = ["food", "food", "care", "care"]


def lines(*columns: list[str], first: str = "", end: str = "\n") -> str:
    rows = ["\t".join(cells) for cells in zip(*columns, strict=True)]
    return "".join(f"{row}{end}" for row in ([first, *rows] if first else rows))


# Content of a file, what is told, and names and labels.
TABBED: dict[str, tuple[str, str | None, list[str] | None, list[str] | None]] = {
    "id, text": (lines(NAMES, TEXTS), "read as id, text; .* --id 1 --text 2", NAMES, None),
    "label, text": (lines(LABELS, TEXTS), "read as label, text", None, LABELS),
    "MALLET": (lines(NAMES, LABELS, TEXTS), "read as id, label, text", NAMES, LABELS),
    "id, text, label": (lines(NAMES, TEXTS, LABELS), "read as id, text, label", NAMES, LABELS),
    "text, label": (lines(TEXTS, LABELS), None, None, LABELS),
    "header": (lines(NAMES, TEXTS, LABELS, first="id\ttext\tlabel"), None, NAMES, LABELS),
    "header, other columns": (
        lines(NAMES, LABELS, NAMES, TEXTS, first="ID\tdate\tx\tBody"),
        None,
        NAMES,
        None,
    ),
    "index of a DataFrame": (lines(NAMES, TEXTS, first="\ttext"), None, NAMES, None),
    "split, text": (
        lines(["train", "train", "test", "val"], TEXTS),
        "read as split, text; .* in --text 2",
        None,
        None,
    ),
    "header, one column": (lines(TEXTS, first="text"), None, None, None),
    "number of documents first": (lines(TEXTS, first="4"), None, None, None),
    "old Mac": (lines(TEXTS, LABELS, end="\r"), None, None, LABELS),
    "Windows twice": (lines(TEXTS, LABELS, end="\r\r\n"), None, None, LABELS),
    "blank lines between": (lines(TEXTS, LABELS, end="\n\n"), "3 blank lines are", None, LABELS),
    "JSON lines": (JSON_LINES, None, None, None),
    "JSON array": (json.dumps([{"text": text} for text in TEXTS], indent=1), None, None, None),
    "JSON array of texts": (json.dumps(TEXTS), None, None, None),
    "lines of JSON strings": (
        "".join(f"{json.dumps(text)}\n\n" for text in TEXTS),
        None,
        None,
        None,
    ),
    "lines of JSON lists": (
        "".join(f"{json.dumps(text.split())}\n" for text in TEXTS),
        None,
        None,
        None,
    ),
    "CSV of Excel": (f"sep=;\n{CSV.replace(',', '; ')}", None, [*"0123"], None),
    "CSV": (CSV, None, [*"0123"], None),
    "CSV with semicolons": (CSV.replace(",", ";"), None, [*"0123"], None),
}


@pytest.mark.parametrize("name", ["corpus.txt", "corpus.tsv", "corpus.txt.gz"])
@pytest.mark.parametrize("kind", TABBED)
def test_texts_are_found_among_columns(kind: str, name: str, tmp_path: Path) -> None:
    content, message, names, labels = TABBED[kind]
    packed = name.endswith(".gz")
    path = write(tmp_path, {name.removesuffix(".gz"): content}, packed=packed)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        corpus = read_corpus(path, stop_words=None)
    assert (corpus.num_documents, "garden" in corpus.vocabulary) == (4, True)
    np.testing.assert_array_equal(corpus.lengths, read_texts(TEXTS, corpus).lengths)
    assert [own.category for own in told] == ([DataWarning] if message else [])
    if message:
        assert told[0].message.args[0].startswith(f"{path}: ")
        with pytest.warns(DataWarning, match=message):
            read_corpus(path)
    for found, expected in ((corpus.names, names), (corpus.labels, labels)):
        assert (None if found is None else found.tolist()) == expected


def read_texts(texts: list[str], corpus: Corpus) -> Corpus:
    split = [corpus.tokenizer(text) for text in texts]
    return Corpus.from_texts(split)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_tables_have_other_separators(separator: str, tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    rows = [f"{n}{separator}{text}" for n, text in enumerate(TEXTS)]
    path.write_text("\n".join([f"key{separator}story", *rows]))
    corpus = read_corpus(path, text="story", id="key")
    assert corpus.names.tolist() == ["0", "1", "2", "3"]
    with pytest.raises(DataError, match="has no column 'text'; .* one of key, story"):
        read_corpus(path)


def test_columns_may_be_named_and_numbered(tmp_path: Path) -> None:
    path = write(tmp_path, {"c.tsv": lines(NAMES, TEXTS, LABELS)})
    for options in ({"text": "2", "id": "1", "label": "3"}, {"text": "2", "id": "1"}):
        corpus = read_corpus(path, **options)
        assert corpus.names.tolist() == NAMES
        assert (corpus.labels is None) == ("label" not in options)
    with pytest.raises(DataError, match="numbers from 1"):
        read_corpus(path, text="4")
    path.write_text(lines(NAMES, TEXTS, LABELS, first="key\tstory\tkind"))
    corpus = read_corpus(path, text="story", label="kind", id="key")
    assert (corpus.names.tolist(), corpus.labels.tolist()) == (NAMES, LABELS)


def test_single_words_of_columns_stay_texts(tmp_path: Path) -> None:
    """A first column of ids cannot be told from documents of one word by words as short."""
    path = write(tmp_path, {"c.tsv": "fig\ta\nplum\tb\npear\ta\n"})
    assert read_corpus(path).labels.tolist() == ["a", "b", "a"]
    path.write_text("text\tlabel\nfig\tred\nplum\tblue\n")
    corpus = read_corpus(path)
    assert corpus.vocabulary.tolist() == ["fig", "plum"]
    assert corpus.labels.tolist() == ["red", "blue"]


@pytest.mark.parametrize("text", ["1. figs grow\n2. plums grow\n3. pears grow\n",
                                  "figs, pears\nplums, jam\nwater, walls\n",
                                  "in 1999 1 2 3 figs grew\nin 2000 4 5 plums grew\n",
                                  "{ figs } are a set\n[ pears ] too\n",
                                  "id,text is a line\nfigs, like, these\nplums\n"])  # fmt: skip
def test_texts_stay_texts(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, {"c.txt": text})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        assert read_corpus(path).num_documents == text.count("\n")
