"""Pictures of models: their training, their topics, and the topics of documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...data.arguments import listed
from ...data.errors import DataError
from ..drawing.genes import count, interval_name
from ..drawing.lda import MAX_TOPICS, draw_topic, draw_topics
from ..drawing.proportions import Proportions, draw_panel, draw_proportions
from ..drawing.training import draw_quantity, draw_training
from .choosing import groups_of, nearest

# Documents that are drawn where none are named.
_DOCUMENTS = 10
_NORMAL_95 = 1.96


def training(
    model_or_history: Any, *, quantity: str = "loss", ax: Axes | None = None
) -> Figure | Axes:
    """Draw the loss, and of topic models the perplexity, against time and epochs.

    Parameters
    ----------
    model_or_history
        A trained model, or its ``history``: a table with a row for each epoch, as ``metrics.csv``
        in the folder of a fit holds.
    quantity
        What to draw on ``ax``: ``loss`` or ``perplexity``.
    ax
        Axes to draw one quantity on, against epochs; by default a new Figure has all.

    Examples
    --------
    >>> import exvae
    >>> model = exvae.IsoformModel("cells.h5ad").train(max_epochs=2)
    >>> exvae.pl.training(model).get_suptitle()
    'training, 2 epochs'
    """
    history = getattr(model_or_history, "history", model_or_history)
    if not isinstance(history, pd.DataFrame) or not {"epoch", "seconds"} <= set(history):
        raise DataError("the history has no epochs; train the model first")
    if ax is not None:
        return draw_quantity(history, quantity, ax)
    figure = draw_training(history)
    figure.suptitle(f"training, {count(len(history), 'epoch')}", fontsize=10)
    return figure


def topics(
    model_or_table: Any,
    top: int = 10,
    *,
    max_topics: int = MAX_TOPICS,
    topic: int | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw topics as bars of their most relevant words, the most used topic first.

    Parameters
    ----------
    model_or_table
        A trained topic model, or a table with a row for each word of a topic: ``topic``,
        ``weight`` (share of all words), ``rank`` (from 1), ``word`` and ``probability``.
    top
        Number of words of a topic.
    max_topics
        Number of topics to draw, the most used; the title tells how many are left out.
    topic
        Number of the only topic to draw; on ``ax`` the most used one by default.
    ax
        Axes to draw one topic on; a new Figure by default.

    Examples
    --------
    >>> import exvae, pandas
    >>> words = pandas.DataFrame(
    ...     {
    ...         "topic": [0, 0],
    ...         "weight": [1.0, 1.0],
    ...         "rank": [1, 2],
    ...         "word": ["cell", "gene"],
    ...         "probability": [0.4, 0.3],
    ...     }
    ... )
    >>> exvae.pl.topics(words).axes[0].get_title()
    'topic 0 (100.0% of words)'
    """
    table = _words(model_or_table, top)
    if topic is None and ax is not None:
        topic = table.loc[table["weight"].idxmax(), "topic"]
    if topic is not None:
        table = table[table["topic"] == topic]
        if table.empty:
            raise DataError(f"there is no topic {topic!r}; give the number of a topic")
    if ax is not None:
        return draw_topic(table, ax)
    figure = draw_topics(table, max_topics)
    number = table["topic"].nunique()
    shown = f"the {max_topics} most used of {number} topics"
    told = shown if number > max_topics else count(number, "topic")
    figure.suptitle(f"most relevant words of {told}", fontsize=10)
    return figure


def _words(model_or_table: Any, top: int) -> pd.DataFrame:
    """Table of the words of topics, the ``top`` first of each."""
    if not isinstance(model_or_table, pd.DataFrame) and not hasattr(model_or_table, "topics"):
        raise DataError("there are no topics to draw; give a topic model")
    table = model_or_table
    if not isinstance(table, pd.DataFrame):
        table = table.topics(top, tidy=True)
    if "rank" not in table:
        raise DataError("the table has no column rank; give model.topics(tidy=True), or the model")
    return table[table["rank"] <= top]


def topic_proportions(
    table: pd.DataFrame,
    documents: Sequence[object] | None = None,
    *,
    by: str | None = None,
    interval: tuple[float, float] = (0.025, 0.975),
    max_topics: int = 20,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw topic proportions of documents, or their means over the documents of each label.

    Parameters
    ----------
    table
        A row for each document: ``topic_0 ...``, as ``TopicModel.transform`` gives, and quantiles
        ``topic_0_q0.025 ...`` of their posterior where they are known.
    documents
        Documents to draw, from the index of the table; by default the first 10.
    by
        Column with the label of each document: means over the documents of each label are drawn,
        with 95 % intervals of the mean by the variation between its documents.
    interval
        Probabilities of the ends of the interval of a document.
    max_topics
        Number of topics to draw, the most frequent; the title tells how many are left out.
    ax
        Axes for a single document or label; a new Figure by default.

    Examples
    --------
    >>> import exvae, pandas
    >>> table = pandas.DataFrame({"topic_0": [0.9, 0.2], "topic_1": [0.1, 0.8]}, index=["a", "b"])
    >>> [axis.get_title() for axis in exvae.pl.topic_proportions(table).axes]
    ['a', 'b']
    """
    columns = _topic_columns(table)
    if by is not None:
        panels, marks = _labels(table, columns, by), "means of labels and 95 % intervals"
    else:
        panels, marks = _documents(table, columns, documents, interval)
    frequency = np.mean([own.mean for own in panels.values()], 0)
    order = np.argsort(-frequency, kind="stable")[:max_topics]
    chosen = {
        title: Proportions(
            own.mean[order], None if own.ends is None else tuple(end[order] for end in own.ends)
        )
        for title, own in panels.items()
    }
    names = [columns[place].replace("_", " ") for place in order]
    if ax is not None:
        if len(chosen) != 1:
            raise DataError(
                f"{len(chosen)} documents or labels do not fit on one axes; give one by documents"
            )
        ((title, own),) = chosen.items()
        return draw_panel(own, names, title, ax)
    figure = draw_proportions(chosen, names)
    if left_out := len(columns) - len(order):
        marks += f"; {left_out} less frequent topics left out"
    figure.suptitle(f"topic proportions, {marks}", fontsize=10)
    return figure


def _topic_columns(table: Any) -> list[str]:
    """Names of the columns of topic proportions; DataError if there are none."""
    if not isinstance(table, pd.DataFrame):
        raise DataError("there is no table of topic proportions; give TopicModel.transform()")
    columns = [name for name in table if re.fullmatch(r"topic_\d+", str(name))]
    if not columns:
        raise DataError(
            "the table has no columns topic_0, topic_1, ...; TopicModel.transform gives it"
        )
    return columns


def _documents(
    table: pd.DataFrame,
    columns: list[str],
    documents: Sequence[object] | None,
    interval: tuple[float, float],
) -> tuple[dict[str, Proportions], str]:
    """Proportions of documents by name, and what is drawn of them."""
    if len(listed("interval", interval, "(0.025, 0.975)")) != 2:
        raise DataError(f"interval is {interval!r}; give two probabilities such as (0.025, 0.975)")
    if documents is not None:
        documents = [documents] if isinstance(documents, str) else documents
        documents = listed("documents", documents, "['a', 'b'], of the index of the table")
    if documents is None:
        own = table.iloc[:_DOCUMENTS]
    else:
        for name in documents:
            if name not in table.index:
                raise DataError(f"the table has no document {name!r}{nearest(name, table.index)}")
        own = table.loc[list(documents)]
    ends = [[f"{name}_q{level:g}" for name in columns] for level in interval]
    known = [set(names) <= set(table) for names in ends]
    marks = f"posterior means and {interval_name(interval)}s" if all(known) else "posterior means"
    panels = {}
    for place, name in enumerate(own.index):
        row = own.iloc[place]
        bars = tuple(row[names].to_numpy(float) for names in ends) if all(known) else None
        panels[str(name)] = Proportions(row[columns].to_numpy(float), bars)
    return panels, marks


def _labels(table: pd.DataFrame, columns: list[str], by: str) -> dict[str, Proportions]:
    """Mean proportions of the documents of each label, with 95 % intervals of the mean."""
    panels = {}
    for name, own in table[columns].groupby(groups_of(table, by, "the table"), observed=True):
        mean, error = own.mean().to_numpy(), own.sem().to_numpy()
        ends = (
            np.maximum(mean - _NORMAL_95 * error, 0.0),
            np.minimum(mean + _NORMAL_95 * error, 1.0),
        )
        panels[f"{name} ({len(own)})"] = Proportions(mean, ends)
    return panels
