"""What encoders read of the vectors of cells: logarithms, averaged over a cell, some hidden."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..data import shares
from ..data.compiled_loops import suits_loops
from .sets import pool

# Seeds of a cell are below.
_SEEDS = 1 << 62


def log1p_at(vectors: Tensor, reads: Tensor | None) -> Tensor:
    """Give log1p of vectors (reads), shape (elements, isoforms).

    Parameters
    ----------
    vectors
        Shape (elements, isoforms).
    reads
        Library size to which each vector is scaled, at least one read being there; None leaves
        vectors as they are.
    """
    if reads is not None:
        vectors = vectors * (reads / vectors.sum(-1, keepdim=True).clamp(min=1.0))
    return vectors.log1p()


def mean_log1p(vectors: Tensor, offsets: Tensor, reads: Tensor | None) -> Tensor:
    """Average :func:`log1p_at` over the vectors of each cell, shape (cells, isoforms).

    Parameters
    ----------
    vectors, reads
        As for :func:`log1p_at`.
    offsets
        Bounds of the cells' vectors, shape (cells + 1,), int64.
    """
    if _is_plain(vectors):
        from .compiled_inputs import mean_log1p as compiled  # loads numba

        return compiled(vectors, offsets, None if reads is None else float(reads))
    rows = torch.arange(len(vectors), device=vectors.device)
    return pool(log1p_at(vectors, reads), rows, offsets, "mean")


def hidden(values: Tensor, share: float) -> Tensor:
    """Set a random share of the values of each cell to zero, as dropout does: the others grow.

    Values of shape (cells, isoforms) may change in place.
    """
    with shares.drawing():
        if not _is_plain(values):
            return functional.dropout(values, share)
        from .compiled_inputs import hide  # loads numba

        # Numbers of one cell follow from its seed, so that processes that share a minibatch need
        # not draw those of all its cells.
        return hide(values, torch.randint(_SEEDS, (len(values),)), share)


def _is_plain(values: Tensor) -> bool:
    """Whether compiled loops can take the place of torch's functions."""
    return values.dtype == torch.float32 and not values.requires_grad and suits_loops(values)
