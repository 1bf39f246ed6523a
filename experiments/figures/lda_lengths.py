"""Test documents of other lengths than the training documents, for any guides."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from ..drawing.bands import draw_bands
from ..drawing.style import GREY, label, logarithmic, new_figure, show_legends
from . import lda_runs
from .lda_runs import SIMULATED
from .workshop import Workshop

# Steps of coordinate ascent after which the loss counts as the best that refinement reaches.
_CONVERGED = 50


def lengths_of(workshop: Workshop) -> list[int]:
    """Words of test documents: five, half as many as in training, as many, double, a thousand."""
    same = lda_runs.sizes_of(workshop).length
    return sorted({5, same // 2, same, 2 * same, workshop.choose(1000, 100)})


def measure_lengths(workshop: Workshop, guides: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Measure the losses of guides on documents of other lengths.

    Parameters
    ----------
    workshop
        The run.
    guides
        Guide and pooling, by the name in the figure.

    Returns
    -------
    pandas.DataFrame
        Columns ``guide``, ``seed``, ``length`` and ``trained_on`` (words of a document), ``loss``
        of amortised inference and ``reachable`` loss after refinement (nats per token).
    """
    sizes = lda_runs.sizes_of(workshop)
    same = sizes.length
    rows = []
    for seed in workshop.seeds:
        for name, (guide, pooling) in guides.items():
            fit = lda_runs.run(workshop, SIMULATED, guide, seed, pooling).fit
            for length in lengths_of(workshop):
                test = lda_runs.test_documents(workshop, length)
                loss, reachable = (
                    lda_runs.negative_log_likelihood(
                        fit.guide, test, steps=steps, num_samples=sizes.samples
                    )
                    for steps in (0, _CONVERGED)
                )
                rows.append((name, seed, length, same, loss, reachable))
    columns = ["guide", "seed", "length", "trained_on", "loss", "reachable"]
    return pd.DataFrame(rows, columns=columns)


def draw_lengths(table: pd.DataFrame) -> Figure:
    """Draw the loss, and its excess over the reachable loss with the same topics."""
    table = table.assign(excess=table["loss"] - table["reachable"])
    order = list(table["guide"].unique())
    figure, axes = new_figure(1, 2)
    titles = {"loss": "amortised", "excess": "excess over refinement"}
    for axis, (column, title) in zip(axes[0], titles.items(), strict=True):
        draw_bands(axis, table, "length", column, "guide", order)
        y = "negative log-likelihood (nats per token)"
        label(axis, title, "words of a test document", y)
        axis.axvline(table["trained_on"].iloc[0], color=GREY, linestyle=":", label="trained on")
        logarithmic(axis, "x")
    axes[0, 1].set_yscale("symlog", linthresh=0.01)
    axes[0, 1].margins(y=0.15)
    return show_legends(figure)


def summarise_lengths(table: pd.DataFrame) -> dict[str, float]:
    """Excess loss of amortised inference at each length, averaged over seeds."""
    excess = (table["loss"] - table["reachable"]).groupby([table["guide"], table["length"]]).mean()
    return {
        f"{guide}, {length} words: excess over refinement (nats per token)": float(value)
        for (guide, length), value in excess.items()
    }
