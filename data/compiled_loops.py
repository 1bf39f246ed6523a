"""Compiled loops over many entries: their threads, and stamps of their sources."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from .memory import FOR_COMPILED_LOOPS, require_memory

# Entries that a thread works on before it takes more.
_CHUNK = 1 << 14


def spread(work: Callable[[slice], Any], count: int, chunk: int = _CHUNK) -> list:
    """Work on slices of ``chunk`` of so many entries in torch's number of threads.

    The results are in order; the last slice may end behind the last entry. MemoryError without the
    memory that numba takes: it aborts the process otherwise.
    """
    require_memory(FOR_COMPILED_LOOPS)
    chunks = [slice(start, start + chunk) for start in range(0, count, chunk)]
    if min(len(chunks), torch.get_num_threads()) <= 1:
        return [work(chunk) for chunk in chunks]
    return list(_threads(torch.get_num_threads()).map(work, chunks))


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="exvae")


def stamp_of(modules: Iterable[ModuleType]) -> str:
    """Digest of the source files of modules.

    numba looks at one source file to tell whether what it has stored is still good, and at the
    variables of the enclosing function: there the stamp stands for the other files.
    """
    digest = hashlib.sha256()
    for module in modules:
        digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()
