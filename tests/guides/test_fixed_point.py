"""The fixed point of a document, against the exact posterior and a word-by-word account."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.special import digamma, gammaln
from torch import Tensor

from exvae.guides import fixed_point
from exvae.guides.fixed_point import UPDATES, distinct_words, refine

PRIOR = torch.tensor([0.3, 1.1, 0.6], dtype=torch.float64)
OFFSETS = torch.tensor([0, 1, 3, 7, 8])
WORDS = torch.tensor([4, 0, 5, 2, 2, 3, 1, 0])

every_update = pytest.mark.parametrize("update", UPDATES)


def topics_of(num_topics: int, vocabulary_size: int) -> Tensor:
    """Random topics that differ a lot, shape (topics, vocabulary)."""
    return (2.0 * torch.randn(num_topics, vocabulary_size, dtype=torch.float64)).softmax(-1)


def exact_mean(prior: np.ndarray, topic_words: np.ndarray, words: list[int]) -> np.ndarray:
    """E[theta | words] by a sum over every assignment of topics, shape (topics,)."""
    num_topics = len(prior)
    mean, evidence = np.zeros(num_topics), 0.0
    for assignment in itertools.product(range(num_topics), repeat=len(words)):
        counts = np.bincount(assignment, minlength=num_topics)
        weight = np.exp((gammaln(prior + counts) - gammaln(prior)).sum())
        weight *= topic_words[list(assignment), words].prod()
        evidence += weight
        mean += weight * (prior + counts) / (prior.sum() + len(words))
    return mean / evidence


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_a_single_word_from_the_prior_is_exact(steps: int) -> None:
    topic_words = topics_of(3, 6)
    words = torch.arange(6)
    start = PRIOR.expand(6, 3)
    concentration, _ = refine(start, PRIOR, topic_words, words, torch.arange(7), steps=steps)
    weights = PRIOR * topic_words.T
    expected = PRIOR + weights / weights.sum(-1, keepdim=True)
    torch.testing.assert_close(concentration, expected)
    for word, own in enumerate(concentration):
        mean = exact_mean(PRIOR.numpy(), topic_words.numpy(), [word])
        np.testing.assert_allclose(own / own.sum(), mean, rtol=1e-9)


def test_a_single_word_forgets_where_it_started() -> None:
    topic_words = topics_of(3, 6)
    arguments = (PRIOR, topic_words, torch.arange(6), torch.arange(7))
    expected = refine(PRIOR.expand(6, 3), *arguments, steps=1).concentration
    actual = refine(PRIOR + 5.0 * torch.rand(6, 3).double(), *arguments, steps=2).concentration
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("length", [2, 3])
@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_collapsed_is_nearer_to_the_exact_mean_than_mean_field(alpha: float, length: int) -> None:
    topic_words = topics_of(3, 50)
    prior = torch.full((3,), alpha, dtype=torch.float64)
    words = torch.randint(50, (100, length))
    exact = np.array(
        [exact_mean(prior.numpy(), topic_words.numpy(), row.tolist()) for row in words]
    )
    offsets = length * torch.arange(101)
    errors = {}
    for update in UPDATES:
        start = prior.expand(100, 3)
        local = refine(start, prior, topic_words, words.flatten(), offsets, steps=50, update=update)
        mean = local.concentration / local.concentration.sum(-1, keepdim=True)
        errors[update] = np.abs(mean.numpy() - exact).mean()
    assert errors["collapsed"] < 0.5 * errors["mean-field"]


@every_update
def test_every_step_is_the_formula_word_by_word(update: str) -> None:
    topic_words = topics_of(3, 6)
    concentration = (PRIOR + torch.rand(4, 3).double()).numpy()
    actual = refine(
        torch.from_numpy(concentration), PRIOR, topic_words, WORDS, OFFSETS, steps=3, update=update
    )
    prior, phi = PRIOR.numpy(), topic_words.numpy()
    for document, own in enumerate(concentration):
        words = WORDS[OFFSETS[document] : OFFSETS[document + 1]].tolist()
        votes = np.zeros((len(words), 3))
        for _ in range(3):
            former, votes = votes, np.zeros((len(words), 3))
            for position, word in enumerate(words):
                evidence = own - former[position] if update == "collapsed" else np.exp(digamma(own))
                votes[position] = evidence * phi[:, word] / (evidence @ phi[:, word])
            own = prior + votes.sum(0)
        np.testing.assert_allclose(actual.concentration[document], own, rtol=1e-9)
        rows = slice(OFFSETS[document], OFFSETS[document + 1])
        np.testing.assert_allclose(actual.responsibilities[rows], votes, rtol=1e-9)


@every_update
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_every_word_counts_once(update: str, dtype: torch.dtype) -> None:
    # Also where the prior is so small that float32 is at its limits.
    prior = torch.tensor([1e-3, 1e-3, 1e-2], dtype=dtype)
    lengths = torch.tensor([1, 2, 40, 3000])
    offsets = torch.cat([torch.tensor([0]), lengths.cumsum(0)])
    words = torch.randint(6, (int(lengths.sum()),))
    start = prior + torch.rand(4, 3, dtype=dtype)
    topic_words = topics_of(3, 6).to(dtype)
    local = refine(start, prior, topic_words, words, offsets, steps=20, update=update)
    totals = local.responsibilities.sum(-1)
    assert (local.responsibilities >= 0.0).all()
    torch.testing.assert_close(totals, torch.ones_like(totals))
    expected = prior.sum() + lengths.to(dtype)
    torch.testing.assert_close(local.concentration.sum(-1), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_compiled_loops_and_tensors_agree(dtype: torch.dtype, monkeypatch) -> None:
    torch.manual_seed(0)
    lengths = torch.randint(1, 30, (100,))
    offsets = torch.cat([torch.tensor([0]), lengths.cumsum(0)])
    words = torch.randint(50, (int(lengths.sum()),))
    topic_words, prior = topics_of(7, 50).to(dtype), torch.rand(7, dtype=dtype)
    start = prior + 5 * torch.rand(100, 7, dtype=dtype)
    compiled = refine(start, prior, topic_words, words, offsets, steps=6)
    monkeypatch.setattr(fixed_point, "suits_loops", lambda values: False)
    by_tensors = refine(start, prior, topic_words, words, offsets, steps=6)
    for found, expected in zip(compiled, by_tensors, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_leaving_out_responsibilities_changes_no_concentration(monkeypatch) -> None:
    arguments = PRIOR.expand(4, 3), PRIOR, topics_of(3, 6), WORDS, OFFSETS
    for _ in range(2):
        whole = refine(*arguments, steps=4)
        part = refine(*arguments, steps=4, only_concentration=True)
        torch.testing.assert_close(part.concentration, whole.concentration, rtol=0, atol=0)
        monkeypatch.setattr(fixed_point, "suits_loops", lambda values: False)


def test_a_document_does_not_depend_on_those_before_it() -> None:
    # The document before it has more distinct words, one of which is in no topic.
    topic_words = topics_of(3, 6)
    topic_words[:, 5] = 0
    start = PRIOR + torch.rand(2, 3).double()
    both = refine(
        start, PRIOR, topic_words, torch.arange(6).flip(0), torch.tensor([0, 4, 6]), steps=3
    )
    alone = refine(
        start[1:], PRIOR, topic_words, torch.tensor([1, 0]), torch.tensor([0, 2]), steps=3
    )
    torch.testing.assert_close(both.concentration[1:], alone.concentration, rtol=0, atol=0)


@every_update
def test_the_order_of_words_does_not_matter(update: str) -> None:
    topic_words = topics_of(3, 6)
    start = PRIOR + torch.rand(4, 3).double()
    order = torch.tensor([0, 2, 1, 6, 3, 5, 4, 7])
    once = refine(start, PRIOR, topic_words, WORDS, OFFSETS, steps=4, update=update)
    again = refine(start, PRIOR, topic_words, WORDS[order], OFFSETS, steps=4, update=update)
    torch.testing.assert_close(again.concentration, once.concentration)
    torch.testing.assert_close(again.responsibilities, once.responsibilities[order])


def test_equal_words_of_a_document_are_merged(monkeypatch) -> None:
    words, offsets = torch.tensor([3, 1, 3, 3, 3, 1, 0, 1]), torch.tensor([0, 4, 4, 7, 8])
    found = distinct_words(words, offsets, 5)
    assert found.words.tolist() == [3, 1, 3, 1, 0, 1]
    assert found.counts.tolist() == [3, 1, 1, 1, 1, 1]
    assert found.offsets.tolist() == [0, 2, 2, 5, 6]
    assert found.places.tolist() == [0, 1, 0, 0, 2, 3, 4, 5]
    monkeypatch.setattr(fixed_point, "suits_loops", lambda values: False)
    alone = distinct_words(words, offsets, 5)
    assert alone.words is words and alone.offsets is offsets
    assert alone.counts.tolist() == [1] * 8 and alone.places.tolist() == list(range(8))


@every_update
@pytest.mark.parametrize("compiled", [True, False])
def test_a_word_that_occurs_often_is_as_many_words(
    update: str, compiled: bool, monkeypatch
) -> None:
    words, offsets = torch.randint(6, (60,)), torch.tensor([0, 20, 20, 23, 60])
    merged = distinct_words(words, offsets, 6)
    if not compiled:
        monkeypatch.setattr(fixed_point, "suits_loops", lambda values: False)
    topic_words, start = topics_of(3, 6), PRIOR + torch.rand(4, 3).double()
    asked = {"steps": 4, "update": update}
    whole = refine(start, PRIOR, topic_words, words, offsets, **asked)
    given = merged.words, merged.offsets
    found = refine(start, PRIOR, topic_words, *given, counts=merged.counts, **asked)
    torch.testing.assert_close(found.concentration, whole.concentration)
    torch.testing.assert_close(found.responsibilities[merged.places], whole.responsibilities)


@every_update
def test_what_is_given_is_left_as_it_was(update: str) -> None:
    topic_words = topics_of(3, 6)
    start = PRIOR.repeat(6, 1)
    refine(start, PRIOR, topic_words, torch.arange(6), torch.arange(7), steps=3, update=update)
    assert torch.equal(start, PRIOR.expand(6, 3))
    torch.testing.assert_close(topic_words.sum(-1), torch.ones(3).double())


def test_an_unknown_update_is_an_error() -> None:
    with pytest.raises(ValueError, match="'gibbs'.*collapsed, mean-field"):
        refine(PRIOR.expand(4, 3), PRIOR, topics_of(3, 6), WORDS, OFFSETS, steps=1, update="gibbs")


@pytest.mark.parametrize("word", [-1, 6])
def test_words_outside_the_vocabulary_are_an_error(word: int) -> None:
    words, offsets = torch.tensor([0, word]), torch.tensor([0, 2])
    with pytest.raises(IndexError, match="outside the vocabulary of 6 words"):
        refine(PRIOR.expand(1, 3), PRIOR, topics_of(3, 6), words, offsets, steps=1)
    with pytest.raises(IndexError, match="outside the vocabulary of 6 words"):
        refine(
            *(PRIOR.expand(1, 3), PRIOR, topics_of(3, 6), words, offsets),
            steps=1,
            counts=torch.ones_like(words),
        )
