"""Pictures of topic proportions: of single documents, or of the documents of each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import BLUE, GREY, hide_unused, label, new_figure

_COLUMNS = 5
# End of the axis of proportions, as a multiple of the largest.
_MARGIN = 1.05
_PROPORTION = "proportion of the topic"


class Proportions(NamedTuple):
    """Topic proportions of a document, or of several.

    Attributes
    ----------
    mean
        Shape (topics,).
    ends
        Lower and upper ends of intervals, shape (topics,); None draws none.
    """

    mean: np.ndarray
    ends: tuple[np.ndarray, np.ndarray] | None

    @property
    def most(self) -> float:
        """Largest value that is drawn."""
        return float(max(self.mean.max(), 0.0 if self.ends is None else self.ends[1].max()))


def draw_proportions(panels: Mapping[str, Proportions], topics: Sequence[str]) -> Figure:
    """Draw topic proportions, on axes of their own for each document or label.

    Parameters
    ----------
    panels
        Proportions by title.
    topics
        Names of the topics, from top to bottom.
    """
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    height = 0.19 * len(topics) + 0.5 + 0.3 / rows
    width = 2.1 if columns > 1 else 4.0
    figure, axes = new_figure(rows, columns, width=width, height=height, sharex=True, sharey=True)
    for axis, (title, own) in zip(axes.flat, panels.items(), strict=False):
        draw_panel(own, topics, title, axis)
    # The axes are shared, and the last panel need not hold the largest proportion.
    axes.flat[0].set_xlim(0.0, _MARGIN * max(own.most for own in panels.values()))
    hide_unused(axes, len(panels))
    figure.supxlabel(_PROPORTION, fontsize=9)
    return figure


def draw_panel(own: Proportions, topics: Sequence[str], title: str, axis: Axes) -> Axes:
    """Draw the topic proportions of a document or label on given axes."""
    place = np.arange(len(topics))
    axis.hlines(place, 0.0, own.mean, color=BLUE, alpha=0.25, linewidth=4)
    if own.ends is not None:
        axis.hlines(place, *own.ends, color=GREY, linewidth=1.2)
    axis.plot(own.mean, place, "o", color=BLUE, markersize=4)
    label(axis, title, "", "")
    axis.title.set_fontsize(9)
    axis.grid(axis="y", visible=False)
    axis.set_yticks(place, topics)
    axis.set_ylim(len(topics) - 0.5, -0.5)
    axis.set_xlim(0.0, _MARGIN * own.most)
    return axis
