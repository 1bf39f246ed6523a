"""Pictures of a topic model."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import BLUE, hide_unused, label, new_figure, short_name

_COLUMNS = 5
_PROBABILITY = "probability of the word in the topic"
MAX_TOPICS = 24
"""Topics that are drawn; each has axes of its own, which take long to draw and to look at."""


# Least width of the axes of a topic, and width beside its words, for bars and title (inches).
_WIDTH, _BARS = 2.1, 1.7
_FONT_SIZE = 8
# Letters of the east are wide; they begin with Hangul.
_LAST_NARROW = 0x10FF
# Width of wide and of other letters by the size of the font.
_WIDE, _NARROW = 1.0, 0.64


def _width(word: str) -> float:
    """Width of a written word (inches), at most."""
    wide = sum(letter.isupper() or letter in "mw@%" or ord(letter) > _LAST_NARROW
               for letter in word)  # fmt: skip
    return (_WIDE * wide + _NARROW * (len(word) - wide)) * _FONT_SIZE / 72


def draw_numbers_of_topics(table: pd.DataFrame) -> Figure:
    """Draw perplexity and coherence against the number of topics: seeds as points, means as lines.

    Parameters
    ----------
    table
        Table of :meth:`exvae.TopicModel.choose_topics`: ``topics``, ``seed``, ``perplexity`` (of
        held-out words) and ``coherence``.
    """
    figure, axes = new_figure(1, 2)
    means = table.groupby("topics")[["perplexity", "coherence"]].mean()
    names = {"perplexity": "perplexity of held-out words", "coherence": "coherence of top words"}
    for axis, (column, name) in zip(axes[0], names.items(), strict=True):
        axis.plot(table["topics"], table[column], "o", color=BLUE, alpha=0.5)
        axis.plot(means.index, means[column], "-", color=BLUE)
        axis.set_xticks(means.index)
        label(axis, "", "number of topics", name)
    return figure


def draw_topic(words: pd.DataFrame, axis: Axes) -> Axes:
    """Draw one topic on given axes; ``words`` as for :func:`draw_topics`, of this topic alone."""
    axis.barh(words["rank"], words["probability"], color=BLUE)
    names = [short_name(word) for word in words["word"]]
    axis.set_yticks(words["rank"], names, fontsize=_FONT_SIZE, parse_math=False)
    axis.invert_yaxis()
    share = words["weight"].iloc[0]
    axis.set_title(f"topic {words['topic'].iloc[0]} ({share:.1%} of words)", fontsize=8)
    axis.tick_params(axis="x", labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    return axis


def draw_topics(words: pd.DataFrame, max_topics: int = MAX_TOPICS) -> Figure:
    """Draw topics as bars of their top words, most used topic first.

    Parameters
    ----------
    words
        Table of :func:`~exvae.experiments.lda.tables.top_words`: ``topic``, ``weight`` (share of
        all words), ``rank``, ``word`` and ``probability`` (of the word in the topic).
    max_topics
        Number of topics to draw, the most used; the title tells how many are left out.
    """
    weights = words.groupby("topic", sort=False)["weight"].first()
    topics = weights.sort_values(ascending=False, kind="stable").index[:max_topics]
    columns = min(_COLUMNS, len(topics))
    rows = -(-len(topics) // columns)
    height = 0.5 + 0.17 * words["rank"].max() + 0.4 / rows
    longest = max(_width(short_name(word)) for word in words["word"])
    width = max(_WIDTH, longest + _BARS)
    figure, axes = new_figure(rows, columns, width=width, height=height, sharex=True)
    for axis, topic in zip(axes.flat, topics, strict=False):
        draw_topic(words[words["topic"] == topic], axis)
    hide_unused(axes, len(topics))
    figure.supxlabel(_PROBABILITY, fontsize=9)
    if len(topics) < len(weights):
        figure.suptitle(f"{len(topics)} most used of {len(weights)} topics", fontsize=10)
    return figure
