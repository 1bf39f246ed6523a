"""Corpora of raw text on the command line: options, notes, and errors of one line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import exvae as package

from ...small_data import draw_texts

FIT = ("--topics", 2, "--epochs", 2, "--batch-size", 8, "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write the same texts as a table, as lines, and as lines of words."""
    table = draw_texts().rename(columns={"text": "body"})
    table.to_csv(tmp_path / "texts.csv", index=False)
    table.to_json(tmp_path / "texts.jsonl.gz", orient="records", lines=True)
    lines = (table["body"] + "\t" + table["label"] + "\n").tolist()
    (tmp_path / "raw.tsv").write_text("".join(lines))
    words = [line.replace("The ", "").replace(" and ", " ").lower() for line in lines]
    plain = "".join(words).replace(".", "").replace("!", "")
    (tmp_path / "words.tsv").write_text(plain)
    return tmp_path


def config(fit: Path) -> dict:
    return json.loads((fit / "config.json").read_text())


def notes(err: str) -> list[str]:
    """Give the lines of the command itself, without the progress bar."""
    return [line for line in err.replace("\r", "\n").splitlines() if line.startswith("exvae:")]


@pytest.mark.parametrize("name", ["texts.csv", "texts.jsonl.gz"])
def test_a_table_is_fitted_and_its_documents_are_labelled(exvae, folder: Path, name: str) -> None:
    columns = ("--text", "body", "--label", "label", "--id", "id")
    path, fit, out = folder / name, folder / "fit", folder / "topics.csv"
    fitted = exvae("lda", "fit", path, *FIT, "--out", fit, *columns)
    assert (fitted.status, notes(fitted.err)) == (0, [])
    assert config(fit)["data"]["vocabulary_size"] == 20
    assert exvae("lda", "infer", fit, path, "--out", out, *columns).status == 0
    table = pd.read_csv(out, index_col="document")
    assert list(table) == ["topic_0", "topic_1", "dominant_topic", "label"]
    assert table.index.tolist() == draw_texts()["id"].tolist()
    assert table["label"].tolist() == draw_texts()["label"].tolist()
    evaluated = exvae("lda", "evaluate", fit, path, "--text", "body", "--json").json
    assert evaluated["documents"] == 6


def test_raw_lines_are_tokenised_with_a_note_and_give_the_same(exvae, folder: Path) -> None:
    raw = exvae("lda", "fit", folder / "raw.tsv", *FIT, "--out", folder / "raw")
    (note,) = notes(raw.err)
    assert note.startswith(f"exvae: {folder / 'raw.tsv'}: has capitals or punctuation")
    words = exvae("lda", "fit", folder / "words.tsv", *FIT, "--out", folder / "words")
    assert notes(words.err) == []
    one, other = config(folder / "raw"), config(folder / "words")
    assert one["data"]["fingerprint"] == other["data"]["fingerprint"]
    assert one["tokenizer"]["stop_words"] == "english"
    assert other["tokenizer"]["stop_words"] is None


def test_words_are_taken_as_they_are_if_told(exvae, folder: Path) -> None:
    fit = folder / "fit"
    told = exvae("lda", "fit", folder / "raw.tsv", *FIT, "--out", fit, "--tokens")
    assert notes(told.err) == []
    assert "The" in (fit / "vocabulary.txt").read_text().split()
    assert exvae("lda", "evaluate", fit, folder / "raw.tsv").status == 0


def test_options_of_words_arrive(exvae, folder: Path) -> None:
    (folder / "stop.txt").write_text("rain\nand\n")
    options = ["--stop-words", folder / "stop.txt", "--ngrams", 2, "--min-df", 2, "--max-df", "0.4"]
    fit = folder / "fit"
    columns = ["--text", "body"]
    fitted = exvae("lda", "fit", folder / "texts.csv", *FIT, "--out", fit, *columns, *options)
    assert fitted.status == 0
    vocabulary = (fit / "vocabulary.txt").read_text().splitlines()
    assert "rain" not in vocabulary and "the" not in vocabulary  # "the" is in all documents
    assert any(" " in word for word in vocabulary)
    assert config(fit)["tokenizer"]["stop_words"] == ["rain", "and"]
    assert config(fit)["tokenizer"]["ngram_range"] == [1, 2]


def test_documents_without_a_known_word_are_told_in_one_line(exvae, folder: Path) -> None:
    fit, path, out = folder / "fit", folder / "new.csv", folder / "topics.csv"
    columns = ["--text", "body"]
    exvae("lda", "fit", folder / "texts.csv", *FIT, "--out", fit, *columns)
    path.write_text("body\nQuantum mechanics\nRain and the atom\n")
    told = exvae("lda", "infer", fit, path, "--out", out, *columns)
    assert told.status == 0
    dropped, note = notes(told.err)
    assert "3 of 4 words (occurrences) are not in the vocabulary of the fit" in dropped
    assert note == (
        f"exvae: {path}: 1 of 2 documents have no known word; their topics are the prior mean"
    )
    assert len(pd.read_csv(out)) == 2
    path.write_text("body\nQuantum mechanics\nRain and rain and the atom\n")
    told = exvae("lda", "evaluate", fit, path, *columns, "--split", "all", "--json")
    assert told.json["documents"] == 1
    assert "1 documents have no known word and are left out" in told.err


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("texts.csv", [], "texts.csv: has no column 'text'; name the column of the text by text"),
        ("texts.csv", ["--text", "body", "--label", "kind"], "has no column 'kind'"),
        ("texts.csv", ["--text", "body", "--min-df", "few"], "--min-df is few; give a number"),
        ("texts.csv", ["--text", "body", "--max-df", "1.5"], "--max-df is 1.5; give a number"),
        ("texts.csv", ["--text", "body", "--min-df", "41"], "lower min_df"),
        ("texts.csv", ["--text", "body", "--stop-words", "none.txt"], "none.txt: no such file"),
        ("texts.csv", ["--text", "body", "--ngrams", 0], "--ngrams"),
        ("broken.jsonl", [], "broken.jsonl: is no JSON lines"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    exvae, folder: Path, name: str, options: list, told: str
) -> None:
    (folder / "broken.jsonl").write_text("{\n")
    result = exvae("lda", "fit", folder / name, *FIT, "--out", folder / "fit", *options)
    assert result.status == 2
    assert len(result.err.splitlines()) == 1
    assert told in result.err
    assert not (folder / "fit").exists()


def test_counts_with_a_vocabulary_elsewhere(exvae, tmp_path: Path) -> None:
    path, words, fit = tmp_path / "c.mtx", tmp_path / "words", tmp_path / "fit"
    words.write_text("rain\nwind\ngoal\n")
    entries = [f"{d} {1 + d % 2} 4" for d in range(1, 31) if d != 7]
    header = "%%MatrixMarket matrix coordinate integer general\n30 3 29\n"
    path.write_text(header + "\n".join(entries) + "\n")
    of_words = ("--vocabulary", words)
    told = exvae("lda", "fit", path, *FIT, "--out", fit)
    assert told.status == 2
    assert "its vocabulary is missing" in told.err
    told = exvae("lda", "fit", path, *FIT, "--out", fit, *of_words, "--keep-empty")
    assert told.status == 2
    assert "1 of 30 documents have no words, the first is document 7" in told.err
    assert exvae("lda", "fit", path, *FIT, "--out", fit, *of_words).status == 0
    out = tmp_path / "topics.csv"
    told = exvae("lda", "infer", fit, path, "--out", out, *of_words)
    assert "1 of 30 documents have no known word" in told.err
    assert pd.read_csv(out, index_col="document").index.tolist() == list(range(30))


@pytest.mark.parametrize("name", ["texts.csv", "texts.jsonl.gz", "columns.tsv"])
def test_a_fit_keeps_the_columns_for_later_commands(exvae, folder: Path, name: str) -> None:
    table = draw_texts().rename(columns={"text": "body", "label": "theme", "id": "key"})
    table["text"] = "rain and banana"
    table = table[["text", "body", "theme", "key"]]
    table.to_csv(folder / "texts.csv", index=False)
    table.to_csv(folder / "columns.tsv", index=False, sep="\t")
    table.to_json(folder / "texts.jsonl.gz", orient="records", lines=True)
    path, fit, out = folder / name, folder / "fit", folder / "topics.csv"
    columns = ("--text", "body", "--label", "theme", "--id", "key")
    assert exvae("lda", "fit", path, *FIT, "--out", fit, *columns).status == 0
    for command in (
        ("lda", "evaluate", fit, path),
        ("lda", "check", fit, path, "--replicates", 2, "--out", folder / "check"),
        ("report", fit, path, "--replicates", 0, "--out", folder / "r.html"),
        ("lda", "infer", fit, path, "--out", out),
    ):
        done = exvae(*command)
        assert (done.status, notes(done.err)) == (0, [])
    assert pd.read_csv(out, index_col=0).index.tolist() == table["key"].tolist()
    # What is given again counts, and a column that other documents lack is none.
    given = exvae("lda", "infer", fit, path, "--out", out, "--text", "text")
    assert "are not in the vocabulary" in given.err
    assert package.load(fit, path).corpus.labels.tolist() == table["theme"].tolist()
    table.drop(columns=["theme", "key"]).to_csv(folder / "others.csv", index=False)
    if name != "columns.tsv":
        assert exvae("lda", "infer", fit, folder / "others.csv", "--out", out).status == 0
        assert pd.read_csv(out, index_col=0).index.tolist() == list(range(len(table)))


def test_columns_of_usual_names_are_told(exvae, folder: Path) -> None:
    path = folder / "texts.csv"
    fitted = exvae("lda", "fit", path, *FIT, "--out", folder / "fit", "--text", "body")
    assert notes(fitted.err) == [
        f"exvae: {path}: column 'label' as the labels and 'id' as the ids, by the name; "
        "name others with --label and --id"
    ]
    columns = {"kind": "table", "text": "body", "label": "label", "id": "id"}
    assert config(folder / "fit")["data"]["columns"] == columns
