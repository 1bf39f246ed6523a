"""Draws of topic proportions against posteriors summed over all assignments of topics."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from pyro.distributions import LogisticNormal
from torch import Tensor

from exvae.guides.document_posterior import draw_topics
from exvae.guides.lda import ExchangeableGuide, LDAGuide
from exvae.models.lda import LDA

VOCABULARY_SIZE = 6
ALPHAS = {2: [0.3, 1.2], 3: [0.4, 0.9, 0.15]}


class LogisticNormalGuide(ExchangeableGuide):
    """A guide whose q(theta) is no Dirichlet."""

    def __init__(self, model: LDA, **options) -> None:
        super().__init__(model, output_size=2 * (model.num_topics - 1), **options)

    def document_topics(self, words: Tensor, offsets: Tensor) -> LogisticNormal:
        location, scale = self.encode(words, offsets).chunk(2, -1)
        return LogisticNormal(location, scale.exp())

    def mean_topics(self, document_topics: LogisticNormal) -> Tensor:
        return document_topics.sample((10,)).mean(0)


def guide_of(
    num_topics: int,
    kind: type[LDAGuide] = ExchangeableGuide,
    dtype: torch.dtype = torch.float64,
) -> LDAGuide:
    """Make an untrained guide, its alpha and topics uneven."""
    torch.manual_seed(1)
    model = LDA(VOCABULARY_SIZE, num_topics).to(dtype)
    model.document_concentration.copy_(torch.tensor(ALPHAS[num_topics]))
    guide = kind(model, element_sizes=(4,), readout_sizes=(4,)).to(dtype)
    guide.topics.concentration.copy_(torch.rand(num_topics, VOCABULARY_SIZE) ** 3 * 20 + 0.1)
    return guide.eval()


def offsets_of(documents: list[list[int]]) -> Tensor:
    return torch.tensor([0, *np.cumsum([len(own) for own in documents])])


def draw(guide: LDAGuide, documents: list[list[int]], *arguments: int, **options: int) -> Tensor:
    words = torch.tensor([word for own in documents for word in own], dtype=torch.int64)
    return draw_topics(guide, words, offsets_of(documents), *arguments, **options)


def exact_moments(guide: LDAGuide, document: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """E[theta] and E[theta theta'], the sum over all assignments of topics to words."""
    alpha = guide.model.document_concentration.numpy()
    phi = guide.topics.mean().numpy()
    total, first, second = 0.0, np.zeros(len(alpha)), np.zeros((len(alpha), len(alpha)))
    for topics in product(range(len(alpha)), repeat=len(document)):
        weight, concentration = 1.0, alpha.copy()
        for word, topic in zip(document, topics, strict=True):
            # Polya's urn: each word sees the words before it.
            weight *= concentration[topic] * phi[topic, word]
            concentration[topic] += 1
        size = concentration.sum()
        total += weight
        first += weight * concentration / size
        pairs = np.outer(concentration, concentration) + np.diag(concentration)
        second += weight * pairs / (size * (size + 1))
    return first / total, second / total


DOCUMENTS = [[0, 3, 3, 5], [], [2], [4, 4, 4, 1], [5, 0], [1, 2, 3]]


@pytest.mark.parametrize("kind", [ExchangeableGuide, LogisticNormalGuide])
@pytest.mark.parametrize("num_topics", [2, 3])
def test_moments_are_those_of_the_exact_posterior(num_topics: int, kind: type[LDAGuide]) -> None:
    """Of documents of up to four words, one of them empty, given E[phi]."""
    guide = guide_of(num_topics, kind)
    draws = draw(guide, DOCUMENTS, 40_000)
    assert draws.shape == (40_000, len(DOCUMENTS), num_topics)
    torch.testing.assert_close(draws.sum(-1), torch.ones(40_000, len(DOCUMENTS)).double())
    for position, document in enumerate(DOCUMENTS):
        first, second = exact_moments(guide, document)
        own = draws[:, position].numpy()
        np.testing.assert_allclose(own.mean(0), first, atol=0.008)
        np.testing.assert_allclose(own.T @ own / len(own), second, atol=0.008)


def test_the_first_draw_follows_the_burn_in() -> None:
    """Chains of one draw have the posterior only if sweeps precede it."""
    guide = guide_of(3)
    document = [0, 3, 3, 5]
    first, second = exact_moments(guide, document)
    own = draw(guide, [document] * 40_000, 1, burn_in=10)[0].numpy()
    np.testing.assert_allclose(own.mean(0), first, atol=0.008)
    np.testing.assert_allclose(own.T @ own / len(own), second, atol=0.008)
    # The encoder's first guess is another.
    words = torch.tensor(document)
    guess = guide.infer(words, torch.tensor([0, 4]))[0].numpy()
    assert abs(guess - first).max() > 0.05


def test_chains_start_from_the_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where words cling together, one sweep does not forget the start."""
    guide = guide_of(2)
    guide.model.document_concentration.fill_(0.02)
    guide.topics.concentration.fill_(1.0)
    for answer in ([0.999, 0.001], [0.001, 0.999]):
        guess = torch.tensor([answer] * 200).double()
        monkeypatch.setattr(guide, "infer", lambda words, offsets, guess=guess: guess)
        mean = draw(guide, [[0, 1, 2, 3, 4, 5]] * 200, 1, burn_in=0, thinning=1).mean((0, 1))
        np.testing.assert_allclose(mean, answer, atol=0.1)


def test_thinning_decorrelates_draws() -> None:
    guide = guide_of(2)
    guide.model.document_concentration.fill_(0.02)  # words cling together

    def correlation(thinning: int) -> float:
        own = draw(guide, [[0, 3, 4, 1, 2, 5]], 5000, thinning=thinning)[:, 0, 0]
        return float(torch.corrcoef(torch.stack([own[:-1], own[1:]]))[0, 1])

    assert correlation(1) > 0.2
    assert correlation(30) < 0.5 * correlation(1)


def test_the_order_of_words_and_documents_does_not_matter() -> None:
    guide = guide_of(3)
    documents = [[0, 3, 3, 5, 1, 1, 4], [2, 2, 0]]
    moved = [own[::-1] for own in documents[::-1]]
    one, other = draw(guide, documents, 20_000), draw(guide, moved, 20_000).flip(1)
    probabilities = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]).double()
    found = [draws.quantile(probabilities, 0) for draws in (one, other)]
    torch.testing.assert_close(*found, rtol=0, atol=0.025)
    assert (one[:, 0].mean(0) - one[:, 1].mean(0)).abs().max() > 0.1


def test_a_seed_repeats_the_draws_whatever_the_threads() -> None:
    guide = guide_of(3)
    documents = [[number % 6, (number * number) % 6, 2] for number in range(100)]
    before = torch.get_num_threads()
    found = []
    try:
        for seed, threads in ((1, 1), (1, 3), (2, 1)):
            torch.set_num_threads(threads)
            torch.manual_seed(seed)
            found.append(draw(guide, documents, 7))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert (found[0] != found[2]).all()
    # Each draw and each document has random numbers of its own.
    assert len(found[0].reshape(-1, 3).unique(dim=0)) == 700


def test_documents_without_words_have_the_prior() -> None:
    guide = guide_of(3, dtype=torch.float32)
    draws = draw(guide, [[], []], 20_000)
    assert draws.dtype == torch.float32
    alpha = guide.model.document_concentration
    expected = torch.distributions.Dirichlet(alpha)
    for own in draws.unbind(1):
        torch.testing.assert_close(own.mean(0), expected.mean, rtol=0, atol=0.01)
        torch.testing.assert_close(own.var(0), expected.variance, rtol=0, atol=0.01)


def test_a_tiny_concentration_gives_finite_draws() -> None:
    """With alpha = 0.001 most gamma variables are below the smallest number of any precision."""
    guide = guide_of(3, dtype=torch.float32)
    guide.model.document_concentration.fill_(0.001)
    draws = draw(guide, [[], [1, 2]], 3000)
    torch.testing.assert_close(draws.sum(-1), torch.ones(3000, 2))
    # A prior so small puts everything on one topic, each as often.
    torch.testing.assert_close(draws[:, 0].mean(0), torch.full((3,), 1 / 3), rtol=0, atol=0.04)
    assert (draws[:, 0].max(-1).values > 0.99).float().mean() > 0.95


@pytest.mark.parametrize("wrong", [{"num_samples": 0}, {"thinning": 0}, {"burn_in": -1}])
def test_impossible_schedules_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        draw(guide_of(2), [[1]], **wrong)
