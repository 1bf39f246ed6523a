"""Heaps of texts in files that are searched piece by piece."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from exvae.data.errors import DataError
from exvae.data.unreadable import _PIECE, require_finite_heaps

# Number of an object of a heap, the free space, and sizes that end a walk and that stop it.
FREE, ENDS, STOPS = 0, 32, 0


def write_heap(path: Path, place: int, size: int) -> None:
    """Write a heap, with one object of a size, at a place in a file of some pieces."""
    heap = b"GCOL\x01\0\0\0" + struct.pack("<QHHIQ", 48, FREE, 0, 0, size)
    content = bytearray(3 * _PIECE + 100)
    content[place : place + len(heap)] = heap
    path.write_bytes(content)


@pytest.mark.parametrize("place", [0, 5, *range(_PIECE - 33, _PIECE + 2), 3 * _PIECE + 60])
def test_a_heap_is_found_wherever_it_lies(place: int, tmp_path: Path) -> None:
    write_heap(tmp_path / "whole", place, ENDS)
    require_finite_heaps(tmp_path / "whole")
    write_heap(tmp_path / "damaged", place, STOPS)
    with pytest.raises(DataError, match="damaged: the file is damaged .a heap of texts."):
        require_finite_heaps(tmp_path / "damaged")


def test_all_heaps_are_walked(tmp_path: Path) -> None:
    for name, sizes in (("whole", (ENDS, ENDS)), ("damaged", (ENDS, STOPS))):
        for number, size in enumerate(sizes):
            write_heap(tmp_path / f"{number}", 64, size)
        parts = (tmp_path / f"{number}" for number in range(len(sizes)))
        (tmp_path / name).write_bytes(b"".join(part.read_bytes() for part in parts))
    require_finite_heaps(tmp_path / "whole")
    with pytest.raises(DataError, match="a heap of texts"):
        require_finite_heaps(tmp_path / "damaged")
