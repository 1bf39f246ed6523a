"""Natural-gradient steps on new documents."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from exvae.data.corpora import Corpus, offsets_of
from exvae.data.errors import DataError
from exvae.experiments.lda.fitting import LDAFit
from exvae.experiments.lda.updating import update


@pytest.fixture
def fit(expressive_fit: LDAFit) -> LDAFit:
    """Make a fit of 100 documents whose warm-up is over."""
    expressive_fit.guide.topics.steps.fill_(500)
    return expressive_fit


def copied(fit: LDAFit) -> LDAFit:
    """Copy guide and model in one call, as both learn."""
    _, guide = deepcopy((fit.guide.model, fit.guide))
    return replace(fit, guide=guide)


def documents_of(corpus: Corpus, words: list[int], lengths: list[int]) -> Corpus:
    return Corpus(np.array(words, np.int32), offsets_of(np.array(lengths)), corpus.vocabulary)


def test_one_batch_is_one_step_scaled_to_all_documents(fit: LDAFit, corpus: Corpus) -> None:
    expected = copied(fit).guide
    batch = corpus.batch(np.random.default_rng(4).permutation(40), 140)
    start = expected.infer_concentration(batch.words, batch.offsets)
    with torch.no_grad():
        expected.learn_from(batch.words, batch.offsets, 140, start)
    updated = update(fit, corpus, batch_size=40, seed=4)
    assert updated.guide is fit.guide
    assert fit.guide.topics.steps == 501
    torch.testing.assert_close(fit.guide.topics.concentration, expected.topics.concentration)
    assert updated.config["data"]["added_documents"] == 40
    assert "added_documents" not in fit.config["data"]


def test_steps_are_counted_over_batches_and_passes(fit: LDAFit, corpus: Corpus) -> None:
    updated = update(fit, corpus, batch_size=16, passes=2)
    assert fit.guide.topics.steps == 506
    again = update(updated, corpus.select(range(10)))
    assert again.config["data"]["added_documents"] == 50


def test_new_documents_raise_the_probability_of_their_words(fit: LDAFit, corpus: Corpus) -> None:
    before = fit.guide.topics.mean()[:, 7].max()
    update(fit, documents_of(corpus, [7] * 60, [20] * 3), passes=5)
    assert fit.guide.topics.mean()[:, 7].max() > before + 0.05


def test_documents_without_words_are_left_out(fit: LDAFit, corpus: Corpus) -> None:
    one, other = fit, copied(fit)
    updated = update(one, documents_of(corpus, [1, 2, 3], [0, 3, 0]))
    update(other, documents_of(corpus, [1, 2, 3], [3]))
    torch.testing.assert_close(
        one.guide.topics.concentration, other.guide.topics.concentration, rtol=0, atol=0
    )
    assert updated.config["data"]["added_documents"] == 1
    with pytest.raises(DataError, match="no document has a known word"):
        update(fit, documents_of(corpus, [], [0, 0]))
