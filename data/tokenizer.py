"""How texts are split into words, in a form that can be remembered."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any

from .arguments import listed
from .errors import DataError, DataWarning

# Two letters or more, of any alphabet.
LETTERS = r"[^\W\d_]{2,}"
_SPACED = r"\S+"
_SOFT_HYPHEN = "\u00ad"
# The end of a sentence or clause, but not of an abbreviation such as u.s., which tokens may have.
_SENTENCE = re.compile(r"\w\w[.,;:!?](?:\s|$)")


@dataclass(frozen=True)
class Tokenizer:
    """Splits texts into words, as scikit-learn's CountVectorizer does with the same options.

    Before that letters and their accents become one character, and soft hyphens, which break words
    at the end of a line, are left out; tokens between spaces stay as they are.

    Attributes
    ----------
    lowercase
        Whether letters become lower case.
    stop_words
        Words to leave out: a list, ``"english"`` for scikit-learn's list, or None.
    ngram_range
        Shortest and longest run of neighbouring words that counts as a word.
    token_pattern
        Regular expression of a word; by default two letters or more, of any alphabet.

    Examples
    --------
    >>> Tokenizer()("The 2 dogs chased the cat.")
    ['dogs', 'chased', 'cat']
    >>> Tokenizer(stop_words=None, ngram_range=(2, 2))("The dog barked.")
    ['the dog', 'dog barked']
    """

    lowercase: bool = True
    stop_words: str | Sequence[str] | None = "english"
    ngram_range: tuple[int, int] = (1, 1)
    token_pattern: str = LETTERS

    def __post_init__(self) -> None:
        # A configuration that was written as JSON has lists.
        ends = tuple(listed("ngram_range", self.ngram_range, "(1, 2), shortest and longest"))
        if len(ends) != 2 or not all(isinstance(end, Integral) for end in ends):
            raise DataError(f"ngram_range is {self.ngram_range}; give two numbers such as (1, 2)")
        object.__setattr__(self, "ngram_range", ends)
        if not isinstance(self.stop_words, str | None):
            words = listed("stop_words", self.stop_words, "['the', 'and']; or 'english', or None")
            object.__setattr__(self, "stop_words", tuple(words))
        if not isinstance(self.token_pattern, str):
            raise DataError(f"token_pattern is {self.token_pattern!r}; give a regular expression")
        object.__setattr__(self, "_split", self._analyzer())

    def __call__(self, text: str) -> list[str]:
        """Split a text into words."""
        if self.token_pattern != _SPACED:
            text = unicodedata.normalize("NFC", text).replace(_SOFT_HYPHEN, "")
        return self._split(text)

    def _analyzer(self) -> Callable[[str], list[str]]:
        plain = (self.lowercase, self.stop_words, self.ngram_range, self.token_pattern)
        if plain == (False, None, (1, 1), _SPACED):
            return str.split
        from sklearn.feature_extraction.text import CountVectorizer  # slow to import

        stop_words = self.stop_words
        if not isinstance(stop_words, str | None):
            stop_words = list(stop_words)
        if not 1 <= self.ngram_range[0] <= self.ngram_range[1]:
            raise DataError(f"ngram_range is {self.ngram_range}; give 1 <= shortest <= longest")
        try:
            return CountVectorizer(
                lowercase=self.lowercase,
                stop_words=stop_words,
                ngram_range=self.ngram_range,
                token_pattern=self.token_pattern,
            ).build_analyzer()
        except (ValueError, re.error) as error:
            raise DataError(f"the texts cannot be tokenised so ({error}); change it") from error


AS_THEY_ARE = Tokenizer(lowercase=False, stop_words=None, token_pattern=_SPACED)
"""Splits at spaces and changes nothing."""


def detected_tokenizer(
    texts: Iterable[str], source: str, *, tokens: bool, options: dict[str, Any]
) -> Tokenizer:
    """Choose how the texts of a file are split.

    Words are taken as they are, split at spaces, if no text has a capital letter or sentence
    punctuation. A warning tells that other texts are tokenised.

    Parameters
    ----------
    texts
        The texts; read up to the first one with a capital letter or sentence punctuation.
    source
        Origin of the texts, for messages.
    tokens
        Take words as they are in any case.
    options
        Attributes of :class:`Tokenizer` that differ from the choice.
    """
    if tokens or not any(text.lower() != text or _SENTENCE.search(text) for text in texts):
        return tokenizer_of(options, tokens=True)
    tokenizer = tokenizer_of(options)
    stop_words = tokenizer.stop_words
    listed = "given" if isinstance(stop_words, tuple) else str(stop_words).capitalize()
    warnings.warn(
        f"{source}: has capitals or punctuation, so its texts are tokenised (lower case, letters, "
        f"stop words: {listed}); set tokens to take words between spaces as they are",
        DataWarning,
        stacklevel=2,
    )
    return tokenizer


def tokenizer_of(options: dict[str, Any], *, tokens: bool = False) -> Tokenizer:
    """Make a tokeniser; DataError for an option that does not exist.

    ``options`` are attributes of :class:`Tokenizer` by name; with ``tokens`` the others are of
    :data:`AS_THEY_ARE`.
    """
    names = [field.name for field in fields(Tokenizer)]
    unknown = [name for name in options if name not in names]
    if unknown:
        raise DataError(f"there is no option {unknown[0]}; choose one of {', '.join(names)}")
    return replace(AS_THEY_ARE if tokens else Tokenizer(), **options)
