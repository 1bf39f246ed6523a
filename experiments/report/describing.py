"""What was fitted, and how training went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .contents import Fact, number
from .encoding import rounded

# Digests mean nothing to readers.
_LEFT_OUT = frozenset(("fingerprint", "genes", "options"))
_HEADINGS = {
    "model": "Model and guide",
    "data": "Data",
    "training": "Training",
    "split": "Held-out data",
    "versions": "Versions",
}
# Columns of metrics.csv by panel: name of the curve, and of its axis.
_CURVES = {
    "loss_per_cell": ("training", "loss (nats per cell)"),
    "held_out_loss_per_cell": ("held-out cells", "loss (nats per cell)"),
    "loss_per_token": ("training", "loss (nats per word)"),
    "perplexity": ("held-out documents", "perplexity"),
    "perplexity_amortised": ("held-out, amortised", "perplexity"),
}


def facts_of(
    config: Mapping[str, Any], options: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, list[Fact]]:
    """Tables on a fit.

    Parameters
    ----------
    config
        Content of ``config.json``.
    options
        Values of all options of model, decoder and guide by name, defaults included.
    more
        Further rows on the data.
    """
    tables = {}
    for part, heading in _HEADINGS.items():
        values = dict(config.get(part) or {})
        if part == "data":
            values |= more
        if part == "model":
            values |= {name: own for name, own in options.items() if name not in values}
        tables[heading] = [
            Fact(name.replace("_", " "), _written(own))
            for name, own in values.items()
            if name not in _LEFT_OUT or name in more
        ]
    return {heading: rows for heading, rows in tables.items() if rows}


def named_guide(config: Mapping[str, Any], guide: object) -> dict[str, Any]:
    """Content of ``config.json`` with the class of the guide where the model chose it."""
    model = {**config["model"], "guide": config["model"]["guide"] or type(guide).__name__}
    return {**config, "model": model}


def _written(value: Any) -> str:
    """Write a value of a configuration."""
    if value is None or value in ("", [], (), [""]):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value) if abs(value) >= 1e-3 or value == 0 else f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={own}" for name, own in value.items())
    return getattr(value, "__name__", None) or str(value)


def curves_of(history: pd.DataFrame) -> list[dict[str, Any]]:
    """Curves of training: ``name``, ``axis``, ``x`` (epochs) and ``y`` of each.

    Parameters
    ----------
    history
        A row for each epoch, as in ``metrics.csv``.
    """
    return [
        {
            "name": name,
            "axis": axis,
            "x": history["epoch"].astype(int).tolist(),
            "y": rounded(history[column], 6),
        }
        for column, (name, axis) in _CURVES.items()
        if column in history
    ]


def progress_of(history: pd.DataFrame) -> str:
    """Sentence on the progress of training: epochs, and the best of them if data were held out."""
    if history.empty:
        return "Training has not completed an epoch."
    told = f"Trained {number(len(history))} epochs"
    if "seconds" in history:
        told += f" in {history['seconds'].iloc[-1]:.3g} seconds"
    for column in ("held_out_loss_per_cell", "perplexity"):
        if column in history and history[column].notna().any():
            best = history.loc[history[column].idxmin()]
            axis = column.replace("_", " ")
            told += f"; the {axis} was lowest ({best[column]:.4g}) after epoch {int(best['epoch'])}"
    return told + "."
