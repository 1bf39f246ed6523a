"""How often posteriors of expression hold the truth, and how far they are from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ...models.distributions.count_posterior import CountPosterior
from ...models.distributions.posteriors import SampledPosterior

# Central intervals of which the coverage is measured, and the one whose width is.
COVERAGES = (0.5, 0.8, 0.95)
WIDTH_OF = 0.8
# Entries whose mean bootstrap (reads) is above this are expressed.
EXPRESSED = 2.0
# Groups of entries of like expression.
_GROUPS = 10


class Calibration:
    """Collects posteriors of entries, block by block, beside the truth."""

    def __init__(self) -> None:
        self.parts: list[dict[str, np.ndarray]] = []
        # Of the ranks of zeros, the same in every evaluation.
        self.generator = np.random.default_rng(0)

    def add(
        self, posterior: CountPosterior | SampledPosterior, truth: Tensor, expressed: Tensor
    ) -> None:
        """Take in entries.

        Parameters
        ----------
        posterior
            Of their expression, batch shape (cells, isoforms).
        truth
            Expected counts (reads), shape (cells, isoforms).
        expressed
            Which entries are expressed, shape (cells, isoforms), bool.
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

    def figures(self) -> dict[str, Any]:
        """Sum up.

        Returns
        -------
        dict
            ``coverage``: how often central intervals hold the truth, of expressed entries, by
            level. ``coverage_all``: how often the rank of the truth in its posterior lies in the
            central part, of all entries; that of a truth below half a read is drawn at random from
            the ranks of such values. ``coverage_by_tenth``: the same within each tenth of the
            entries by their posterior mean of log1p, lowest first. ``interval_width``: median width
            of the 80 % interval on log1p scale, of expressed entries. ``rmse_log1p``: root mean
            squared error of the posterior mean of log1p, of all entries.
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
