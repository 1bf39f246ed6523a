"""The beginning of a file, by which its format is recognised."""

from __future__ import annotations

import re
from pathlib import Path

from .files import open_file

# Bytes and lines that are enough to recognise a format.
_BYTES, _LINES = 1 << 20, 1000
_LINE_END = re.compile("\r\n|\n|\r")


def first_bytes(path: Path, count: int = 16) -> bytes:
    """Read the first bytes of a file, unpacked if it is compressed by gzip."""
    with open_file(path) as file:
        return file.read(count)


def first_lines(path: Path) -> list[str]:
    """Read the first lines that are not blank; a last line that may be cut is left out."""
    start = first_bytes(path, _BYTES)
    lines = _LINE_END.split(start.decode("utf-8", "replace").removeprefix("\ufeff"))
    if len(start) == _BYTES and len(lines) > 1:
        lines.pop()
    return [line for line in lines if line.strip()][:_LINES]
