"""The error that every reader of files raises, and the warning about data that can be used."""

from __future__ import annotations

# Characters of a file that a message quotes.
_MOST_QUOTED = 60


class DataError(ValueError):
    """Input that cannot be used; the message is one line naming the file and the remedy."""

    def __init__(self, message: str) -> None:
        # File names and messages of other libraries may hold line breaks.
        super().__init__(" ".join(message.splitlines()))


class DataWarning(UserWarning):
    """Input that can be used, at a loss; the message is one line naming the data and the remedy."""


def shortened(text: str, most: int = _MOST_QUOTED) -> str:
    """Cut a text to so many characters, of which the last is an ellipsis then."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
