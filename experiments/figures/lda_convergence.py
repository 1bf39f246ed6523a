"""Held-out loss against steps and against seconds, exchangeable and fixed-length guide."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from ..drawing.figures import draw_bands, finish, label, panels, style_of
from . import lda_runs
from .lda_runs import EXCHANGEABLE, FIXED_LENGTH
from .workshop import Workshop

_GUIDES = (EXCHANGEABLE, FIXED_LENGTH)


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure; columns ``corpus``, ``guide``, ``seed`` and those of the history of a run."""
    tables = [
        lda_runs.run(workshop, name, guide, seed).history.assign(
            corpus=name, guide=guide, seed=seed
        )
        for name in lda_runs.corpora_of(workshop)
        # Turn by turn, so that a machine that slows down does so for both.
        for seed in lda_runs.seeds_of(workshop, name)
        for guide in _GUIDES
    ]
    return pd.concat(tables, ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Draw medians and ranges over seeds against steps, and every seed against seconds."""
    corpora = list(table["corpus"].unique())
    figure, axes = panels(len(corpora), 2)
    y = "held-out loss (nats per token)"
    for (left, right), corpus in zip(axes, corpora, strict=True):
        own = table[table["corpus"] == corpus]
        draw_bands(left, own, "steps", "held_out_loss", "guide", _GUIDES)
        label(left, f"{corpus}, by steps", "training steps", y)
        for number, guide in enumerate(_GUIDES):
            style = {**style_of(number), "marker": None}
            for seed, run in own[own["guide"] == guide].groupby("seed"):
                name = guide if seed == own["seed"].min() else None
                right.plot(run["seconds"], run["held_out_loss"], label=name, **style)
        label(right, f"{corpus}, by seconds", "training time (seconds)", y)
    return finish(figure)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Give the last loss, and how long it took to reach what the worse guide reaches at last."""
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
