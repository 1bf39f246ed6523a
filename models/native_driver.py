"""Compiled sums over counts of many entries, spread over threads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import torch
from torch import Tensor

from . import entry_blocks, float32_math, native_sums, zero_lookup, zero_surface
from .bootstrap_likelihood import BootstrapSetting
from .entry_blocks import Rules

# Entries that a thread works on before it takes more.
_CHUNK = 1 << 14
# All modules whose code or constants are compiled.
SOURCES = (float32_math, entry_blocks, zero_surface, zero_lookup, native_sums)


def sum_entries(
    parts: tuple[Tensor, ...], setting: BootstrapSetting
) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
    """Log of the sums over counts, and their slopes in the parameters.

    Parameters
    ----------
    parts
        Parameters, then statistics, of the entries, each of shape (entries,), float32, on the CPU.
    setting
        Which likelihood.

    Returns
    -------
    tuple
        Values in nats, shape (entries,); slopes in each parameter, likewise; and the positions of
        entries for which fixed nodes will not do, whose values and slopes mean nothing.
    """
    inputs = tuple(part.contiguous().numpy() for part in parts)
    rules = Rules(
        setting.noise == "adaptive",
        setting.error == "shared",
        setting.zeros == "rectified",
        np.float32(setting.noise != "absolute"),
    )
    tables = zero_surface.zero_surface(shared=rules.shared, adaptive=rules.adaptive)
    results = np.empty((native_sums.RESULTS, len(inputs[0])), np.float32)
    status = np.empty(len(inputs[0]), np.int8)
    chosen = np.arange(len(status))
    while len(chosen):
        missing = np.zeros(tables.slabs.shape, np.bool_)
        arguments = inputs, tables.slabs, tables.values, missing, rules, results, status
        _spread(lambda part, rest=arguments: _compiled()(part, *rest), chosen)
        if missing.any():
            tables.compute(np.argwhere(missing))
        chosen = np.flatnonzero(status == zero_lookup.MISSING)
    values, *slopes = torch.from_numpy(results)
    return values, tuple(slopes), torch.from_numpy(np.flatnonzero(status == zero_lookup.UNFIT))


def _spread(work: Callable[[np.ndarray], None], chosen: np.ndarray) -> None:
    """Work on entries in as many threads as torch has."""
    chunks = [chosen[start : start + _CHUNK] for start in range(0, len(chosen), _CHUNK)]
    threads = min(len(chunks), torch.get_num_threads())
    if threads <= 1:
        for chunk in chunks:
            work(chunk)
    else:
        list(_threads(torch.get_num_threads()).map(work, chunks))


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="exvae")


@cache
def _compiled() -> Callable:
    """Compile, or load what was compiled from the very same sources."""
    stamp = stamp_of(SOURCES)

    # numba looks at one source file to tell whether what it has stored is still good, and at the
    # variables of the enclosing function: the stamp stands for the other files.
    @numba.njit(nogil=True, cache=True)
    def sum_chunk(chosen, inputs, slabs, values, missing, rules, results, status):
        if stamp:
            native_sums.sum_chunk(chosen, inputs, slabs, values, missing, rules, results, status)

    return sum_chunk


def stamp_of(modules: Iterable[ModuleType]) -> str:
    """Digest of the source files of modules."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()
