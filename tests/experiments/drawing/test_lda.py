"""Pictures of topics, and of numbers of topics."""

from __future__ import annotations

import pandas as pd
import pytest

from exvae.experiments.drawing.lda import draw_numbers_of_topics, draw_topics


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
