"""Pictures of models: their training, their topics, and the topics of documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...data.errors import DataError
from ..drawing.genes import count, interval_name
from ..drawing.lda import MAX_TOPICS, draw_topics
from ..drawing.proportions import Proportions, draw_proportions
from ..drawing.training import draw_training
from .choosing import groups_of, nearest

# Documents that are drawn where none are named.
_DOCUMENTS = 10
_NORMAL_95 = 1.96


def training(model_or_history: Any) -> Figure:
    """Draw the loss, and of topic models the perplexity, against time and epochs.

    Parameters
    ----------
    model_or_history
        A trained model, or its ``history``: a table with a row for each epoch, as ``metrics.csv``
        in the folder of a fit holds.

    Examples
    --------
    >>> import exvae
    >>> model = exvae.IsoformModel("cells.h5ad").train(max_epochs=2)
    >>> exvae.pl.training(model).get_suptitle()
    'training, 2 epochs'
    """
    history = getattr(model_or_history, "history", model_or_history)
    if not {"epoch", "seconds"} <= set(history):
        raise DataError("the history has no epochs; train the model first")
    figure = draw_training(history)
    figure.suptitle(f"training, {count(len(history), 'epoch')}", fontsize=10)
    return figure


def topics(model_or_table: Any, top: int = 10, *, max_topics: int = MAX_TOPICS) -> Figure:
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
    table = model_or_table
    if not isinstance(table, pd.DataFrame):
        table = table.topics(top, tidy=True)
    if "rank" not in table:
        raise DataError("the table has no column rank; give model.topics(tidy=True), or the model")
    figure = draw_topics(table[table["rank"] <= top], max_topics)
    number = table["topic"].nunique()
    shown = f"the {max_topics} most used of {number} topics"
    told = shown if number > max_topics else count(number, "topic")
    figure.suptitle(f"most relevant words of {told}", fontsize=10)
    return figure


def topic_proportions(
    table: pd.DataFrame,
    documents: Sequence[object] | None = None,
    *,
    by: str | None = None,
    interval: tuple[float, float] = (0.025, 0.975),
    max_topics: int = 20,
) -> Figure:
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

    Examples
    --------
    >>> import exvae, pandas
    >>> table = pandas.DataFrame({"topic_0": [0.9, 0.2], "topic_1": [0.1, 0.8]}, index=["a", "b"])
    >>> [axis.get_title() for axis in exvae.pl.topic_proportions(table).axes]
    ['a', 'b']
    """
    columns = [name for name in table if re.fullmatch(r"topic_\d+", str(name))]
    if not columns:
        raise DataError(
            "the table has no columns topic_0, topic_1, ...; TopicModel.transform gives it"
        )
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
    figure = draw_proportions(chosen, [columns[place].replace("_", " ") for place in order])
    left_out = len(columns) - len(order)
    told = f"; {left_out} less frequent topics left out" if left_out else ""
    figure.suptitle(f"topic proportions, {marks}{told}", fontsize=10)
    return figure


def _documents(
    table: pd.DataFrame,
    columns: list[str],
    documents: Sequence[object] | None,
    interval: tuple[float, float],
) -> tuple[dict[str, Proportions], str]:
    """Proportions of documents by name, and what is drawn of them."""
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
