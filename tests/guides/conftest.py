"""Documents and small guides of topic models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam

from exvae.data.corpora import Corpus, DocumentBatch, offsets_of
from exvae.guides.lda import ExchangeableGuide
from exvae.models.lda import LDA

VOCABULARY_SIZE = 20


@pytest.fixture
def documents() -> DocumentBatch:
    """Twelve documents of 1, 2, ..., 12 words of a vocabulary of 20."""
    lengths = np.arange(1, 13)
    words = torch.randint(VOCABULARY_SIZE, (int(lengths.sum()),)).numpy().astype(np.int32)
    vocabulary = np.array([f"word{position}" for position in range(VOCABULARY_SIZE)])
    return Corpus(words, offsets_of(lengths), vocabulary).batch(range(12))


@pytest.fixture
def learner() -> Callable[..., SVI]:
    """Make a small model of three topics, its guide with these options, and what trains both."""

    def make(topic_concentration: float = 0.1, **options) -> SVI:
        torch.manual_seed(0)
        model = LDA(VOCABULARY_SIZE, 3, topic_concentration=topic_concentration)
        sizes = {"element_sizes": (8,), "readout_sizes": (8,)}
        guide = ExchangeableGuide(model, **sizes, **options)
        return SVI(model, guide, ClippedAdam({"lr": 5e-3}), TraceMeanField_ELBO())

    return make
