"""Coverage and accuracy of posteriors of expression."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ...data.count_posterior import CountPosterior
from ...data.posteriors import SampledPosterior

# Levels of the central intervals whose coverage is measured, and level of the measured width.
COVERAGES = (0.5, 0.8, 0.95)
WIDTH_OF = 0.8
# Expressed entries have a mean bootstrap (reads) above this.
EXPRESSED = 2.0
# Number of groups of entries by expression.
_GROUPS = 10


class Calibration:
    """Collects posteriors of entries and the truth, block by block."""

    def __init__(self) -> None:
        self.parts: list[dict[str, np.ndarray]] = []
        # Draws ranks of zeros, the same in every evaluation.
        self.generator = np.random.default_rng(0)

    def add(
        self, posterior: CountPosterior | SampledPosterior, truth: Tensor, expressed: Tensor
    ) -> None:
        """Add entries.

        Parameters
        ----------
        posterior
            Posterior of expression (reads), batch shape (cells, isoforms).
        truth
            Expected counts (reads), shape (cells, isoforms).
        expressed
            Whether entries are expressed, shape (cells, isoforms), bool.
        """
        ends = [0.5 + side * level / 2 for level in COVERAGES for side in (-1, 1)]
        low, high = posterior.quantile(ends).unflatten(0, (-1, 2)).unbind(1)
        width = COVERAGES.index(WIDTH_OF)
        below, up_to = posterior.rank(truth)
        log1p = posterior.log1p_mean
        part = {
            "inside": ((low <= truth) & (truth <= high)).flatten(1),
            "width": (high[width].log1p() - low[width].log1p()).flatten(),
            "below": below.flatten(),
            "up_to": up_to.flatten(),
            "log1p": log1p.flatten(),
            "error": (log1p - truth.log1p()).flatten(),
            "expressed": expressed.flatten(),
        }
        self.parts.append({name: values.cpu().numpy() for name, values in part.items()})

    def extend(self, others: Calibration) -> None:
        """Take the entries of other cells."""
        self.parts += others.parts

    def figures(self) -> dict[str, Any]:
        """Compute coverage and accuracy of all entries.

        Returns
        -------
        dict
            ``coverage``: share of expressed entries whose central interval holds the truth, by
            level. ``coverage_all``: share of all entries whose true rank in the posterior is
            central; if the truth is below half a read the rank is drawn at random from the ranks of
            such values. ``coverage_by_tenth``: the same within each tenth of the entries by
            posterior mean of log1p, lowest first. ``interval_width``: median width of the 80 %
            interval of expressed entries on log1p scale. ``rmse_log1p``: root mean squared error of
            the posterior mean of log1p, all entries.
        """
        entries = {
            name: np.concatenate([part[name] for part in self.parts], -1) for name in self.parts[0]
        }
        below, up_to = entries["below"], entries["up_to"]
        rank = below + self.generator.random(below.shape) * (up_to - below)
        central = [np.abs(rank - 0.5) <= level / 2 for level in COVERAGES]
        order = np.argsort(entries["log1p"], kind="stable")
        expressed = entries["expressed"]
        some = expressed.any()
        return {
            "coverage": _by_level(entries["inside"][:, expressed].mean(1) if some else [0.0] * 3),
            "coverage_all": _by_level([inside.mean() for inside in central]),
            "coverage_by_tenth": _by_level(
                [
                    [float(group.mean()) for group in np.array_split(inside[order], _GROUPS)]
                    for inside in central
                ]
            ),
            "interval_width": float(np.median(entries["width"][expressed])) if some else 0.0,
            "rmse_log1p": float(np.sqrt(np.mean(entries["error"].astype(np.float64) ** 2))),
        }


def _by_level(values: Any) -> dict[str, Any]:
    return {
        str(level): value if isinstance(value, list) else float(value)
        for level, value in zip(COVERAGES, values, strict=True)
    }
