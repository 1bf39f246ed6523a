"""Pictures of topics, and of numbers of topics."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest

from exvae.data.errors import DataWarning
from exvae.experiments.drawing.lda import draw_numbers_of_topics, draw_topics
from exvae.experiments.drawing.saving import save
from exvae.experiments.drawing.style import glyphs_told_once


def test_a_topic_is_bars_of_its_words() -> None:
    words = pd.DataFrame(
        {
            "topic": [4, 4, 0, 0],
            "weight": [0.75, 0.75, 0.25, 0.25],
            "rank": [1, 2, 1, 2],
            "word": ["cell", "gene", "topic", "word"],
            "probability": [0.5, 0.2, 0.4, 0.3],
        }
    )
    first, second = draw_topics(words).axes
    assert [axis.get_title() for axis in (first, second)] == [
        "topic 4 (75.0% of words)",
        "topic 0 (25.0% of words)",
    ]
    assert [bar.get_width() for bar in second.patches] == [0.4, 0.3]
    assert [text.get_text() for text in first.get_yticklabels()] == ["cell", "gene"]
    low, high = first.get_ylim()
    assert low > high  # the most probable word on top


def test_long_words_are_cut_and_letters_that_the_font_lacks_are_told_once(tmp_path: Path) -> None:
    words = ["x" * 100_000, "y" * 25, r"$\frac$", "我爱北京天安门"]
    table = pd.DataFrame(
        {"topic": 0, "weight": 1.0, "rank": [1, 2, 3, 4], "word": words, "probability": 0.25}
    )
    figure = draw_topics(table)
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown == ["x" * 24 + "…", *words[1:]]
    with pytest.warns(DataWarning, match="the font of pictures lacks 7 letters, .*; set") as told:
        save(figure, tmp_path / "topics.png")
    assert len(told) == 1
    with pytest.warns(DataWarning, match="lacks 7 letters") as told:
        figure._repr_png_()
    assert len(told) == 1


@pytest.mark.parametrize("letter", ["x", "W", "m", "o"])
@pytest.mark.parametrize("topics", [1, 7])
def test_long_words_leave_room_for_the_axes(letter: str, topics: int, tmp_path: Path) -> None:
    """Matplotlib warns, which is an error here, where labels leave no room."""
    table = pd.DataFrame(
        {"topic": range(topics), "weight": 1 / topics, "rank": 1, "word": letter * 25}
    )
    figure = draw_topics(table.assign(probability=0.5))
    save(figure, tmp_path / "topics.png")
    widths = [axis.get_position().width for axis in figure.axes[:topics]]
    assert min(widths) * figure.get_figwidth() > 0.9  # inches


def test_other_warnings_of_a_picture_stay() -> None:
    with pytest.warns(UserWarning, match="^too small$"), glyphs_told_once():
        warnings.warn("too small", stacklevel=1)


def test_the_most_used_of_many_topics_are_drawn() -> None:
    weights = [(17 * topic % 400 + 1) / 80200 for topic in range(400)]
    words = pd.DataFrame(
        {"topic": range(400), "weight": weights, "rank": 1, "word": "gene", "probability": 0.5}
    )
    figure = draw_topics(words)
    shown = [axis for axis in figure.axes if axis.axison]
    best = sorted(range(400), key=lambda topic: -weights[topic])[:24]
    assert [axis.get_title().split()[1] for axis in shown] == [str(topic) for topic in best]
    assert figure.get_suptitle() == "24 most used of 400 topics"
    (only,) = [axis for axis in draw_topics(words, 1).axes if axis.axison]
    assert only.get_title().startswith(f"topic {best[0]} ")


def test_seeds_are_points_and_their_means_lines() -> None:
    table = pd.DataFrame(
        {
            "topics": [5, 5, 10, 10],
            "seed": [0, 1, 0, 1],
            "perplexity": [900.0, 920.0, 880.0, 890.0],
            "coherence": [0.1, 0.3, 0.2, 0.0],
        }
    )
    axes = draw_numbers_of_topics(table).axes
    for axis, column, means in zip(
        axes, ("perplexity", "coherence"), ([910, 885], [0.2, 0.1]), strict=True
    ):
        points, line = axis.lines
        assert points.get_xdata().tolist() == [5, 5, 10, 10]
        assert points.get_ydata().tolist() == table[column].tolist()
        assert line.get_xdata().tolist() == [5, 10]
        assert line.get_ydata().tolist() == pytest.approx(means)
        assert column in axis.get_ylabel()
