"""Pictures of the training of any model."""

from __future__ import annotations

import re
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from ...data.errors import DataError
from .style import BLUE, ORANGE, new_figure

_TIMES = {"seconds": "training time (seconds)", "epoch": "epoch"}


class _Quantity(NamedTuple):
    """A quantity measured after each epoch: its axis label, and the columns drawn together."""

    name: str
    curves: dict[str, str]
    logarithmic: bool = False


def draw_training(metrics: pd.DataFrame) -> Figure:
    """Draw loss and, where it is measured, perplexity against training time and epochs.

    Parameters
    ----------
    metrics
        Table of :func:`~exvae.experiments.fitting.fits.read_metrics`, a row for each epoch:
        ``epoch``, ``seconds``, and any of ``loss_per_UNIT``, ``held_out_loss_per_UNIT`` (nats),
        ``perplexity`` and ``perplexity_amortised`` (of held-out words).

    Returns
    -------
    matplotlib.figure.Figure
        A row of axes for each quantity, a column for seconds and one for epochs.

    Raises
    ------
    DataError
        If there is no quantity, as without ``metrics.csv``.
    """
    quantities = _quantities(metrics)
    if not quantities:
        raise DataError("there are no metrics to draw; was the metrics.csv of the fit removed?")
    figure, axes = new_figure(
        len(quantities), len(_TIMES), width=4.5, height=3.4, sharex="col", sharey="row"
    )
    for row, quantity in zip(axes, quantities, strict=True):
        for axis, time in zip(row, _TIMES, strict=True):
            _draw_curves(axis, metrics, time, quantity.curves)
        row[0].set_ylabel(quantity.name)
        row[-1].legend(frameon=False)
        if quantity.logarithmic:
            _show_plain_numbers(row[0])
    for axis, x in zip(axes[-1], _TIMES.values(), strict=True):
        axis.set_xlabel(x)
    axes[-1, -1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw_quantity(metrics: pd.DataFrame, name: str, axis: Axes) -> Axes:
    """Draw one quantity against epochs on given axes.

    Parameters
    ----------
    metrics
        As for :func:`draw_training`.
    name
        ``loss`` or ``perplexity``.
    axis
        The axes.

    Raises
    ------
    DataError
        If the metrics do not hold the quantity.
    """
    known = {quantity.name.split()[0]: quantity for quantity in _quantities(metrics)}
    if name not in known:
        raise DataError(f"quantity is {name!r}; choose one of {', '.join(known) or 'none'}")
    quantity = known[name]
    _draw_curves(axis, metrics, "epoch", quantity.curves)
    axis.set_ylabel(quantity.name)
    axis.set_xlabel(_TIMES["epoch"])
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(frameon=False)
    if quantity.logarithmic:
        _show_plain_numbers(axis)
    return axis


def _draw_curves(axis: Axes, metrics: pd.DataFrame, time: str, curves: dict[str, str]) -> None:
    for (column, name), colour in zip(curves.items(), (BLUE, ORANGE), strict=False):
        axis.plot(metrics[time], metrics[column], ".-", color=colour, label=name)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.3)


def _quantities(metrics: pd.DataFrame) -> list[_Quantity]:
    """List the quantities that these metrics hold."""
    found = [
        _Quantity(
            f"loss (nats per {unit.group(1)})",
            {f"loss_per_{unit.group(1)}": "training", f"held_out_{unit.group(0)}": "held out"},
        )
        for unit in map(re.compile(r"loss_per_(\w+)").fullmatch, metrics)
        if unit
    ]
    perplexities = {"perplexity": "refined", "perplexity_amortised": "amortised"}
    found.append(_Quantity("perplexity of held-out words", perplexities, logarithmic=True))
    known = (
        each._replace(curves={key: name for key, name in each.curves.items() if key in metrics})
        for each in found
    )
    return [each for each in known if each.curves]


def _show_plain_numbers(axis: Axes) -> None:
    """Make y logarithmic, with whole numbers at round ticks, as it often spans no decade."""
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axis.yaxis.set_major_formatter("{x:.0f}")
    axis.yaxis.set_minor_formatter(NullFormatter())
