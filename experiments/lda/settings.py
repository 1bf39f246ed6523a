"""Defaults of the training of topic models."""

from __future__ import annotations

import math

import numpy as np

from ...data.corpora import Corpus, split_corpus

EPOCHS = 30
FEWEST_STEPS = 300
"""The warm-up takes 100 steps; topics and alpha settle in the steps after it."""


def default_epochs(
    corpus: Corpus, batch_size: int, seed: int, test_fraction: float, val_fraction: float
) -> int:
    """Give :data:`EPOCHS`, or as many as take :data:`FEWEST_STEPS` steps.

    Parameters
    ----------
    corpus
        All documents.
    batch_size
        Documents in a minibatch.
    seed, test_fraction, val_fraction
        How a corpus without splits is split.
    """
    splits = split_corpus(corpus, seed, test_fraction, val_fraction).splits
    documents = int(np.sum((splits != "test") & (corpus.lengths > 0)))
    return max(EPOCHS, math.ceil(FEWEST_STEPS / max(1, math.ceil(documents / batch_size))))
