"""Hints that texts of other languages are not split into their words."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from exvae.data.corpora import Corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataWarning
from exvae.data.languages import hint
from exvae.data.tokenizer import AS_THEY_ARE, Tokenizer

CHINESE = [
    "我们在花园里种了苹果和梨子,秋天可以收获很多水果",
    "夏天结束的时候用李子做果酱给孩子们吃",
]
HINDI = ["हम बगीचे में सेब और नाशपाती उगाते हैं", "गर्मियों के अंत में आलूबुखारे का मुरब्बा बनता है"]
RUSSIAN = ["в саду растут яблоки и груши", "в конце лета варят варенье из слив"]


def running_text(frequent: list[str], seed: int = 0) -> list[str]:
    """Draw texts in which half of the words are these, the others of a vocabulary of 676."""
    generator = np.random.default_rng(seed)
    rare = [
        f"wort{one}{two}" for one, two in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=2)
    ]
    return [
        " ".join(
            generator.choice(frequent) if generator.random() < 0.5 else generator.choice(rare)
            for _ in range(60)
        )
        for _ in range(40)
    ]


GERMAN = running_text(["der", "die", "und", "das", "mit", "von", "den", "ein", "ist"])
ENGLISH = running_text(["the", "and", "of", "to", "with", "from", "is", "a", "it"])

UNSPACED, MARKED, FOREIGN = "script without spaces", "vowel signs", "hardly any word is an English"


@pytest.mark.parametrize(
    ("texts", "tokenizer", "told"),
    [
        (CHINESE, Tokenizer(), UNSPACED),
        (CHINESE, AS_THEY_ARE, UNSPACED),
        ([" ".join(own) for own in CHINESE], AS_THEY_ARE, None),
        (CHINESE, Tokenizer(token_pattern="[\u4e00-\u9fff]{2}"), None),
        (["ต้นแอปเปิลและลูกแพร์เติบโตในสวนของเรา"], Tokenizer(), UNSPACED),
        (HINDI, Tokenizer(), MARKED),
        (HINDI, AS_THEY_ARE, None),
        (RUSSIAN, Tokenizer(), None),
        (GERMAN, Tokenizer(), FOREIGN),
        (GERMAN, Tokenizer(stop_words=None), None),
        (GERMAN, Tokenizer(stop_words=["der", "die"]), None),
        (GERMAN[:10], Tokenizer(), None),
        (ENGLISH, Tokenizer(), None),
        (running_text(["film", "goal"] * 5), Tokenizer(), None),
        ([], Tokenizer(), None),
        (["12"], Tokenizer(), None),
    ],
)
def test_hints(texts: list[str], tokenizer: Tokenizer, told: str | None) -> None:
    found = hint(texts, tokenizer)
    assert (found is None) == (told is None)
    assert told is None or told in found


def test_corpora_warn_once(tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match=f"^the texts: .*{UNSPACED}") as told:
        Corpus.from_texts(CHINESE * 200)
    assert len(told) == 1
    for name, content in (("c.txt", "\n".join(CHINESE)), ("c.csv", "text\n" + "\n".join(HINDI))):
        path = tmp_path / name
        path.write_text(content, "utf-8")
        with pytest.warns(DataWarning, match=f"^{path}: .*({UNSPACED}|{MARKED})") as told:
            read_corpus(path)
        assert len(told) == 1
        read_corpus(path, tokens=True)
    Corpus.from_texts([list(own) for own in CHINESE])
