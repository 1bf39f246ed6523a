"""Statistics of data beside those of data that a fit has generated (Gelman, Meng & Stern, 1996).

For every statistic T of a whole data set the p-value is the share of replicated data sets that have
more of it, P(T(replicated) > T(observed)), ties by half. Near 0 or 1 the model does not know the
data in this respect. Where the latent variables of every datapoint are drawn anew from the prior,
the p-values of data that the model itself has generated are uniform; where they are drawn from
their posterior given the datapoint, they lie nearer to 1/2, and a check fails less easily.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from ..drawing.panels import Curve

# Where the latent variables of replicated datapoints come from.
LATENTS = ("posterior", "prior")
# Ends of the band of replicated curves.
BAND = (0.025, 0.975)


class DataStatistics(Protocol):
    """Statistics of one data set, observed or replicated, that grow block by block."""

    def scalars(self) -> dict[str, float]:
        """Give each statistic by its name, with its unit."""

    def curves(self) -> dict[str, Curve]:
        """Give x and y of each panel by its title; x is the same for all data sets."""


class Check(NamedTuple):
    """How observed data compare with replicated ones.

    Attributes
    ----------
    statistics
        A row for each: ``statistic``, ``observed``, ``replicated_mean``, ``replicated_sd``,
        ``p_value``.
    curves
        A row for each panel and x: ``panel``, ``x``, ``observed``, and ``low``, ``middle`` and
        ``high``, quantiles of the replicates at :data:`BAND` and 1/2.
    """

    statistics: pd.DataFrame
    curves: pd.DataFrame

    @property
    def p_values(self) -> dict[str, float]:
        """The p-values by statistic."""
        return dict(zip(self.statistics["statistic"], self.statistics["p_value"], strict=True))


def compare(observed: DataStatistics, replicated: Sequence[DataStatistics]) -> Check:
    """Compare one observed data set with replicated ones, at least two."""
    drawn = pd.DataFrame([each.scalars() for each in replicated])
    # Of too little data some cannot be computed.
    found = pd.Series(observed.scalars()).dropna()
    drawn = drawn[found.index]
    statistics = pd.DataFrame(
        {
            "observed": found,
            "replicated_mean": drawn.mean(),
            "replicated_sd": drawn.std(ddof=1),
            "p_value": [p_value(found[name], drawn[name].to_numpy()) for name in found.index],
        }
    )
    statistics = statistics.rename_axis("statistic").reset_index()
    return Check(statistics, _compare_curves(observed.curves(), [e.curves() for e in replicated]))


def p_value(observed: float, replicated: np.ndarray) -> float:
    """Share of replicates above what was observed, which itself counts as a tie.

    Ties count half, so that it is never 0 or 1, and uniform where all are of one distribution.
    """
    replicated = replicated[~np.isnan(replicated)]
    above = np.sum(replicated > observed) + 0.5 * np.sum(replicated == observed)
    return float((above + 0.5) / (len(replicated) + 1))


def _compare_curves(
    observed: Mapping[str, Curve], replicated: Sequence[Mapping[str, Curve]]
) -> pd.DataFrame:
    tables = []
    for panel, (x, y) in observed.items():
        # Bins in which a data set has nothing are missing and not counted.
        drawn = pd.DataFrame([curves[panel][1] for curves in replicated])
        low, middle, high = (drawn.quantile(level) for level in (BAND[0], 0.5, BAND[1]))
        table = pd.DataFrame(
            {"panel": panel, "x": x, "observed": y, "low": low, "middle": middle, "high": high}
        )
        tables.append(table.dropna(subset=["observed", "middle"], how="all"))
    return pd.concat(tables, ignore_index=True)
