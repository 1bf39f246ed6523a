"""Defaults of the training of topic models."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...data.corpora import Corpus, split_corpus

BATCH_SIZE, LARGEST_BATCH_SIZE = 128, 512
"""More documents than 128 where an epoch would take more than :data:`STEPS_OF_AN_EPOCH`."""
STEPS_OF_AN_EPOCH = 75
EPOCHS = 10
FEWEST_STEPS = 120
"""Of the encoder, whatever the number of documents."""


class Schedule(NamedTuple):
    """Documents in a minibatch, and passes over the documents."""

    batch_size: int
    epochs: int


def schedule_of(
    documents: int, batch_size: int | None = None, epochs: int | None = None
) -> Schedule:
    """Choose what is not given.

    Parameters
    ----------
    documents
        Number of documents to train on.
    batch_size, epochs
        Given values.
    """
    if batch_size is None:
        batch_size = min(max(BATCH_SIZE, documents // STEPS_OF_AN_EPOCH), LARGEST_BATCH_SIZE)
    if epochs is None:
        steps = max(1, math.ceil(documents / batch_size))
        epochs = max(EPOCHS, math.ceil(FEWEST_STEPS / steps))
    return Schedule(batch_size, epochs)


def num_training_documents(
    corpus: Corpus, seed: int, test_fraction: float, val_fraction: float
) -> int:
    """Count documents with words outside the split ``test``.

    Parameters
    ----------
    corpus
        All documents.
    seed, test_fraction, val_fraction
        How a corpus without splits is split.
    """
    splits = split_corpus(corpus, seed, test_fraction, val_fraction).splits
    return int(np.sum((splits != "test") & (corpus.lengths > 0)))
