"""Heaps of HDF5 files, which the HDF5 library walks forever if they are damaged.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from .errors import DataError

# The first eight bytes of heaps: their sign, their version and three zeros. Searched for one by one
# they are found in a small part of the time that one expression for both would take.
_HEAPS, _MARK = [re.compile(sign) for sign in (rb"GCOL\x01\0\0\0", rb"HEAP\x00\0\0\0")], 8
# Bytes that are searched for heaps at once. A file mapped as a whole would count as memory taken.
_PIECE = 1 << 20
# The place that ends the list of free blocks in a heap of names, and bytes of a free block.
_NO_BLOCK, _BLOCK = 1, 16


def require_finite_heaps(path: Path, content: bytes | None = None) -> None:
    """Raise a DataError if the HDF5 library would read a damaged heap forever.

    Give the ``content`` of a file that is packed.
    """
    if content is None:
        found = os.stat(path)
        finite = _file_ends(path, (found.st_size, found.st_mtime_ns, found.st_ino))
    else:
        finite = _heaps_end(BytesIO(content), len(content))
    if not finite:
        raise DataError(f"{path}: the file is damaged (a heap of names or texts); write it again")


@lru_cache(maxsize=256)
def _file_ends(path: Path, state: tuple[int, int, int]) -> bool:
    """Tell whether all heaps of a file end; once for each state, as commands open a file twice."""
    with open(path, "rb") as file:
        return _heaps_end(file, state[0])


def _heaps_end(file: BinaryIO, size: int) -> bool:
    """Tell whether all heaps of a file of so many bytes end."""
    kinds = {b"GCOL": _texts_end, b"HEAP": _names_end}
    return all(kinds[sign](file, start, size) for sign, start in _heaps(file, size))


def _heaps(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the sign and the first byte of each heap."""
    for place in range(0, size, _PIECE):
        file.seek(place)
        # Pieces overlap, so that each mark of a heap lies in exactly one as a whole.
        piece = file.read(_PIECE + _MARK - 1)
        for found in chain.from_iterable(heap.finditer(piece) for heap in _HEAPS):
            yield found[0][:4], place + found.start()


def _texts_end(file: BinaryIO, start: int, size: int) -> bool:
    """Tell whether a walk over a heap of texts, which starts at a byte of a file, gets to its end.

    The library walks the objects of such a heap by their sizes, and an object of size zero stops
    it. After the size of the heap come its objects, each with its number, a count, four unused
    bytes and its size (eight bytes, as every file of today has it).
    """
    own = _numbers(file, "<Q", start + _MARK)
    place, end = start + 16, min(start + own[0], size) if own else 0
    while place + 16 <= end:
        number, _, _, length = _numbers(file, "<HHIQ", place)
        # The free space, number zero, counts its header; texts fill multiples of eight bytes.
        step = length if number == 0 else (16 + (length + 7) // 8 * 8) % (1 << 64)
        if step == 0:
            return False
        place += step
    return True


def _names_end(file: BinaryIO, start: int, size: int) -> bool:
    """Tell whether the list of free blocks ends in a heap of names that starts at a byte.

    The library takes memory for each block of this list, and the list can lead back to itself. The
    heap tells the size of its names, the place of the first free block among them, and where in
    the file they are; each free block tells the place of the next.
    """
    own = _numbers(file, "<QQQ", start + _MARK)
    if not own:
        return True
    room, block, names = own
    room = max(0, min(room, size - names))
    for _ in range(room // _BLOCK + 1):
        if block == _NO_BLOCK or block + _BLOCK > room:
            return True  # the list ends, or the library refuses it
        (block,) = _numbers(file, "<Q", names + block)
    return False


def _numbers(file: BinaryIO, layout: str, place: int) -> tuple[int, ...]:
    """Read numbers, in a layout of :mod:`struct`, from a place in a file; none beyond its end."""
    file.seek(place)
    content = file.read(struct.calcsize(layout))
    return struct.unpack(layout, content) if len(content) == struct.calcsize(layout) else ()
