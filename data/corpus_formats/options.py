"""Options of formats that hold texts."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    """

    text: str = "text"
    label: str | None = None
    id: str | None = None
    tokens: bool = False
    tokenizer: Tokenizer | None = None
    tokenizing: dict[str, Any] = field(default_factory=dict)

    @property
    def names_columns(self) -> bool:
        """Whether columns of a table are named."""
        return (self.text, self.label, self.id) != ("text", None, None)
