"""Compiled sums over counts of many entries, spread over threads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from . import (
    entry_blocks,
    entry_groups,
    float32_math,
    native_sums,
    zero_lookup,
    zero_surface,
    zero_windows,
)
from .bootstrap_likelihood import BootstrapSetting
from .entry_blocks import Rules

# Entries that a thread works on before it takes more.
_CHUNK = 1 << 14
# All modules whose code or constants are compiled.
SOURCES = (
    float32_math,
    entry_blocks,
    entry_groups,
    zero_surface,
    zero_lookup,
    zero_windows,
    native_sums,
)


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
    inputs, rules, tables = _prepare(parts, setting)
    results = np.empty((native_sums.RESULTS, len(inputs[0])), np.float32)
    status = np.empty(len(inputs[0]), np.int8)
    for _ in _passes(_compiled(), inputs, rules, tables, status, results):
        pass
    values, *slopes = torch.from_numpy(results)
    return values, tuple(slopes), _unfit(status)


class PlacedNodes(NamedTuple):
    """Nodes of entries, each of shape (nodes,).

    Attributes
    ----------
    entry
        Which entry a node belongs to, int64.
    u, weight
        Its count and how many counts it stands for.
    log_likelihood
        Log density of the entry's bootstraps given the count, nats.
    """

    entry: Tensor
    u: Tensor
    weight: Tensor
    log_likelihood: Tensor


def place_nodes(parts: tuple[Tensor, ...], setting: BootstrapSetting) -> tuple[PlacedNodes, Tensor]:
    """Place nodes for sums over counts, u = 0 among them, that also do for quantiles.

    They reach over all counts before dropout that are likely.

    Parameters
    ----------
    parts, setting
        As for :func:`sum_entries`.

    Returns
    -------
    tuple
        The nodes, and the positions of entries for which fixed nodes will not do; of these there
        is none.
    """
    inputs, rules, tables = _prepare(parts, setting)
    status = np.empty(len(inputs[0]), np.int8)
    pieces = [
        piece
        for of_pass in _passes(_compiled_nodes(), inputs, rules, tables, status)
        for piece in of_pass
    ]
    entry, u, weight, density = (
        torch.from_numpy(np.concatenate(field)) for field in zip(*pieces, strict=True)
    )
    used = (weight > 0) & (torch.from_numpy(status)[entry] == zero_lookup.SUMMED)
    return PlacedNodes(entry[used], u[used], weight[used], density[used]), _unfit(status)


def _prepare(
    parts: tuple[Tensor, ...], setting: BootstrapSetting
) -> tuple[tuple[np.ndarray, ...], Rules, zero_surface.ZeroSurface]:
    rules = Rules(
        setting.noise == "adaptive",
        setting.error == "shared",
        setting.zeros == "rectified",
        np.float32(setting.noise != "absolute"),
    )
    tables = zero_surface.zero_surface(shared=rules.shared, adaptive=rules.adaptive)
    return tuple(part.contiguous().numpy() for part in parts), rules, tables


def _passes(
    work: Callable,
    inputs: tuple[np.ndarray, ...],
    rules: Rules,
    tables: zero_surface.ZeroSurface,
    status: np.ndarray,
    *results: np.ndarray,
) -> Iterator[list]:
    """Work on all entries, then on those again whose tables were missing; gives what comes out."""
    chosen = np.arange(len(status))
    while len(chosen):
        missing = np.zeros(tables.slabs.shape, np.bool_)
        arguments = inputs, tables.slabs, tables.values, missing, rules, *results, status
        yield spread(lambda own, some=chosen, rest=arguments: work(some[own], *rest), len(chosen))
        if missing.any():
            tables.compute(np.argwhere(missing))
        chosen = np.flatnonzero(status == zero_lookup.MISSING)


def _unfit(status: np.ndarray) -> Tensor:
    return torch.from_numpy(np.flatnonzero(status == zero_lookup.UNFIT))


def uses_native(entries: Tensor) -> bool:
    """Tell whether the compiled loops are for entries of this kind."""
    return entries.dtype == torch.float32 and entries.device.type == "cpu"


def spread(work: Callable[[slice], Any], count: int) -> list:
    """Work on slices of so many entries in as many threads as torch has; results in order."""
    chunks = [slice(start, start + _CHUNK) for start in range(0, count, _CHUNK)]
    if min(len(chunks), torch.get_num_threads()) <= 1:
        return [work(chunk) for chunk in chunks]
    return list(_threads(torch.get_num_threads()).map(work, chunks))


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="exvae")


def stamp_of(modules: Iterable[ModuleType]) -> str:
    """Digest of the source files of modules."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()


# numba looks at one source file to tell whether what it has stored is still good, and at the
# variables of the enclosing function: there the stamp stands for the other files.


@cache
def _compiled() -> Callable:
    """Compile :func:`~.native_sums.sum_chunk`, or load what was compiled from the same sources."""
    stamp = stamp_of(SOURCES)

    @numba.njit(nogil=True, cache=True)
    def sum_chunk(chosen, inputs, slabs, values, missing, rules, results, status):
        assert stamp
        native_sums.sum_chunk(chosen, inputs, slabs, values, missing, rules, results, status)

    return sum_chunk


@cache
def _compiled_nodes() -> Callable:
    """Do the same with :func:`~.native_sums.place_chunk`."""
    stamp = stamp_of(SOURCES)

    @numba.njit(nogil=True, cache=True)
    def place_chunk(chosen, inputs, slabs, values, missing, rules, status):
        assert stamp
        return native_sums.place_chunk(chosen, inputs, slabs, values, missing, rules, status)

    return place_chunk
