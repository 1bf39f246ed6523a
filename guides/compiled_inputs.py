"""Compiled loops of :mod:`exvae.guides.cell_inputs`, in which each value is read once or twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from torch import Tensor

from ..data import compiled_functions, special_functions
from ..data.compiled_functions import OPTIONS, SPLITMIX_STEP, log, mixed_bits, njit
from ..data.compiled_loops import spread, stamp_of

# Values (cells x isoforms) that a thread takes at a time, and isoforms whose factors stay in cache.
_TOGETHER, _BLOCK = 1 << 16, 1 << 10
# Factors 1 + x whose product is within float64, for x up to 1e18.
_FACTORS = 16
# Hidden values are told by so many bits each.
_BITS = 16


def mean_log1p(vectors: Tensor, offsets: Tensor, reads: float | None) -> Tensor:
    """See :func:`exvae.guides.cell_inputs.mean_log1p`."""
    found = vectors.new_empty(len(offsets) - 1, vectors.shape[1])
    arrays = vectors.detach().contiguous().numpy(), offsets.numpy(), found.numpy()
    loop = _loops()[0]
    _by_cells(found, lambda first, last: loop(*arrays, first, last, reads or 0.0))
    return found


def hide(values: Tensor, seeds: Tensor, share: float) -> Tensor:
    """See :func:`exvae.guides.cell_inputs.hidden`; seeds have shape (cells,), int64."""
    found = values.detach().contiguous()
    arrays = found.numpy(), seeds.numpy()
    limit, scale = round(share * (1 << _BITS)), 0.0 if share == 1 else 1 / (1 - share)
    loop = _loops()[1]
    _by_cells(found, lambda first, last: loop(*arrays, first, last, limit, np.float32(scale)))
    return found


def _by_cells(values: Tensor, work: Callable[[int, int], None]) -> None:
    """Work on cells, from a first one to a last one, those of values (cells, isoforms)."""
    cells = len(values)
    chunk = max(1, _TOGETHER // max(1, values.shape[1]))
    spread(lambda own: work(own.start, min(own.stop, cells)), cells, chunk)


@njit(**{**OPTIONS, "fastmath": {"contract", "nsz", "reassoc"}})
def _sum_of(vector):
    total = 0.0
    for i in range(len(vector)):
        total += np.float64(vector[i])
    return total


@cache
def _loops() -> tuple[Callable, Callable]:
    """Compile the loops, or load what was compiled from the same sources."""
    stamp = stamp_of([compiled_functions, special_functions])

    @njit(cache=True, **OPTIONS)
    def average(vectors, offsets, found, first, last, reads):
        assert stamp
        isoforms = vectors.shape[1]
        product, logarithm = np.empty(_BLOCK), np.empty(_BLOCK)
        for cell in range(first, last):
            start, stop = offsets[cell], offsets[cell + 1]
            factors = np.ones(stop - start)
            if reads > 0:
                for row in range(start, stop):
                    factors[row - start] = reads / max(_sum_of(vectors[row]), 1.0)
            for begin in range(0, isoforms, _BLOCK):
                width = min(_BLOCK, isoforms - begin)
                logarithm[:] = 0.0
                for group in range(start, stop, _FACTORS):
                    product[:] = 1.0
                    for row in range(group, min(group + _FACTORS, stop)):
                        factor = factors[row - start]
                        own = vectors[row, begin : begin + width]
                        for i in range(width):
                            product[i] *= 1 + np.float64(own[i]) * factor
                    for i in range(width):
                        logarithm[i] += log(product[i])
                target = found[cell, begin : begin + width]
                for i in range(width):
                    target[i] = logarithm[i] / (stop - start)

    @njit(cache=True, **OPTIONS)
    def hide(values, seeds, first, last, limit, scale):
        assert stamp
        mask = np.uint64((1 << _BITS) - 1)
        for cell in range(first, last):
            own, state = values[cell], np.uint64(seeds[cell])
            for begin in range(0, len(own), 64 // _BITS):
                bits = mixed_bits(state)
                state += np.uint64(SPLITMIX_STEP)
                for i in range(begin, min(begin + 64 // _BITS, len(own))):
                    own[i] = own[i] * scale if (bits & mask) >= np.uint64(limit) else np.float32(0)
                    bits >>= np.uint64(_BITS)

    return average, hide
