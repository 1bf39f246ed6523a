"""Corpora in the UCI bag of words format: everything that can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from .fruit import (
    assert_error,
    write_uci,
)


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
    ],
)
def test_bad_bags_of_words(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = write_uci(tmp_path)
    path.write_text(text)
    assert_error(path, *parts)
