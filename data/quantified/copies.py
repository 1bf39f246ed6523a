"""Cells that are imported twice, under two names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np


class Copies:
    """Finds cells whose values are the same."""

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}
        self._pairs: list[tuple[str, str]] = []

    def add(self, name: str, values: Iterable[np.ndarray]) -> None:
        """Add a cell by its name and values, of any shapes."""
        digest = hashlib.blake2b(digest_size=16)
        for array in values:
            digest.update(np.ascontiguousarray(array).tobytes())
        first = self._first.setdefault(digest.digest(), name)
        if first != name:
            self._pairs.append((first, name))

    def notes(self, what: str) -> Iterator[str]:
        """Yield a remark that names the first pair, if there is one; ``what`` is the same."""
        if self._pairs:
            one, other = self._pairs[0]
            more = f", and so have {len(self._pairs) - 1} more pairs" if self._pairs[1:] else ""
            yield (
                f"warning: {one} and {other} have the same {what}{more}; if they are one cell that "
                "was copied, leave one out"
            )
