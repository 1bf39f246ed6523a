"""Corpora in Blei's lda-c format: everything that can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from .fruit import (
    assert_error,
    write_lda_c,
)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("2 0:1\n", "line 1 is not"),
        ("1 0:1\n1 0:1 1:1\n", "line 2 is not"),
        ("1 0 1\n", "line 1 is not"),
        ("1 0:-1\n", "line 1 is not"),
        ("1 0:1.5\n", "line 1 is not"),
        ("some words\n", "line 1 is not"),
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


def test_a_missing_vocabulary_tells_where_it_was_looked_for(tmp_path: Path) -> None:
    path = write_lda_c(tmp_path, "words.txt")
    assert_error(
        path,
        "put fruit.vocab, fruit.dat.vocab, ",
        "or vocab.txt beside it, or name it by --vocabulary",
    )
