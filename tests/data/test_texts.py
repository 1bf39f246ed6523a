"""Corpora of texts, tables and counts in memory, and how texts are split into words."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from exvae.data.corpora import Corpus, write_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.corpus_formats.vocabularies import limit_vocabulary
from exvae.data.errors import DataError, DataWarning
from exvae.data.tokenizer import AS_THEY_ARE, Tokenizer

TEXTS = [
    "The Pears and the pears!",
    "A fig, a PEAR; 12 dates.",
    "and the",
    "Figs or figs: fig-date date_palm Äpfel",
]
COUNTS = np.array([[2, 0, 1], [0, 0, 0], [0, 3, 1]])


def bags(corpus: Corpus) -> list[Counter[str]]:
    words = corpus.vocabulary[corpus.words]
    return [Counter(document.tolist()) for document in np.split(words, corpus.offsets[1:-1])]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lowercase": False},
        {"stop_words": None},
        {"stop_words": ["fig", "pears"]},
        {"ngram_range": (1, 2)},
        {"token_pattern": r"\w+"},
        {"token_pattern": r"\S+", "lowercase": False, "stop_words": None},
        {"min_df": 2},
        {"max_df": 1},
        {"min_df": 0.3, "max_df": 0.5, "stop_words": None},
        {"max_features": 3},
        {"max_features": 2, "min_df": 2, "stop_words": None},
        {"vocabulary": ["pears", "zebra", "date"]},
    ],
    ids=str,
)
def test_words_are_counted_as_scikit_learn_counts_them(options: dict) -> None:
    corpus = Corpus.from_texts(TEXTS, **options)
    defaults = {"stop_words": "english", "token_pattern": Tokenizer().token_pattern}
    vectorizer = CountVectorizer(**{**defaults, **options})
    counts = vectorizer.fit_transform(TEXTS).toarray()
    assert corpus.vocabulary.tolist() == vectorizer.get_feature_names_out().tolist()
    found = np.zeros_like(counts)
    documents = np.repeat(np.arange(4), corpus.lengths)
    np.add.at(found, (documents, corpus.words), 1)
    np.testing.assert_array_equal(found, counts)


SETS = st.lists(st.lists(st.integers(0, 6).map(lambda n: "abcdefg"[n]), max_size=9), min_size=1)


@settings(max_examples=60, deadline=None)
@given(SETS, st.one_of(st.integers(1, 4), st.floats(0.0, 0.6)), st.integers(1, 5))
def test_limits_are_those_of_scikit_learn(
    documents: list[list[str]], min_df: float, max_df: int
) -> None:
    vectorizer = CountVectorizer(analyzer=lambda words: words, min_df=min_df, max_df=max_df)
    try:
        vectorizer.fit(documents)
    except ValueError:  # no word is left, or the limits contradict each other
        with pytest.raises(DataError):
            Corpus.from_texts(documents, min_df=min_df, max_df=max_df)
        return
    corpus = Corpus.from_texts(documents, min_df=min_df, max_df=max_df)
    assert corpus.vocabulary.tolist() == vectorizer.get_feature_names_out().tolist()
    kept = set(corpus.vocabulary.tolist())
    assert bags(corpus) == [Counter(word for word in own if word in kept) for own in documents]


def test_words_stay_in_order_and_documents_without_words_stay() -> None:
    corpus = Corpus.from_texts(TEXTS)
    assert corpus.lengths.tolist() == [2, 3, 0, 7]
    assert corpus.vocabulary[corpus.words[2:5]].tolist() == ["fig", "pear", "dates"]


def test_a_missing_text_has_no_words() -> None:
    corpus = Corpus.from_texts(["fig", None, float("nan"), pd.NA, "pear"])
    assert corpus.lengths.tolist() == [1, 0, 0, 0, 1]


def test_an_option_that_does_not_exist_is_named(tmp_path) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_text("fig\n")
    with pytest.raises(DataError, match="no option stopwords; choose one of lowercase, stop_words"):
        read_corpus(path, stopwords=None)


def test_lists_of_words_are_taken_as_they_are() -> None:
    texts = [["The", "fig tree"], ("and", "The"), np.array(["fig", "The"])]
    corpus = Corpus.from_texts(texts, min_df=2)
    assert corpus.vocabulary.tolist() == ["The"]
    assert corpus.tokenizer == AS_THEY_ARE


def test_labels_and_ids_belong_to_their_documents() -> None:
    corpus = Corpus.from_texts(
        TEXTS, labels=pd.Series(["b", None, np.nan, 3]), ids=pd.Index([7, 5, 3, 1])
    )
    assert corpus.labels.tolist() == ["b", "", "", "3"]
    assert corpus.names.tolist() == [7, 5, 3, 1]
    assert corpus.select([3, 0]).names.tolist() == [1, 7]
    assert corpus.select([3, 0]).tokenizer == corpus.tokenizer
    assert Corpus.from_texts(TEXTS, ids=[*"abcd"]).names.tolist() == [*"abcd"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"texts": "one text"}, "are one string; give a list"),
        ({"texts": ["fig", 3]}, "text 2 is 3; give strings"),
        ({"texts": ["the", "12"]}, "no document has a word"),
        ({"labels": ["a"]}, "1 labels for 4 documents"),
        ({"ids": [1, 2, 3, 4, 5]}, "5 names for 4 documents"),
        ({"min_df": 5}, "no word is in at least 5 .* lower min_df"),
        ({"stop_words": "german"}, "cannot be tokenised"),
        ({"token_pattern": "(["}, "cannot be tokenised"),
        ({"ngram_range": (2, 1)}, "ngram_range is"),
        ({"texts": pd.DataFrame({"text": TEXTS})}, "are a table; give a list"),
        ({"texts": {"a": "fig"}}, "are of the type dict; give a list"),
        ({"texts": 5}, "are of the type int; give a list"),
        ({"texts": COUNTS}, "a matrix of numbers; .* Corpus.from_counts"),
        ({"labels": "abc"}, "labels is 'abc'; give a list"),
        ({"min_df": -1}, "min_df is -1"),
        ({"min_df": "2"}, "min_df is '2'"),
        ({"max_df": 50.0}, "max_df is 50.0, but a share .* at most 1.0; .* give 50"),
        ({"max_features": 0}, "max_features is 0"),
        ({"ngram_range": 2}, r"ngram_range is 2; give a list, such as \(1, 2\)"),
        ({"ngram_range": (1, 2.5)}, r"ngram_range is \(1, 2.5\); give two numbers"),
        ({"stop_words": 5}, "stop_words is 5; give a list"),
        ({"token_pattern": None}, "token_pattern is None; give a regular expression"),
        ({"vocabulary": "fig"}, "the vocabulary is of the type str; give a list"),
        ({"vocabulary": {"fig"}}, "the vocabulary is of the type set; give a list"),
        ({"vocabulary": {"fig": 3}}, "does not number its 1 words from 0 on"),
    ],
)
def test_bad_texts_and_options(change: dict, told: str) -> None:
    with pytest.raises(DataError, match=told):
        Corpus.from_texts(**{"texts": TEXTS, **change})


@pytest.mark.parametrize("index", [[*"wxyz"], [9, 4, 2, 0]])
def test_a_table_names_documents_by_its_index(index: list) -> None:
    table = pd.DataFrame({"body": TEXTS, "kind": [*"abab"], "key": [*"klmn"]}, index=index)
    corpus = Corpus.from_dataframe(table, text="body", label="kind", stop_words=None)
    assert corpus.names.tolist() == index
    assert corpus.labels.tolist() == [*"abab"]
    assert bags(corpus) == bags(Corpus.from_texts(TEXTS, stop_words=None))
    assert Corpus.from_dataframe(table, "body", id="key").names.tolist() == [*"klmn"]
    assert Corpus.from_dataframe(table.reset_index(drop=True), "body").names is None


def test_a_table_with_splits() -> None:
    table = pd.DataFrame({"text": TEXTS, "part": ["train", "Test", "dev", "train"]})
    assert Corpus.from_dataframe(table).splits is None
    corpus = Corpus.from_dataframe(table, split="part")
    assert corpus.splits.tolist() == ["train", "test", "val", "train"]
    for wrong, told in (("kind", "no column 'kind'"), ("text", "row 1 has the split")):
        with pytest.raises(DataError, match=f"^the table: (has )?{told}"):
            Corpus.from_dataframe(table, split=wrong)


def test_a_table_without_the_column_named() -> None:
    with pytest.raises(DataError, match="^the table: has no column 'text'; .* one of body$"):
        Corpus.from_dataframe(pd.DataFrame({"body": TEXTS}))


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        lambda counts: counts.tolist(),
        lambda counts: counts.astype(float),
        scipy.sparse.csr_matrix,
        scipy.sparse.csc_array,
        scipy.sparse.coo_matrix,
    ],
)
def test_counts_become_words(convert) -> None:
    corpus = Corpus.from_counts(convert(COUNTS), [*"xya"], labels=[*"ppq"], ids=[*"123"])
    assert bags(corpus) == [Counter("xxa"), Counter(), Counter("yyya")]
    assert corpus.vocabulary.tolist() == [*"xya"]
    assert corpus.labels.tolist() == [*"ppq"]
    assert corpus.names.tolist() == [*"123"]
    assert corpus.tokenizer is None


def test_a_table_of_counts_names_words_and_documents() -> None:
    table = pd.DataFrame(COUNTS, columns=[*"xya"], index=["one", "two", "three"])
    corpus = Corpus.from_counts(table)
    assert bags(corpus)[2] == Counter("yyya")
    assert corpus.names.tolist() == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("matrix", "vocabulary", "told"),
    [
        (COUNTS, None, "have no vocabulary"),
        (COUNTS, [*"xy"], "3 columns but the vocabulary has 2"),
        (COUNTS, [*"xyx"], "'x' more than once"),
        (COUNTS / 2, [*"xyz"], "holds 0.5 in document 1"),
        (-COUNTS, [*"xyz"], "holds -2 in document 1"),
        (COUNTS * 0, [*"xyz"], "are all zero"),
    ],
)
def test_bad_counts(matrix: np.ndarray, vocabulary: list[str] | None, told: str) -> None:
    with pytest.raises(DataError, match=f"^the counts: .*{told}|^the counts: {told}"):
        Corpus.from_counts(matrix, vocabulary)


def test_a_tokeniser_survives_its_configuration_and_a_file(tmp_path) -> None:
    corpus = Corpus.from_texts(TEXTS, stop_words=["fig"], ngram_range=(1, 2))
    described = {**asdict(corpus.tokenizer), "ngram_range": [1, 2], "stop_words": ["fig"]}
    assert Tokenizer(**described) == corpus.tokenizer
    write_corpus(corpus, tmp_path / "corpus.npz")
    assert read_corpus(tmp_path / "corpus.npz").tokenizer == corpus.tokenizer


def test_limits_that_limit_nothing_keep_words_that_do_not_occur() -> None:
    corpus = Corpus.from_counts(COUNTS[:1], [*"xya"])
    assert limit_vocabulary(corpus) is corpus
    assert limit_vocabulary(corpus, max_features=3).vocabulary.tolist() == ["x", "a"]


def test_the_repr_tells_the_sizes() -> None:
    corpus = Corpus.from_counts(COUNTS, [*"xya"], labels=[*"ppq"])
    assert repr(corpus) == "Corpus of 3 documents, 7 words in all, a vocabulary of 3, 2 labels"


@pytest.mark.parametrize(
    "vocabulary", [{"pears": 1, "fig": 0}, {1: "pears", 0: "fig"}, np.array(["fig", "pears"])]
)
def test_vocabularies_of_other_libraries(vocabulary: object) -> None:
    """Numbers by word, as of CountVectorizer, and words by number, as of gensim."""
    assert Corpus.from_texts(TEXTS, vocabulary=vocabulary).vocabulary.tolist() == ["fig", "pears"]
    counts = Corpus.from_counts([[1, 2]], vocabulary)
    assert counts.vocabulary[counts.words].tolist() == ["fig", "pears", "pears"]


@pytest.mark.parametrize("ids", [["a", "b", "a", "c"], [1, 2, 3, 1]])
def test_ids_that_several_documents_share_are_told(ids: list) -> None:
    with pytest.warns(DataWarning, match=f"2 of 4 documents share an id .* first is {ids[0]};"):
        corpus = Corpus.from_texts(TEXTS, ids=ids)
    assert corpus.names.tolist() == ids
    with pytest.warns(DataWarning, match="2 of 4 documents share an id"):
        Corpus.from_dataframe(pd.DataFrame({"text": TEXTS}, index=ids))
