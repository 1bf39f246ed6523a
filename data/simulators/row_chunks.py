"""Rows of a matrix, a few at a time."""

from __future__ import annotations

# Entries at once; bounds the memory beside the results.
_CHUNK = 1_000_000


def chunks_of_rows(shape: tuple[int, int]) -> list[slice]:
    """Divide the rows of an array into slices of about a million entries."""
    step = max(1, _CHUNK // max(shape[1], 1))
    return [slice(start, start + step) for start in range(0, shape[0], step)]
