"""The error that every reader of files raises."""

from __future__ import annotations


class DataError(ValueError):
    """Input that cannot be used; the message is one line naming the file and the remedy."""

    def __init__(self, message: str) -> None:
        # File names and messages of other libraries may hold line breaks.
        super().__init__(" ".join(message.splitlines()))
