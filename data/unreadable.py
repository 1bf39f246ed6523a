"""Reasons why a file cannot be read: links, locks, pointers to files that were not fetched, pipes.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import gzip
import mmap
import os
import re
import stat
import struct
import zlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from .errors import DataError

_HEAP = re.compile(rb"GCOL\x01\0\0\0(?s:.{8})")
# First bytes of small text files that stand for large ones, and the command that fetches these.
POINTERS = {
    b"version https://git-lfs": "git lfs pull",
    b"/annex/objects/": "git annex get",
}
_GZIP, _HDF5 = b"\x1f\x8b", b"\x89HDF"
_R_OBJECT = "an R object"
# First bytes of files of other kinds, those first that are to be unpacked.
_PACKED = {
    b"PK\x03\x04": "a workbook (.xlsx) or a zip archive",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"(\xb5/\xfd": "compressed by zstd",
}
_KINDS = {
    b"\xd0\xcf\x11\xe0": "a workbook (.xls)",
    b"PAR1": "a Parquet table",
    b"%PDF": "a PDF",
    b"RDX": _R_OBJECT,
    b"X\n\0\0": _R_OBJECT,
    b"<!DOCTYPE": "a web page, as of a failed download",
    b"<html": "a web page, as of a failed download",
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
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return all(_ends(content, heap.start()) for heap in _HEAP.finditer(content))


def _ends(content: mmap.mmap, start: int) -> bool:
    """Tell whether a walk over the heap that starts at a byte of a file gets to its end."""
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


def other_content(path: Path, otherwise: str) -> str | None:
    """Tell of which other kind a file is, by its first bytes, with the remedy; None if unknown.

    Parameters
    ----------
    path
        The file.
    otherwise
        Remedy for a file that is not to be unpacked.
    """
    with suppress(OSError), open(path, "rb") as file:
        start = inside = file.read(16)
        if start.startswith(_GZIP):
            with suppress(OSError, EOFError, zlib.error), gzip.open(path) as packed:
                inside = packed.read(16)
        for sign, kind in (_PACKED | _KINDS).items():
            if inside.startswith(sign):
                return f"is {kind}; {'unpack it, or ' if sign in _PACKED else ''}{otherwise}"
        # A table may be packed, if its name says so.
        if start != inside and (inside.startswith(_HDF5) or path.suffix != ".gz"):
            return f"is packed by gzip; unpack it, or {otherwise}"
    return None
