"""Small corpora and fits of topic models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest
import torch

from exvae.data.corpora import Corpus, offsets_of
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.lda import fitting

VOCABULARY_SIZE = 30


@pytest.fixture
def corpus() -> Corpus:
    """Forty documents of 1 to 13 words; every second in train, the others in test and val."""
    generator = np.random.default_rng(5)
    lengths = 1 + np.arange(40) * 7 % 13
    words = generator.integers(VOCABULARY_SIZE, size=lengths.sum()).astype(np.int32)
    vocabulary = np.array([f"word{position:02d}" for position in range(VOCABULARY_SIZE)])
    splits = np.array(["train", "test", "train", "val"] * 10)
    names = np.array([f"document{number}" for number in range(40)])
    return Corpus(words, offsets_of(lengths), vocabulary, names=names, splits=splits)


@pytest.fixture
def expressive_fit() -> fitting.LDAFit:
    """Make a fit of which every document gets topics of its own, as of 100 training documents."""
    torch.manual_seed(0)
    config = fitting.LDAConfig(num_topics=3)
    model, guide = fitting.build(config, VOCABULARY_SIZE)
    model.document_concentration.copy_(torch.tensor([0.5, 0.2, 0.9]))
    guide.topics.concentration.copy_(torch.rand(3, VOCABULARY_SIZE) ** 4 * 50 + 0.1)
    for parameter in guide.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    data = {"batch_names": [""], "training_documents": 100, "fingerprint": "another"}
    described = {"model": asdict(config), "data": data, "split": asdict(fitting.SplitConfig())}
    vocabulary = np.array([f"word{position:02d}" for position in range(VOCABULARY_SIZE)])
    model.eval()
    return fitting.LDAFit(guide.eval(), vocabulary, described, torch.device("cpu"))


@pytest.fixture
def fit_topics(corpus: Corpus, tmp_path: Path) -> Callable[..., fitting.LDAFit]:
    """Fit three topics and load the fit; fields and options of LDAConfig, and of the training."""
    names = {field.name for field in fields(fitting.LDAConfig)}

    def fit(
        name: str = "fit",
        *,
        documents: Corpus = corpus,
        split: fitting.SplitConfig | None = None,
        training: dict | None = None,
        **options,
    ) -> fitting.LDAFit:
        defaults = {"epochs": 2, "batch_size": 8, "learning_rate": 5e-3, "device": "cpu"}
        chosen = {"num_topics": 3} | {name: options.pop(name) for name in names & options.keys()}
        fitting.fit(
            documents,
            fitting.LDAConfig(**chosen, options=options),
            TrainingConfig(**{**defaults, **(training or {})}),
            tmp_path / name,
            split=split or fitting.SplitConfig(),
        )
        return fitting.load(tmp_path / name, "cpu", trust=True)

    return fit
