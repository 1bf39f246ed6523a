"""The picture of topics."""

from __future__ import annotations

import pandas as pd

from exvae.experiments.drawing.lda import draw_topics


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
