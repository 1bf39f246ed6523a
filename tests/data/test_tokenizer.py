"""Words of texts as programs write them."""

from __future__ import annotations

import unicodedata

from exvae.data.tokenizer import AS_THEY_ARE, Tokenizer


def test_accents_apart_from_their_letters_are_part_of_words() -> None:
    words = ["gärten", "señor"]
    assert Tokenizer()(unicodedata.normalize("NFD", " ".join(words))) == words


def test_soft_hyphens_do_not_divide_words() -> None:
    assert Tokenizer()("gar\u00addens") == ["gardens"]


def test_tokens_stay_as_they_are() -> None:
    text = unicodedata.normalize("NFD", "gär\u00adten")
    assert AS_THEY_ARE(text) == [text]
