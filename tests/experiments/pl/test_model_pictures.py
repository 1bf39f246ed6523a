"""Pictures of training, topics and documents."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import exvae
from exvae.data.errors import DataError

HISTORY = pd.DataFrame({"epoch": [1, 2], "seconds": [1.0, 2.0], "loss_per_cell": [3.0, 2.0]})
WORDS = pd.DataFrame(
    {
        "topic": [4, 4, 0, 0],
        "weight": [0.75, 0.75, 0.25, 0.25],
        "rank": [1, 2, 1, 2],
        "word": ["cell", "gene", "topic", "word"],
        "probability": [0.5, 0.2, 0.4, 0.3],
    }
)


def proportions(number: int = 30, seed: int = 0) -> pd.DataFrame:
    """Draw proportions of three topics, with quantiles of the last."""
    values = np.random.default_rng(seed).dirichlet(np.ones(3), number)
    table = pd.DataFrame(values, columns=[f"topic_{topic}" for topic in range(3)])
    for name in list(table):
        table[f"{name}_q0.025"], table[f"{name}_q0.975"] = table[name] / 2, (table[name] + 1) / 2
    table.index = [f"text{row}" for row in range(number)]
    return table.assign(label=np.resize(["sport", "news"], number))


def test_a_model_is_drawn_by_its_history() -> None:
    for drawn in (HISTORY, SimpleNamespace(history=HISTORY)):
        figure = exvae.pl.training(drawn)
        assert figure.axes[0].lines[0].get_ydata().tolist() == [3.0, 2.0]
        assert figure.get_suptitle() == "training, 2 epochs"
    with pytest.raises(DataError, match="train the model first"):
        exvae.pl.training(pd.DataFrame())


def test_topics_of_a_model_or_a_table() -> None:
    asked = []
    model = SimpleNamespace(topics=lambda top, tidy: asked.append((top, tidy)) or WORDS)
    assert len(exvae.pl.topics(model, top=2).axes) == 2
    assert asked == [(2, True)]
    (first, _) = exvae.pl.topics(WORDS, top=1).axes
    assert [text.get_text() for text in first.get_yticklabels()] == ["cell"]


def test_the_title_tells_of_topics_that_are_left_out() -> None:
    figure = exvae.pl.topics(WORDS, max_topics=1)
    assert figure.get_suptitle() == "most relevant words of the 1 most used of 2 topics"
    assert exvae.pl.topics(WORDS).get_suptitle() == "most relevant words of 2 topics"


def test_documents_are_drawn_with_their_quantiles() -> None:
    table = proportions()
    figure = exvae.pl.topic_proportions(table, ["text7", "text3"])
    assert [axis.get_title() for axis in figure.axes] == ["text7", "text3"]
    topics = [text.get_text().replace(" ", "_") for text in figure.axes[0].get_yticklabels()]
    assert sorted(topics) == ["topic_0", "topic_1", "topic_2"]
    for axis, name in zip(figure.axes, ("text7", "text3"), strict=True):
        row = table.loc[name]
        assert axis.lines[0].get_xdata().tolist() == row[topics].tolist()
        ends = [segment[:, 0].tolist() for segment in axis.collections[1].get_segments()]
        assert ends == [[row[f"{topic}_q0.025"], row[f"{topic}_q0.975"]] for topic in topics]
    assert figure.get_suptitle() == "topic proportions, posterior means and 95 % intervals"
    assert len(exvae.pl.topic_proportions(table).axes) == 10
    bare = exvae.pl.topic_proportions(table[["topic_0", "topic_1", "topic_2"]])
    assert bare.get_suptitle() == "topic proportions, posterior means"


def test_labels_are_drawn_by_their_means() -> None:
    table = proportions()
    figure = exvae.pl.topic_proportions(table, by="label", max_topics=2)
    assert [axis.get_title() for axis in figure.axes] == ["news (15)", "sport (15)"]
    assert "1 less frequent topics left out" in figure.get_suptitle()
    topics = [text.get_text().replace(" ", "_") for text in figure.axes[0].get_yticklabels()]
    own = table[table["label"] == "news"][topics]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), own.mean())
    bars = figure.axes[0].collections[1]
    assert isinstance(bars, LineCollection)
    low, high = np.array([segment[:, 0] for segment in bars.get_segments()]).T
    np.testing.assert_allclose((high - low) / 2, 1.96 * own.sem())


def test_models_are_drawn_on_given_axes() -> None:
    axes = Figure().subplots(1, 4)
    history = HISTORY.assign(perplexity=[9.0, 8.0])
    assert exvae.pl.training(history, ax=axes[0]) is axes[0]
    assert axes[0].lines[0].get_ydata().tolist() == [3.0, 2.0]
    exvae.pl.training(history, quantity="perplexity", ax=axes[1])
    assert axes[1].lines[0].get_ydata().tolist() == [9.0, 8.0]
    assert exvae.pl.topics(WORDS, ax=axes[2]) is axes[2]
    assert axes[2].get_title() == "topic 4 (75.0% of words)"
    axes[2].clear()
    exvae.pl.topics(WORDS, topic=0, ax=axes[2])
    assert axes[2].get_title() == "topic 0 (25.0% of words)"
    assert exvae.pl.topic_proportions(proportions(), "text3", ax=axes[3]) is axes[3]
    assert axes[3].get_title() == "text3"
    (only,) = exvae.pl.topics(WORDS, topic=4).axes
    assert only.get_title() == "topic 4 (75.0% of words)"


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (lambda ax: exvae.pl.training(HISTORY, quantity="perplexity", ax=ax), "one of loss"),
        (lambda ax: exvae.pl.training([1.0, 2.0]), "train the model first"),
        (lambda ax: exvae.pl.topics({}), "give a topic model"),
        (lambda ax: exvae.pl.topics(WORDS, topic=7), "no topic 7"),
        (lambda ax: exvae.pl.topic_proportions(proportions(), ax=ax), "10 documents or labels"),
        (lambda ax: exvae.pl.topic_proportions([1.0]), "give TopicModel.transform"),
        (lambda ax: exvae.pl.topic_proportions(proportions(), 5), "documents is 5; give a list"),
        (lambda ax: exvae.pl.topic_proportions(proportions(), interval=0.95), "interval is 0.95"),
    ],
)
def test_what_cannot_be_drawn_is_told(draw: Callable[[Axes], object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        draw(Figure().subplots())


def test_missing_documents_and_topics_are_named() -> None:
    with pytest.raises(DataError, match="no document 'text99'; the nearest: text"):
        exvae.pl.topic_proportions(proportions(), ["text99"])
    with pytest.raises(DataError, match="no columns topic_0"):
        exvae.pl.topic_proportions(pd.DataFrame({"a": [1.0]}))
    with pytest.raises(DataError, match="the table has no column 'lable'; the nearest: label"):
        exvae.pl.topic_proportions(proportions(), by="lable")
