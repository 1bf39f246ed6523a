"""Hints that a tokeniser does not suit the language of texts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from .tokenizer import LETTERS, Tokenizer

# Texts that are enough for a hint.
_SAMPLE = 200
# Scripts without spaces between words: Chinese, Japanese, Thai, Lao, Tibetan, Burmese and Khmer.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
_FEWEST_LETTERS, _LONGEST_WORD = 20, 5.0
_SHARE_OF_MARKS = 0.05
# Less than so many words of English running text are stop words; other languages have words of
# their own that are as short and as frequent.
_SHARE_OF_STOP_WORDS, _SHORT, _FREQUENT = 0.15, 4, 0.015
_FEWEST_WORDS, _FEWEST_DISTINCT = 1000, 300


class Sample:
    """The first texts of a stream, kept while it is read once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def of(self, texts: Iterable[object]) -> Iterator[object]:
        """Yield texts and keep the first ones that are strings."""
        for text in texts:
            if isinstance(text, str) and len(self.texts) < _SAMPLE:
                self.texts.append(text)
            yield text


def hint(texts: Sequence[str], tokenizer: Tokenizer) -> str | None:
    """Tell what is wrong with the words that a tokeniser makes of texts; None if nothing is.

    Parameters
    ----------
    texts
        Some of the texts.
    tokenizer
        Splits them.
    """
    joined = "\n".join(texts)
    letters = sum(map(str.isalpha, joined))
    if letters < _FEWEST_LETTERS:
        return None
    if 2 * len(_UNSPACED.findall(joined)) > letters:
        words = [word for text in texts for word in tokenizer(text)]
        if words and sum(map(len, words)) <= _LONGEST_WORD * len(words):
            return None  # split already, or by a pattern of its own
        return (
            "most letters are of a script without spaces between words, such as Chinese, Japanese "
            "or Thai, so that whole sentences become words; split them with a tokeniser of the "
            "language and give lists of words, or words between spaces and tokens"
        )
    marks = sum(unicodedata.category(letter).startswith("M") for letter in joined)
    if tokenizer.token_pattern == LETTERS and marks > _SHARE_OF_MARKS * letters:
        return (
            "many letters have vowel signs or other marks, as in Hindi or Tamil, at which words "
            "are cut; give words between spaces and tokens, lists of words, or a token_pattern"
        )
    frequent = _words_of_another_language(joined) if tokenizer.stop_words == "english" else []
    if frequent:
        return (
            f"hardly any word is an English stop word, but {', '.join(frequent)} are as frequent, "
            "so the texts may be of another language; give its stop_words, or None"
        )
    return None


def _words_of_another_language(text: str) -> list[str]:
    """Short frequent words of running text that is not English; none if it may be English."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # slow to import

    counts = Counter(re.findall(LETTERS, text.lower()))
    total = counts.total()
    stop_words = sum(counts[word] for word in ENGLISH_STOP_WORDS)
    enough = total >= _FEWEST_WORDS and len(counts) >= _FEWEST_DISTINCT
    if not enough or stop_words > _SHARE_OF_STOP_WORDS * total:
        return []
    found = [
        repr(word)
        for word, count in counts.most_common(20)
        if count > _FREQUENT * total and len(word) <= _SHORT and word not in ENGLISH_STOP_WORDS
    ]
    return found[:3] if len(found) >= 3 else []
