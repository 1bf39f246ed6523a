"""Reasons why a file cannot be read: links, locks, pointers to files that were not fetched, pipes.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from contextlib import suppress
from pathlib import Path

from .errors import DataError

# First bytes of small text files that stand for large ones, and the command that fetches these.
POINTERS = {
    b"version https://git-lfs": "git lfs pull",
    b"/annex/objects/": "git annex get",
}
# First bytes of files by their kind.
BZIP2, XZ, ZSTD, ZIP = b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd", b"PK\x03\x04"
PARQUET, PDF, OFFICE, R_OBJECT = b"PAR1", b"%PDF", b"\xd0\xcf\x11\xe0", b"X\n\0\0"
_GZIP, _HDF5 = b"\x1f\x8b", b"\x89HDF"
_IS_R_OBJECT = "an R object"
# Files of other kinds, those first that are to be unpacked.
_PACKED = {
    ZIP: "a workbook (.xlsx) or a zip archive",
    BZIP2: "compressed by bzip2",
    XZ: "compressed by xz",
    ZSTD: "compressed by zstd",
}
_KINDS = {
    OFFICE: "a workbook (.xls)",
    PARQUET: "a Parquet table",
    PDF: "a PDF",
    b"RDX": _IS_R_OBJECT,
    R_OBJECT: _IS_R_OBJECT,
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
