"""Compiled loops over many entries: their threads, and stamps of their sources."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import torch

from .memory import FOR_COMPILED_LOOPS, require_memory

Result = TypeVar("Result")

# Entries that a thread works on before it takes more.
_CHUNK = 1 << 14
# Results that wait in memory.
_AHEAD = 16


def spread(work: Callable[[slice], Any], count: int, chunk: int = _CHUNK) -> list:
    """Work on slices of ``chunk`` of so many entries in torch's number of threads.

    The results are in order; the last slice may end behind the last entry. MemoryError without the
    memory that numba takes: it aborts the process otherwise.
    """
    require_memory(FOR_COMPILED_LOOPS)
    chunks = [slice(start, start + chunk) for start in range(0, count, chunk)]
    number = min(len(chunks), torch.get_num_threads())
    if number <= 1:
        return [work(chunk) for chunk in chunks]
    results, places = [None] * len(chunks), iter(range(len(chunks)))

    def work_on_rest() -> None:
        for place in places:
            results[place] = work(chunks[place])

    # This thread works, too, and does more where others begin late, as torch's threads may still
    # hold the cores.
    helpers = [_threads(number - 1).submit(work_on_rest) for _ in range(number - 1)]
    try:
        work_on_rest()
    finally:
        wait(helpers)
    for helper in helpers:
        helper.result()
    return results


def spread_in_order(work: Callable[[int], Result], count: int) -> Iterator[Result]:
    """Yield the results of work on 0, 1, ... in order, a few made ahead in torch's threads."""
    for start in range(0, count, _AHEAD):

        def of_chunk(own: slice, start: int = start) -> Result:
            return work(start + own.start)

        yield from spread(of_chunk, min(_AHEAD, count - start), 1)


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="exvae")


def is_traced() -> bool:
    """Tell whether operations are recorded, which compiled loops would escape."""
    return (
        torch.jit.is_tracing()
        or torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def suits_loops(values: torch.Tensor) -> bool:
    """Tell whether compiled loops may work on values: on the CPU, and nothing is recorded."""
    return values.is_cpu and not is_traced()


def stamp_of(modules: Iterable[ModuleType]) -> str:
    """Digest of the source files of modules.

    numba looks at one source file to tell whether what it has stored is still good, and at the
    variables of the enclosing function: there the stamp stands for the other files.
    """
    digest = hashlib.sha256()
    for module in modules:
        digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()
