"""Counts in bins that are fixed beforehand, so that data can pass by block by block."""

from __future__ import annotations

import numpy as np


class LogBins:
    """Bins of equal width on a logarithmic scale; values beyond the ends count in the outer bins.

    Parameters
    ----------
    first, last
        Decades at which the bins begin and end: ``-2, 5`` for 0.01 to 100 000.
    per_decade
        Bins per decade.
    """

    def __init__(self, first: int, last: int, per_decade: int) -> None:
        self.first = first
        self.per_decade = per_decade
        self.size = (last - first) * per_decade

    @property
    def edges(self) -> np.ndarray:
        """Ends of the bins, shape (bins + 1,)."""
        return 10.0 ** (self.first + np.arange(self.size + 1) / self.per_decade)

    @property
    def centres(self) -> np.ndarray:
        """Geometric centres, shape (bins,)."""
        return np.sqrt(self.edges[:-1] * self.edges[1:])

    def places(self, values: np.ndarray) -> np.ndarray:
        """Bin of each value, in the shape of the values; values up to 0 are in the first."""
        smallest = 10.0**self.first
        logs = np.log10(np.maximum(values, smallest))
        places = np.floor((logs - self.first) * self.per_decade).astype(np.int64)
        return places.clip(0, self.size - 1)

    def sums(self, values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Count values, shape (values,), in each bin, or add up their weights; shape (bins,)."""
        return np.bincount(self.places(values), weights, self.size).astype(np.float64)

    def quantile(self, counts: np.ndarray, level: float) -> float:
        """Quantile of counted values, to the width of a bin; NaN if there are none.

        Parameters
        ----------
        counts
            Values in each bin, shape (bins,).
        level
            Between 0 and 1.
        """
        total = counts.sum()
        if total == 0:
            return float("nan")
        return float(self.centres[np.searchsorted(counts.cumsum(), level * total)])


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide arrays of equal shape; NaN where the denominator is not positive."""
    missing = np.full(np.shape(denominator), np.nan)
    return np.divide(numerator, denominator, out=missing, where=np.asarray(denominator) > 0)
