"""Options of formats that hold texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..tokenizer import Tokenizer


@dataclass(frozen=True)
class TextOptions:
    """How texts are found in a file, and split into words.

    Attributes
    ----------
    text, label, id
        Columns of a table: texts, and classes and names of the documents.
    tokens
        Whether words are split at spaces and taken as they are.
    tokenizer
        Splits the texts of a file that a model is applied to; None chooses by the rest.
    tokenizing
        Attributes of :class:`~exvae.data.tokenizer.Tokenizer` that differ from its defaults.
    usual
        Columns by ``text``, ``label`` and ``id`` that are used where the file has them.
    """

    text: str = "text"
    label: str | None = None
    id: str | None = None
    tokens: bool = False
    tokenizer: Tokenizer | None = None
    tokenizing: dict[str, Any] = field(default_factory=dict)
    usual: Mapping[str, str] = field(default_factory=dict)

    @property
    def names_columns(self) -> bool:
        """Whether columns of a table are named."""
        return self.columns != {"text": "text"}

    @property
    def columns(self) -> dict[str, str]:
        """Named columns by ``text``, ``label`` and ``id``."""
        named = {"text": self.text, "label": self.label, "id": self.id}
        return {role: name for role, name in named.items() if name is not None}

    def recalled(self, known: Collection[str]) -> TextOptions:
        """Name the usual columns that are among these columns of a file."""
        found = {role: name for role, name in self.usual.items() if name in known}
        return replace(self, **found, usual={})
