"""Defaults of the training by the size of a corpus."""

from __future__ import annotations

import pytest

from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.lda.settings import num_training_documents, schedule_of


@pytest.mark.parametrize(
    ("documents", "batch_size", "epochs"),
    [(1, 128, 120), (50, 128, 120), (1900, 128, 10), (15_000, 200, 10), (10**6, 512, 10)],
)
def test_large_corpora_take_larger_steps_and_small_ones_more(
    documents: int, batch_size: int, epochs: int
) -> None:
    assert schedule_of(documents) == (batch_size, epochs)


def test_what_is_given_is_kept() -> None:
    assert schedule_of(10**6, epochs=3) == (512, 3)
    assert schedule_of(1900, batch_size=19) == (19, 10)
    assert schedule_of(10, 5, 2) == (5, 2)


def test_documents_of_the_test_split_and_without_words_do_not_count() -> None:
    corpus = simulate_corpus(100, 2, 20, 6, seed=0).corpus
    assert num_training_documents(corpus, 0, 0.2, 0.1) == 80
    assert num_training_documents(corpus, 0, 0.0, 0.1) == 100
