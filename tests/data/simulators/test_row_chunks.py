"""Rows, a few at a time."""

from __future__ import annotations

import pytest

from exvae.data.simulators.row_chunks import chunks_of_rows


@pytest.mark.parametrize("shape", [(0, 5), (7, 0), (7, 3), (25, 400_000), (3, 2_000_000)])
def test_every_row_is_in_one_chunk_of_bounded_size(shape: tuple[int, int]) -> None:
    chunks = chunks_of_rows(shape)
    rows = [row for chunk in chunks for row in range(shape[0])[chunk]]
    assert rows == list(range(shape[0]))
    assert all(
        (chunk.stop - chunk.start) * shape[1] <= max(1_000_000, shape[1]) for chunk in chunks
    )
