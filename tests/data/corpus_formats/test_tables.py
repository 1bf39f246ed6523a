"""Corpora in tables: columns, and everything that can be wrong."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from exvae.data.corpora import Corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataError
from exvae.data.tokenizer import AS_THEY_ARE, Tokenizer

from .fruit import bags

ROWS = [
    {"id": "007", "body": "The pears, and 3 pears.", "kind": "Pear"},
    {"id": "x", "body": "", "kind": ""},
    {"id": "9", "body": 'A "fig",\nor a Fig', "kind": "fig"},
]


def write_csv(path: Path) -> Path:
    quoted = [[json.dumps(text).replace('\\"', '""') for text in row.values()] for row in ROWS]
    lines = ["id,body,kind", *(",".join(row).replace("\\n", "\n") for row in quoted)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def write_jsonl(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    return path


def compressed(path: Path) -> Path:
    other = path.with_name(path.name + ".gz")
    other.write_bytes(gzip.compress(path.read_bytes()))
    return other


@pytest.fixture(params=["corpus.csv", "corpus.jsonl", "corpus.csv.gz", "corpus.jsonl.gz"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Write the rows in each format."""
    write = write_csv if "csv" in request.param else write_jsonl
    plain = write(tmp_path / request.param.removesuffix(".gz"))
    return compressed(plain) if request.param.endswith(".gz") else plain


def test_rows_are_documents_with_names_and_labels(path: Path) -> None:
    corpus = read_corpus(path, text="body", label="kind", id="id")
    assert bags(corpus) == [Counter(pears=2), Counter(), Counter(fig=2)]
    assert corpus.names.tolist() == ["007", "x", "9"]
    assert corpus.labels.tolist() == ["Pear", "", "fig"]
    assert corpus.tokenizer == Tokenizer()
    assert corpus.source == str(path)


def test_only_the_text_is_needed(path: Path) -> None:
    corpus = read_corpus(path, text="body")
    assert isinstance(corpus, Corpus)
    assert (corpus.names.tolist(), corpus.labels) == (["007", "x", "9"], None)  # of the column id


def test_options_of_the_tokeniser_arrive(path: Path) -> None:
    corpus = read_corpus(path, text="body", lowercase=False, stop_words=["The"], min_df=1)
    assert bags(corpus)[0] == Counter({"pears": 2, "and": 1})
    corpus = read_corpus(path, text="body", tokens=True)
    assert bags(corpus)[0] == Counter(["The", "pears,", "and", "3", "pears."])
    assert corpus.tokenizer == AS_THEY_ARE
    own = Tokenizer(token_pattern="p")
    assert bags(read_corpus(path, text="body", tokenizer=own))[0] == Counter("pp")


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            {},
            "has no column .text.; name .* the text by text .--text., one of id, body, kind",
        ),
        (
            {"text": "body", "label": "topic"},
            "has no column 'topic'; .* label by label .--label., one of",
        ),
        ({"text": "body", "id": "name"}, "has no column 'name'; .* id by id .--id., one of"),
    ],
)
def test_a_column_that_is_missing(path: Path, columns: dict[str, str], told: str) -> None:
    with pytest.raises(DataError, match=f"^{path}: {told}"):
        read_corpus(path, **columns)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"text\n", "has no rows"),
        ("a.csv", b'text\n"open\n', "is no CSV"),
        ("a.csv", b"text,kind\na,b,c\nd\ne,f,g,h\n", "is no CSV"),
        ("a.csv", b"text,kind\nname,a,b\nname,c,d\n", "is no CSV"),
        ("a.csv", b"text\n\xff\n", "is no CSV in UTF-8"),
        ("a.csv.gz", b"text\na\n", "truncated or damaged"),
        ("a.jsonl", b"{text}\n", "is no JSON lines"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 3}\n', "text 2 is 3"),
        ("a.csv", b"text\n\n\n", "has no rows"),
        ("a.csv", b"text\n12\n", "no document has a word"),
    ],
)
def test_bad_tables(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{path}: .*{told}") as caught:
        read_corpus(path)
    assert len(str(caught.value).splitlines()) == 1
    assert "; " in str(caught.value)


NAMED = [
    ({"id": "a b c d", "label": "x y x y"}, [*"abcd"], [*"xyxy"]),
    ({"Category": "x y x y"}, None, [*"xyxy"]),
    # Ids repeat, labels do not or are all the same, or two columns could be meant.
    ({"id": "a a b b", "label": "x y z w"}, None, None),
    ({"class": "x x x x"}, None, None),
    ({"label": "x y x y", "category": "u u v v"}, None, None),
]


@pytest.mark.parametrize(("columns", "names", "labels"), NAMED)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_labels_and_ids_are_found_by_usual_names(
    columns: dict, names: list | None, labels: list | None, ending: str, tmp_path: Path
) -> None:
    table = pd.DataFrame({name: values.split() for name, values in columns.items()})
    table["text"] = ["Figs fall.", "Pears fall.", "Figs rise.", "Pears rise."]
    path = tmp_path / f"corpus.{ending}"
    if ending == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_json(path, orient="records", lines=True)
    corpus = read_corpus(path)
    found = [None if own is None else own.tolist() for own in (corpus.names, corpus.labels)]
    assert found == [names, labels]
    roles = [role for role, own in (("label", labels), ("id", names)) if own is not None]
    assert list(corpus.columns or ()) == (["kind", "text", *roles] if roles else [])
