"""Simulated data sets beside one reference: curves, statistics and the files that hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from ..drawing.panels import Curve, Panel, tabulate
from ..drawing.saving import save, save_table


class View(NamedTuple):
    """How a kind of data sets is measured and drawn.

    Attributes
    ----------
    panels
        The panels.
    curves_of
        Gives a data set's curve for each panel, in their order.
    statistics_of
        Gives a data set's statistics by name.
    draw
        Draws the curves of the replicates of each kind of data, by the name of the kind.
    """

    panels: tuple[Panel, ...]
    curves_of: Callable[[Any], list[Curve]]
    statistics_of: Callable[[Any], dict[str, float]]
    draw: Callable[[Mapping[str, Sequence[Sequence[Curve]]]], Figure]


def write_comparison(
    view: View, simulated: Sequence[Any], reference: Any, name: str, path: Path
) -> pd.DataFrame:
    """Write the picture, its numbers and the statistics of simulated data beside a reference.

    Parameters
    ----------
    view
        How the data sets are measured and drawn.
    simulated
        At least two data sets of different seeds.
    reference
        The data set they are compared with.
    name
        Name of the reference in the picture.
    path
        The files without their endings: ``.png``, ``.csv`` and ``_statistics.csv`` are added.

    Returns
    -------
    pandas.DataFrame
        Table of :func:`compare_statistics`.

    Raises
    ------
    DataError
        If the folder cannot be written to.
    """
    data = {f"simulated, {len(simulated)} seeds": simulated, name: [reference]}
    curves = {kind: [view.curves_of(each) for each in own] for kind, own in data.items()}
    save(view.draw(curves), path.with_suffix(".png"))
    save_table(tabulate(view.panels, curves), path.with_suffix(".csv"))
    statistics = compare_statistics(
        [view.statistics_of(each) for each in simulated], view.statistics_of(reference)
    )
    save_table(statistics, path.with_name(f"{path.name}_statistics.csv"))
    return statistics


def compare_statistics(
    simulated: Sequence[Mapping[str, float]], reference: Mapping[str, float]
) -> pd.DataFrame:
    """Compare statistics of simulations, one for each seed, with the statistics of one data set.

    Returns
    -------
    pandas.DataFrame
        A row for each ``statistic``: ``reference``; ``simulated_mean`` and ``simulated_sd`` over
        seeds; ``z_score``, the distance of the reference from the mean in these standard
        deviations.
    """
    drawn = pd.DataFrame(simulated)
    table = pd.DataFrame(
        {
            "reference": pd.Series(reference),
            "simulated_mean": drawn.mean(),
            "simulated_sd": drawn.std(ddof=1),
        }
    )
    table["z_score"] = (table["reference"] - table["simulated_mean"]) / table["simulated_sd"]
    return table.rename_axis("statistic").reset_index()
