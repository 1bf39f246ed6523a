"""Gamma draws on all cores; torch uses one and takes several times as long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

# Draws per generator; the result does not depend on the number of threads.
_CHUNK = 1 << 20


def standard_gamma(concentration: Tensor) -> Tensor:
    """Draw from Gamma(concentration, 1), without gradients, of the shape of ``concentration``.

    On the CPU numpy draws, on as many threads as torch has, seeded by torch's generator.
    """
    if not concentration.is_cpu:
        return torch._standard_gamma(concentration)
    shapes = concentration.detach().contiguous().flatten().numpy()
    drawn = np.empty_like(shapes)
    seed = int(torch.randint(1 << 62, ()))

    def fill(start: int) -> None:
        own = slice(start, start + _CHUNK)
        generator = np.random.Generator(np.random.SFC64([seed, start]))
        generator.standard_gamma(shapes[own], dtype=shapes.dtype, out=drawn[own])

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for _ in pool.map(fill, range(0, len(shapes), _CHUNK)):
            pass  # raises the error of a thread
    return torch.from_numpy(drawn).view_as(concentration)
