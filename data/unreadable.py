"""Reasons why a file cannot be read: links, locks, pointers to files that were not fetched, pipes.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from .errors import DataError

# First bytes of a heap of texts: a mark of eight, and its size.
_HEAP, _HEAD = re.compile(rb"GCOL\x01\0\0\0(?s:.{8})"), 16
# Bytes that are searched for heaps at once. A file mapped as a whole would count as memory taken.
_PIECE = 1 << 20
# First bytes of small text files that stand for large ones, and the command that fetches these.
POINTERS = {
    b"version https://git-lfs": "git lfs pull",
    b"/annex/objects/": "git annex get",
}


def require_regular(path: Path) -> None:
    """Raise a DataError if there is a pipe, a socket or a device in the place of a file."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # told by whoever opens it
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path}: is a pipe or a device and no file; write it to a file first")


def require_finite_heaps(path: Path) -> None:
    """Raise a DataError if the HDF5 library would read a damaged heap of texts forever.

    The library walks the objects of a heap by their sizes, and an object of size zero stops it. A
    heap begins with ``GCOL``, its version and its size; each object with its number, a count,
    four unused bytes and its size (eight bytes, as every file of today has it).
    """
    found = os.stat(path)
    if found.st_size and not _heaps_end(path, found.st_size, found.st_mtime_ns, found.st_ino):
        raise DataError(f"{path}: the file is damaged (a heap of texts); write it again")


@lru_cache(maxsize=256)
def _heaps_end(path: Path, size: int, changed: int, inode: int) -> bool:
    """Tell whether all heaps of a file end; once for each state, as commands open a file twice."""
    with open(path, "rb") as file:
        return all(_ends(file, start, size) for start in _heaps(file, size))


def _heaps(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield where the heaps of a file of so many bytes start."""
    for place in range(0, size, _PIECE):
        file.seek(place)
        # Pieces overlap, so that each start of a heap lies in exactly one as a whole.
        for found in _HEAP.finditer(file.read(_PIECE + _HEAD - 1)):
            yield place + found.start()


def _ends(file: BinaryIO, start: int, size: int) -> bool:
    """Tell whether a walk over the heap that starts at a byte of a file gets to its end."""
    (own,) = _numbers(file, "<Q", start + 8)
    place, end = start + _HEAD, min(start + own, size)
    while place + 16 <= end:
        number, _, _, length = _numbers(file, "<HHIQ", place)
        # The free space, number zero, counts its header; texts fill multiples of eight bytes.
        step = length if number == 0 else (16 + (length + 7) // 8 * 8) % (1 << 64)
        if step == 0:
            return False
        place += step
    return True


def _numbers(file: BinaryIO, layout: str, place: int) -> tuple[int, ...]:
    """Read numbers, in a layout of :mod:`struct`, from a place in a file."""
    file.seek(place)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def known_reason(path: Path, error: Exception, again: str) -> str | None:
    """Tell why a file cannot be read, with the remedy; None if it may be damaged.

    Parameters
    ----------
    path
        The file.
    error
        The failure to read it.
    again
        Advice for a file that is empty.
    """
    if os.path.islink(path) and not os.path.exists(path):
        return f"is a link to {os.readlink(path)}, which does not exist; mend the link"
    if "unable to lock file" in str(error):
        return (
            "is locked by another process, or lies on a disk without locks; wait until the program "
            "that writes it has ended, or set HDF5_USE_FILE_LOCKING=FALSE"
        )
    if isinstance(error, PermissionError):
        return "may not be read; make it readable"
    if isinstance(error, MemoryError):
        return (
            "out of memory: it says that it holds more than fits; check it, or use a machine with "
            "more memory"
        )
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        start = file.read(64)
    for sign, command in POINTERS.items():
        if start.startswith(sign):
            return f"is a pointer to a file that was not fetched; fetch it with {command}"
    if not start:
        return f"is empty, as after a full disk or an early end; {again}"
    return None
