"""Topics of several fits are matched and compared."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from exvae.data.errors import DataError
from exvae.experiments.lda.comparison import match_topics, stability, top_indices
from exvae.experiments.lda.fitting import LDAFit


def permuted(fit: LDAFit, order: list[int]) -> LDAFit:
    """Make a fit whose topic k is topic ``order[k]`` of another."""
    guide = deepcopy(fit.guide)
    guide.topics.concentration = guide.topics.concentration[order]
    return replace(fit, guide=guide)


def test_matching_undoes_a_permutation() -> None:
    topics = np.random.default_rng(0).dirichlet(np.full(9, 0.3), 5)
    order = np.array([3, 1, 4, 0, 2])
    matched, cosines = match_topics(topics, topics[order])
    assert order[matched].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(cosines, 1)


def test_each_topic_is_matched_once_for_the_largest_sum() -> None:
    # The first topic is nearest to other 0, but so is the second, and still more.
    topics = np.array([[1.0, 0.6], [1.0, 0.0]])
    others = np.array([[1.0, 0.1], [0.0, 1.0]])
    assert match_topics(topics, others)[0].tolist() == [1, 0]


def test_topics_in_another_order_are_the_same(expressive_fit: LDAFit) -> None:
    others = [permuted(expressive_fit, [2, 0, 1]), permuted(expressive_fit, [1, 0, 2])]
    table = stability(expressive_fit, others, top=5)
    np.testing.assert_allclose(table["cosine"], 1, rtol=1e-6)
    assert table["overlap"].tolist() == [1, 1, 1]


def test_stability_is_a_mean_over_the_others(expressive_fit: LDAFit) -> None:
    other = permuted(expressive_fit, [1, 2, 0])
    with torch.no_grad():
        # Another word takes the place of the best word of topic 0, which is the other's topic 2.
        best, least = (
            other.guide.topics.concentration[2].argmax(),
            other.guide.topics.concentration[2].argmin(),
        )
        values = other.guide.topics.concentration[2, [best, least]]
        other.guide.topics.concentration[2, [best, least]] = values.flip(0)
    own = expressive_fit.guide.topics.mean().numpy()
    changed = other.guide.topics.mean().numpy()
    cosine = own[0] @ changed[2] / np.linalg.norm(own[0]) / np.linalg.norm(changed[2])
    table = stability(expressive_fit, [other, expressive_fit], top=5)
    np.testing.assert_allclose(table["cosine"], [(1 + cosine) / 2, 1, 1], rtol=1e-5)
    np.testing.assert_allclose(table["overlap"], [0.9, 1, 1])


def test_fits_that_cannot_be_compared(expressive_fit: LDAFit) -> None:
    with pytest.raises(DataError, match="no other model"):
        stability(expressive_fit, [])
    other = replace(expressive_fit, vocabulary=expressive_fit.vocabulary[::-1])
    with pytest.raises(DataError, match="different vocabularies"):
        stability(expressive_fit, [other])
    with pytest.raises(DataError, match="numbers of topics"):
        stability(expressive_fit, [permuted(expressive_fit, [0, 1])])


def test_top_indices_are_in_order() -> None:
    assert top_indices(np.array([[0.1, 0.5, 0.4], [0.4, 0.2, 0.4]]), 2).tolist() == [[1, 2], [0, 2]]
