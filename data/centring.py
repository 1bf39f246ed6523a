"""Bootstraps that scatter around the estimates, or around something else.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from .cell_matrices import SparseSummary

# Share of reads that may be displaced, see `allowed_offset`. Among 1740 cells quantified without
# kallisto --bias the worst has 0.0006 with 20 bootstraps and 0.02 with 5, at most about half of the
# allowed share.
_DISPLACED_SHARE = 1e-3
# Isoforms, reads and bootstraps of a cell; fewer may be drawn alike by chance.
FEW_ISOFORMS, FEW_READS, FEW_BOOTSTRAPS = 2, 20, 3
# Share of cells that may be off centre by chance.
_MANY = 0.05

Values = TypeVar("Values", bound="np.ndarray | csr_matrix")


def allowed_offset(estimates: Values, sd: Values) -> Values:
    """Give the distance of a mean bootstrap from its estimate (reads) that says nothing.

    Ambiguous isoforms have biases within three standard deviations of a bootstrap, and text has six
    digits. All have the same shape, dense or sparse.
    """
    return 3 * sd + 1e-5 * estimates


def is_centred(displaced: np.ndarray | float, num_bootstraps: np.ndarray | int) -> np.ndarray:
    """Tell whether bootstraps scatter around the estimates.

    Few bootstraps leave their scatter uncertain, so that more is allowed.

    Parameters
    ----------
    displaced
        Share of the reads by which mean bootstraps miss the estimates, beyond the allowed offset.
    num_bootstraps
        Number of bootstraps.
    """
    return displaced <= np.maximum(_DISPLACED_SHARE, 1 / np.maximum(num_bootstraps, 1) ** 2)


def told_off_centre(
    counts: csr_matrix, summary: SparseSummary, num_bootstraps: np.ndarray, names: np.ndarray
) -> str | None:
    """Describe cells whose bootstraps do not scatter, or not around the counts; None if few.

    Parameters
    ----------
    counts
        Estimated counts (reads), shape (cells, isoforms).
    summary
        Statistics of the bootstraps (reads) of the same cells.
    num_bootstraps, names
        Number of bootstraps and name of each cell, shape (cells,).
    """
    centring = Centring()
    centring.add(counts, summary, num_bootstraps)
    return centring.told(names)


class Centring:
    """Measures how far bootstraps lie from the counts, some cells at a time."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, ...]] = []

    def add(self, counts: csr_matrix, summary: SparseSummary, num_bootstraps: np.ndarray) -> None:
        """Take the next cells; arguments as for :func:`told_off_centre`."""
        displaced, ratio = _displaced(counts, summary, num_bootstraps)
        still = _are_the_same(summary, num_bootstraps)
        self._parts.append((displaced, ratio, ~is_centred(displaced, num_bootstraps), still))

    def told(self, names: np.ndarray) -> str | None:
        """Describe the cells, of these names, shape (cells,), as :func:`told_off_centre`."""
        if not self._parts:
            return None
        displaced, ratio, off, still = map(np.concatenate, zip(*self._parts, strict=True))
        return _told(displaced, ratio, off, still, names)


def _told(
    displaced: np.ndarray, ratio: np.ndarray, off: np.ndarray, still: np.ndarray, names: np.ndarray
) -> str | None:
    """Describe cells by measures of each, shape (cells,)."""
    start = "in {} of {} cells, {}, the bootstraps"
    if still.mean() > _MANY:
        where = start.format(still.sum(), len(still), f"the first {names[still.argmax()]}")
        return (
            f"{where} are all the same, so that intervals will have no width; put bootstraps of "
            "one run in the layers infRep, neither copies of the estimates nor runs with one seed"
        )
    if off.mean() <= _MANY:
        return None
    where = start.format(off.sum(), len(off), f"most in {names[displaced.argmax()]}")
    if not ratio[off].any():
        return (
            f"{where} are all zero, as if they had not been written; put the bootstraps in the "
            "layers infRep"
        )
    return (
        f"{where} are not centred on X (they hold {np.median(ratio[off]):.3g} times its reads), so "
        "that intervals will be wrong; X needs the estimated counts, and the layers infRep the "
        "bootstraps of the same run, unscaled (no TPM, no scaleInfReps, no kallisto --bias)"
    )


def _are_the_same(summary: SparseSummary, num_bootstraps: np.ndarray) -> np.ndarray:
    """Tell which cells have bootstraps that are all the same, not by chance, shape (cells,).

    Few reads, or reads of one isoform, may be drawn alike.
    """
    number = np.repeat(num_bootstraps, np.diff(summary.indptr))
    varies = (summary.positives < number) | (summary.sum_of_squares > 0)
    reads, moving = (
        np.diff(np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])[summary.indptr])
        for values in (summary.mean, varies)
    )
    isoforms = np.diff(summary.indptr)
    enough = (num_bootstraps >= FEW_BOOTSTRAPS) & (isoforms >= FEW_ISOFORMS)
    return (moving == 0) & enough & (reads >= FEW_READS)


def _displaced(
    counts: csr_matrix, summary: SparseSummary, num_bootstraps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Measure the displaced share of the reads, and the reads of a bootstrap over the counts.

    Both have shape (cells,). A single bootstrap tells of no scatter: its cell has the share 0.
    """
    number = np.repeat(num_bootstraps, np.diff(summary.indptr)).astype(np.float64)
    positives, values = (part.astype(np.float64) for part in (summary.positives, summary.mean))
    mean = summary.matrix("mean", counts.shape[1]).astype(np.float64)
    sd = mean.copy()
    mean.data = positives * values / np.maximum(number, 1)
    # Stored sums of squares are centred at the mean of the positive bootstraps, not of all.
    squares = summary.sum_of_squares + positives * values * (values - mean.data)
    sd.data = np.sqrt(squares / np.maximum(number - 1, 1))
    excess = abs(mean - counts) - allowed_offset(counts, sd)
    excess.data = np.maximum(excess.data, 0.0)
    reads = np.asarray(counts.sum(1, dtype=np.float64)).ravel()
    share, drawn = (np.asarray(part.sum(1)).ravel() / reads for part in (excess, mean))
    return np.where(num_bootstraps > 1, share, 0.0), drawn
