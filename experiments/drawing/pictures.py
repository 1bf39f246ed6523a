"""Pictures of a topic model: its topics, and how it got there."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import LogLocator, NullFormatter  # noqa: E402

from ..fitting.fits import write_atomically  # noqa: E402

# Okabe & Ito's colours, told apart also by the colour-blind.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#666666"
_COLUMNS = 5


def save(figure: Figure, path: Path) -> None:
    """Write a PNG and close the figure."""
    write_atomically(path, lambda target: figure.savefig(target, dpi=120))
    plt.close(figure)


def logarithmic(axis: Axes, which: str) -> None:
    """Make the axis ``x`` or ``y`` logarithmic, with numbers also where it spans no decade."""
    axis.set(**{f"{which}scale": "log"})
    low, high = sorted(getattr(axis, f"get_{which}lim")())
    decades = np.log10(high / low) if low > 0 else np.inf
    chosen = getattr(axis, f"{which}axis")
    if decades < 3:
        chosen.set_major_locator(LogLocator(subs=(1, 2, 5) if decades > 1 else range(1, 10)))
        chosen.set_major_formatter("{x:g}")
    chosen.set_minor_formatter(NullFormatter())


def draw_topics(words: pd.DataFrame, path: Path) -> None:
    """Draw each topic as bars of its top words, most used topic first.

    Parameters
    ----------
    words
        Of :func:`~exvae.experiments.lda.fitting.top_words`.
    path
        Of the PNG.
    """
    topics = words["topic"].unique()
    columns = min(_COLUMNS, len(topics))
    rows = -(-len(topics) // columns)
    height = 0.5 + 0.17 * words["rank"].max()
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.6 * columns, height * rows + 0.4), squeeze=False, sharex=True
    )
    for axis, topic in zip(axes.flat, topics, strict=False):
        table = words[words["topic"] == topic]
        axis.barh(table["rank"], table["probability"], color=BLUE)
        axis.set_yticks(table["rank"], table["word"], fontsize=8)
        axis.invert_yaxis()
        share = table["weight"].iloc[0]
        axis.set_title(f"topic {topic} ({share:.1%} of words)", fontsize=9)
        axis.tick_params(axis="x", labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(topics) :]:
        axis.set_axis_off()
    figure.supxlabel("probability of the word in the topic", fontsize=9)
    figure.tight_layout()
    save(figure, path)


def draw_training(metrics: pd.DataFrame, path: Path) -> None:
    """Draw perplexity and loss against the seconds of training.

    Parameters
    ----------
    metrics
        Of :func:`~exvae.experiments.fitting.fits.read_metrics`.
    path
        Of the PNG.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.4))
    for column, label, colour in (
        ("perplexity", "refined", BLUE),
        ("perplexity_amortised", "amortised", ORANGE),
    ):
        if column in metrics:
            left.plot(metrics["seconds"], metrics[column], ".-", color=colour, label=label)
    if left.lines:
        left.legend(frameon=False)
        left.set_yscale("log")
        left.yaxis.set_major_formatter("{x:.0f}")
        left.yaxis.set_minor_formatter("{x:.0f}")
        left.tick_params(axis="y", which="both", labelsize=8)
    else:
        left.text(0.5, 0.5, "no documents held out", ha="center", transform=left.transAxes)
    left.set_ylabel("perplexity of held-out words")
    right.plot(metrics["seconds"], metrics["loss_per_token"], ".-", color=GREEN)
    right.set_ylabel("loss (nats per token)")
    for axis in (left, right):
        axis.set_xlabel("training time (seconds)")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    save(figure, path)
