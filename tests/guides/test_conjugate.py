"""Natural-gradient steps on the topics, and the estimate of the document concentration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import digamma
from torch import Tensor

from exvae.guides import conjugate
from exvae.guides.conjugate import (
    CONCENTRATION_FLOOR,
    TopicPosterior,
    document_concentration_fixed_point,
    topic_concentration_fixed_point,
)
from exvae.guides.fixed_point import LocalPosterior, refine

WORDS = torch.tensor([4, 0, 4, 2])
BETA = torch.tensor(0.3, dtype=torch.float64)


def test_steps_follow_the_formula() -> None:
    topics = TopicPosterior(3, 5, delay=2.0, forgetting_rate=0.9).double()
    expected = topics.concentration.numpy().copy()
    for step in range(3):
        responsibilities = torch.rand(4, 3, dtype=torch.float64)
        rho = (step + 2.0) ** -0.9
        assert topics.step_size() == pytest.approx(rho)
        counts = np.zeros((3, 5))
        for word, own in zip(WORDS.tolist(), responsibilities.numpy(), strict=True):
            counts[:, word] += own
        expected = (1.0 - rho) * expected + rho * (0.3 + 7.5 * counts)
        topics.natural_step(WORDS, responsibilities, 7.5, BETA)
        np.testing.assert_allclose(topics.concentration, expected, rtol=1e-12)
    assert int(topics.steps) == 3


def test_a_whole_step_on_all_data_is_the_conjugate_posterior() -> None:
    topics = TopicPosterior(2, 5, delay=1.0).double()
    responsibilities = torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5], [0.0, 1.0]]).double()
    topics.natural_step(WORDS, responsibilities, 1.0, BETA)
    expected = 0.3 + np.array([[0.25, 0.0, 0.0, 0.0, 1.5], [0.75, 0.0, 1.0, 0.0, 0.5]])
    np.testing.assert_allclose(topics.concentration, expected, rtol=1e-14)


def test_the_mean_and_the_distribution_are_those_of_the_concentration() -> None:
    topics = TopicPosterior(2, 3)
    topics.concentration.copy_(torch.tensor([[1.0, 2.0, 5.0], [1e-5, 1.0, 3.0]]))
    posterior = topics.distribution()
    assert (posterior.batch_shape, posterior.event_shape) == ((2,), (3,))
    torch.testing.assert_close(topics.mean()[0], torch.tensor([0.125, 0.25, 0.625]))
    torch.testing.assert_close(topics.mean()[0], posterior.mean[0])
    assert posterior.concentration.min().item() == pytest.approx(CONCENTRATION_FLOOR)


def test_topics_start_different_from_each_other() -> None:
    start = TopicPosterior(3, 50).concentration
    assert (start > 0.0).all()
    assert torch.corrcoef(start).fill_diagonal_(0.0).abs().max() < 0.5


def simulated(alpha: list[float], topic_words: Tensor, length: int, documents: int) -> Tensor:
    """Words of documents of one length one after another, shape (documents * length,)."""
    topics = torch.distributions.Dirichlet(torch.tensor(alpha)).sample((documents,))
    return torch.multinomial(topics @ topic_words, length, replacement=True).flatten()


# Each word belongs to one topic alone.
DISTINCT = torch.eye(3).repeat_interleave(4, 1) / 4.0


@pytest.mark.parametrize(
    ("length", "documents", "error"), [(200, 2000, 0.1), (3, 10000, 0.2), (2, 20000, 0.2)]
)
@pytest.mark.parametrize("start", [0.05, 1.0])
def test_alpha_is_recovered_from_words_of_known_topics(
    length: int, documents: int, error: float, start: float
) -> None:
    truth = [0.1, 0.5, 1.5]
    words = simulated(truth, DISTINCT, length, documents)
    offsets = length * torch.arange(documents + 1)
    prior = torch.full((3,), start)
    local = refine(prior.expand(documents, 3), prior, DISTINCT, words, offsets, steps=1)
    alpha = document_concentration_fixed_point(prior, local, offsets, symmetric=False, steps=500)
    np.testing.assert_allclose(alpha, truth, rtol=error)


@pytest.mark.parametrize(("length", "documents"), [(200, 1000), (2, 20000)])
def test_symmetric_alpha_is_recovered_from_words_of_known_topics(
    length: int, documents: int
) -> None:
    words = simulated([0.4, 0.4, 0.4], DISTINCT, length, documents)
    offsets = length * torch.arange(documents + 1)
    prior = torch.ones(3)
    local = refine(prior.expand(documents, 3), prior, DISTINCT, words, offsets, steps=1)
    alpha = document_concentration_fixed_point(prior, local, offsets, symmetric=True, steps=500)
    np.testing.assert_allclose(alpha, 0.4, rtol=0.15)


def test_single_words_tell_the_proportions_of_alpha_but_not_its_sum() -> None:
    prior = torch.tensor([0.2, 0.9, 0.4], dtype=torch.float64)
    responsibilities = torch.rand(50, 3, dtype=torch.float64)
    responsibilities /= responsibilities.sum(-1, keepdim=True)
    local = LocalPosterior(prior + responsibilities, responsibilities)
    alpha = document_concentration_fixed_point(prior, local, torch.arange(51), symmetric=False)
    torch.testing.assert_close(alpha, prior.sum() * responsibilities.mean(0))


@pytest.mark.parametrize("symmetric", [False, True])
def test_one_round_for_alpha_is_the_formula(symmetric: bool) -> None:
    prior = np.array([0.2, 0.9, 0.4])
    documents = [np.random.default_rng(n).dirichlet([0.5] * 3, n) for n in (1, 2, 6)]
    gained, possible = np.zeros(3), 0.0
    for own in documents:
        present = 1.0 - (1.0 - own).prod(0)
        gained += present * (digamma(prior + own.sum(0) / present) - digamma(prior))
        possible += digamma(prior.sum() + len(own)) - digamma(prior.sum())
    expected = prior * gained / possible
    if symmetric:
        expected[:] = expected.mean()

    counts = np.array([own.sum(0) for own in documents])
    local = LocalPosterior(
        torch.from_numpy(prior + counts), torch.from_numpy(np.concatenate(documents))
    )
    offsets = torch.tensor([0, 1, 3, 9])
    actual = document_concentration_fixed_point(
        torch.from_numpy(prior), local, offsets, symmetric=symmetric, steps=1
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_compiled_loops_and_tensors_take_the_same_steps(dtype: torch.dtype, monkeypatch) -> None:
    torch.manual_seed(0)
    lengths = torch.randint(1, 300, (40,))
    offsets = torch.cat([torch.tensor([0]), lengths.cumsum(0)])
    words = torch.randint(50, (int(offsets[-1]),))
    responsibilities = torch.rand(len(words), 7, dtype=dtype).pow(20)
    responsibilities /= responsibilities.sum(-1, keepdim=True)
    prior = torch.rand(7, dtype=dtype)
    counts = torch.stack([part.sum(0) for part in responsibilities.split(lengths.tolist())])
    local = LocalPosterior(prior + counts, responsibilities)
    start, found = torch.rand(7, 50, dtype=dtype), []
    numbers = torch.randint(1, 4, (len(words),))
    repeated = [
        part.sum(0) for part in (responsibilities * numbers[:, None]).split(lengths.tolist())
    ]
    repeated = torch.stack(repeated)
    for _ in range(2):
        topics = TopicPosterior(7, 50).to(dtype)
        topics.concentration.copy_(start)
        topics.natural_step(words, responsibilities, 3.0, BETA.to(dtype))
        alpha = document_concentration_fixed_point(prior, local, offsets, symmetric=False)
        found.append((topics.concentration.clone(), alpha))
        # As many words of a number of occurrences each.
        merged = LocalPosterior(prior + repeated, responsibilities)
        topics.natural_step(words, responsibilities, 3.0, BETA.to(dtype), 0.0, numbers)
        alpha = document_concentration_fixed_point(
            prior, merged, offsets, symmetric=False, occurrences=numbers
        )
        assert (alpha != found[-1][1]).all()
        found[-1] += (topics.concentration.clone(), alpha)
        monkeypatch.setattr(conjugate, "suits_loops", lambda values: False)
    for compiled, by_tensors in zip(*found, strict=True):
        torch.testing.assert_close(compiled, by_tensors, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("word", [-1, 5])
def test_words_outside_the_vocabulary_are_refused(word: int) -> None:
    topics = TopicPosterior(2, 5)
    with pytest.raises(IndexError, match="outside the vocabulary of 5 words"):
        topics.natural_step(torch.tensor([word]), torch.ones(1, 2), 1.0, BETA)


@pytest.mark.parametrize("length", [2, 3, 10])
def test_alpha_stays_bounded_on_short_documents(length: int) -> None:
    # Topics share words, so responsibilities are soft and the sum of alpha, in truth 0.6, comes out
    # near 0.85, 0.8 and 0.75. Without P(n > 0), from E[n] alone, it is 5.4, 1.9 and 1.1.
    documents, truth = 4000, [0.2, 0.2, 0.2]
    topic_words = torch.distributions.Dirichlet(torch.full((30,), 0.1)).sample((3,))
    words = simulated(truth, topic_words, length, documents)
    offsets = length * torch.arange(documents + 1)
    alpha = torch.full((3,), 1.0)
    for _ in range(60):
        start = alpha.expand(documents, 3)
        local = refine(start, alpha, topic_words, words, offsets, steps=10)
        alpha = document_concentration_fixed_point(alpha, local, offsets, symmetric=False)
    assert 0.5 * sum(truth) < alpha.sum() < 1.6 * sum(truth)


@pytest.mark.parametrize("start", [0.02, 2.0])
def test_beta_is_recovered_from_the_counts_of_topics(start: float) -> None:
    truth, num_topics, vocabulary_size = 0.3, 40, 60
    topic_words = torch.distributions.Dirichlet(torch.full((vocabulary_size,), truth))
    counts = torch.stack(
        [
            torch.bincount(torch.multinomial(own, 500, replacement=True), minlength=vocabulary_size)
            for own in topic_words.sample((num_topics,))
        ]
    )
    beta = torch.tensor(start)
    for _ in range(100):
        beta = topic_concentration_fixed_point(beta, beta + counts)
    assert beta.shape == ()
    assert beta.item() == pytest.approx(truth, rel=0.1)


def test_dead_topics_share_what_the_largest_hold() -> None:
    topics = TopicPosterior(5, 40).double()
    held = torch.tensor([100.0, 5.0, 90.0, 300.0, 1.0], dtype=torch.float64)
    topics.concentration.copy_(BETA + held[:, None] * torch.rand(5, 40, dtype=torch.float64))
    before = topics.concentration.clone()
    topics.split_into_dead(BETA)
    after = topics.concentration
    # 1 and 4 are dead, 3 and 0 hold most; 2 is left alone.
    torch.testing.assert_close(after[2], before[2])
    torch.testing.assert_close(after[4] + after[0], before[0])
    torch.testing.assert_close(after[1] + after[3], before[3])
    assert (after > 0.0).all()
    assert torch.corrcoef(after[[1, 3]] / before[3])[0, 1] < -0.99


def test_a_small_topic_with_words_of_its_own_lives() -> None:
    """Many short documents hold fewer words than one long document of other words."""
    topics = TopicPosterior(4, 3).double()
    held = [[900.0, 1.0, 1.0], [880.0, 1.0, 1.0], [1.0, 30.0, 30.0], [1.0, 31.0, 31.0]]
    topics.concentration.copy_(torch.tensor(held))
    topics.split_into_dead(BETA)
    # The words of topic 2 are at home in topic 3 too, but not the other way round.
    torch.testing.assert_close(topics.concentration[3], torch.tensor(held[3]).double())
    torch.testing.assert_close(topics.concentration[[0, 2]].sum(0), torch.tensor(held[0]).double())


def test_living_topics_are_left_alone() -> None:
    topics = TopicPosterior(3, 10)
    before = topics.concentration.clone()
    topics.split_into_dead(torch.tensor(0.1))
    assert topics.concentration.equal(before)
