"""Memory that tensors leave behind is kept for the next ones.

glibc gives the memory of large arrays back to the system at once and takes new memory for the next
array, which the system has to clear page by page. Training makes and drops the same arrays in every
step: on a virtual machine this was a third of a step on topics, and an eighth of one on 60 000
isoforms.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# Numbers of glibc's malloc.h, and the defaults of its manual.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}
# Who sets one of these has chosen how memory is allocated.
_CHOSEN = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")

_kept = False


def keep_freed_memory() -> None:
    """Let this process keep the memory that it has taken; does nothing without glibc."""
    global _kept
    if allocator := _glibc():
        _kept = True
        allocator.mallopt(_MMAP_MAX, 0)
        allocator.mallopt(_TRIM_THRESHOLD, -1)


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Keep the memory within the block, and give it back at the end, unless it was kept before."""
    global _kept
    if _kept:
        yield
        return
    keep_freed_memory()
    try:
        yield
    finally:
        if allocator := _glibc():
            for option, value in _DEFAULTS.items():
                allocator.mallopt(option, value)
            allocator.malloc_trim(0)
            _kept = False


@cache
def _glibc() -> ctypes.CDLL | None:
    """Load the allocator of this process, if it is glibc's with its defaults."""
    if not sys.platform.startswith("linux") or any(own.startswith(_CHOSEN) for own in os.environ):
        return None
    found = ctypes.CDLL(None)
    return found if hasattr(found, "gnu_get_libc_version") else None
