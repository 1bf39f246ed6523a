"""Heaps of HDF5 files, which the HDF5 library walks forever if they are damaged.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from functools import lru_cache
from pathlib import Path

from .errors import DataError

# Each begins with its sign, its version and three zeros.
_TEXTS = re.compile(rb"GCOL\x01\0\0\0(?s:.{8})")
_NAMES = re.compile(rb"HEAP\x00\0\0\0(?s:.{24})")
# The place that ends the list of free blocks in a heap of names, and bytes of a free block.
_NO_BLOCK, _BLOCK = 1, 16


def require_finite_heaps(path: Path, content: bytes | None = None) -> None:
    """Raise a DataError if the HDF5 library would read a damaged heap forever.

    Give the ``content`` of a file that is packed.
    """
    if content is None:
        found = os.stat(path)
        state = found.st_size, found.st_mtime_ns, found.st_ino
        finite = not found.st_size or _file_ends(path, state)
    else:
        finite = _heaps_end(content)
    if not finite:
        raise DataError(f"{path}: the file is damaged (a heap of names or texts); write it again")


@lru_cache(maxsize=256)
def _file_ends(path: Path, state: tuple[int, int, int]) -> bool:
    """Tell whether all heaps of a file end; once for each state, as commands open a file twice."""
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return _heaps_end(content)


def _heaps_end(content: bytes | mmap.mmap) -> bool:
    return all(
        ends(content, heap.start())
        for sign, ends in ((_TEXTS, _texts_end), (_NAMES, _names_end))
        for heap in sign.finditer(content)
    )


def _texts_end(content: bytes | mmap.mmap, start: int) -> bool:
    """Tell whether a walk over a heap of texts, which starts at a byte of a file, gets to its end.

    The library walks the objects of such a heap by their sizes, and an object of size zero stops
    it. After its size come the objects, each with its number, a count, four unused bytes and its
    size (eight bytes, as every file of today has it).
    """
    (size,) = struct.unpack_from("<Q", content, start + 8)
    place, end = start + 16, min(start + size, len(content))
    while place + 16 <= end:
        number, _, _, length = struct.unpack_from("<HHIQ", content, place)
        # The free space, number zero, counts its header; texts fill multiples of eight bytes.
        step = length if number == 0 else (16 + (length + 7) // 8 * 8) % (1 << 64)
        if step == 0:
            return False
        place += step
    return True


def _names_end(content: bytes | mmap.mmap, start: int) -> bool:
    """Tell whether the list of free blocks ends in a heap of names that starts at a byte.

    The library takes memory for each block of this list, and the list can lead back to itself. The
    heap tells the size of its names, the place of the first free block among them, and where in
    the file they are; each free block tells the place of the next.
    """
    size, block, names = struct.unpack_from("<QQQ", content, start + 8)
    size = min(size, len(content) - names)
    for _ in range(max(size, 0) // _BLOCK + 1):
        if block == _NO_BLOCK or block + _BLOCK > size:
            return True  # the list ends, or the library refuses it
        (block,) = struct.unpack_from("<Q", content, names + block)
    return False
