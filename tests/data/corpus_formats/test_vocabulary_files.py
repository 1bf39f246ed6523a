"""Vocabularies beside counts, as programs write them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataError

from ..test_real_corpora import COUNTS, ENTRIES, MATRIX_MARKET, VOCABULARY, WORDS, table
from .fruit import write

VOCABULARIES = {
    "number and word": "".join(f"{n}\t{word}\n" for n, word in enumerate(WORDS)),
    "word and number from 1": "".join(f"{word}\t{n}\n" for n, word in sorted(enumerate(WORDS, 1))),
    "in another order": "".join(f"{n}\t{WORDS[n]}\n" for n in (2, 0, 3, 1)),
    "word and frequency": "".join(
        f"{word}\t{n}\n" for word, n in zip(WORDS, (9, 9, 4, 1), strict=True)
    ),
    "JSON": json.dumps(WORDS),
    "JSON of scikit-learn": json.dumps({WORDS[n]: n for n in (2, 0, 3, 1)}, indent=1),
    "Windows": "\ufeff" + VOCABULARY.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("text", VOCABULARIES.values(), ids=list(VOCABULARIES))
def test_vocabularies(text: str, tmp_path: Path) -> None:
    entries = f"{MATRIX_MARKET}5 4 6\n{ENTRIES}"
    path = write(tmp_path, {"c.mtx": entries, "vocab.txt": text})
    corpus = read_corpus(path)
    assert corpus.vocabulary.tolist() == WORDS
    np.testing.assert_array_equal(table(corpus), COUNTS)


@pytest.mark.parametrize(
    "row",
    ["a\tb\tc\n", "a\tb\n", "1\t2\n", "a\t" + "9" * 6000 + "\n"],
    ids=["three", "words", "numbers", "long number"],
)
def test_columns_that_are_no_words_are_refused(row: str, tmp_path: Path) -> None:
    path = write(tmp_path, {"c.mtx": f"{MATRIX_MARKET}5 4 6\n{ENTRIES}", "vocab.txt": row * 4})
    told = f"^{tmp_path}/vocab.txt: has several columns, .* give a word in each line"
    with pytest.raises(DataError, match=told):
        read_corpus(path)
