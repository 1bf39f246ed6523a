"""Progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def with_progress(cells: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield items, one for each cell, and show their number; in a file every ten seconds."""
    return iter(progress_bar(total, what, cells=cells))


def progress_bar(
    total: int, what: str, *, cells: Iterable[Item] | None = None, delay: float = 0.0
) -> tqdm:
    """Make a bar that counts cells up to ``total``; it appears after ``delay`` seconds."""
    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(
        cells,
        total=total,
        desc=what,
        unit=" cells",
        file=sys.stderr,
        mininterval=interval,
        delay=delay,
    )
