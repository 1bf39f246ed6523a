"""Rows of a matrix, some at a time."""

from __future__ import annotations

from collections.abc import Iterator

# Entries of a block, where a caller asks for no other size.
_ENTRIES = 1 << 22


def blocks(num_rows: int, num_columns: int, size: int = _ENTRIES) -> Iterator[slice]:
    """Yield slices of rows of at most ``size`` entries (rows times columns), or of one row."""
    rows = max(1, size // max(num_columns, 1))
    for start in range(0, num_rows, rows):
        yield slice(start, min(start + rows, num_rows))
