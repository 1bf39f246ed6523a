"""Held-out loss against steps and seconds, exchangeable and fixed-length guide."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..drawing.bands import draw_bands
from ..drawing.style import label, style_of
from . import lda_runs
from .lda_rows import draw_corpora
from .lda_runs import EXCHANGEABLE, FIXED_LENGTH
from .workshop import Workshop

_GUIDES = (EXCHANGEABLE, FIXED_LENGTH)


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure; columns ``corpus``, ``guide``, ``seed`` and the columns of a run's history."""
    tables = [
        lda_runs.run(workshop, name, guide, seed).history.assign(
            corpus=name, guide=guide, seed=seed
        )
        for name in lda_runs.corpora_of(workshop)
        # Guides take turns, so that a machine that slows down does so for both.
        for seed in lda_runs.seeds_of(workshop, name)
        for guide in _GUIDES
    ]
    return pd.concat(tables, ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Draw medians and ranges over seeds against steps, and every seed against seconds."""
    return draw_corpora(table, _draw_corpus)


def _draw_corpus(left: Axes, right: Axes, corpus: str, table: pd.DataFrame) -> None:
    y = "held-out loss (nats per token)"
    draw_bands(left, table, "steps", "held_out_loss", "guide", _GUIDES)
    label(left, f"{corpus}, by steps", "training steps", y)
    for number, guide in enumerate(_GUIDES):
        style = {**style_of(number), "marker": None}
        for seed, run in table[table["guide"] == guide].groupby("seed"):
            name = guide if seed == table["seed"].min() else None
            right.plot(run["seconds"], run["held_out_loss"], label=name, **style)
    label(right, f"{corpus}, by seconds", "training time (seconds)", y)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Give the last loss, and steps and seconds to the last loss of the worse guide."""
    found = {}
    for corpus, of_corpus in table.groupby("corpus"):
        last = of_corpus[of_corpus["epoch"] == of_corpus["epoch"].max()]
        medians = last.groupby("guide")["held_out_loss"].median()
        reached = of_corpus[of_corpus["held_out_loss"] <= medians.max()]
        for guide in _GUIDES:
            found[f"{corpus}, {guide}: last held-out loss, median (nats per token)"] = medians[
                guide
            ]
            first = reached[reached["guide"] == guide].groupby("seed")[["steps", "seconds"]].min()
            for column in first:
                name = f"{corpus}, {guide}: {column} to a loss of {medians.max():.3f}, median"
                found[name] = first[column].median()
    return {name: float(value) for name, value in found.items()}
