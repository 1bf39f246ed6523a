"""Rows of a matrix, some at a time."""

from __future__ import annotations

import pytest

from exvae.data.row_blocks import blocks


@pytest.mark.parametrize("shape", [(0, 5), (7, 0), (7, 3), (25, 4), (3, 20)])
def test_every_row_is_in_one_block_of_bounded_size(shape: tuple[int, int]) -> None:
    slices = list(blocks(*shape, 10))
    rows = [row for block in slices for row in range(shape[0])[block]]
    assert rows == list(range(shape[0]))
    assert all((block.stop - block.start) * shape[1] <= max(10, shape[1]) for block in slices)


def test_blocks_are_as_large_as_they_may_be() -> None:
    assert [(b.start, b.stop) for b in blocks(7, 5, 10)] == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert [(b.start, b.stop) for b in blocks(2, 10, 3)] == [(0, 1), (1, 2)]
