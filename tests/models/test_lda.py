"""Latent Dirichlet allocation: what it generates, and what a trace of it is worth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from pyro import poutine
from pyro.distributions.testing.gof import multinomial_goodness_of_fit
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import Adam
from scipy.special import digamma, gammaln, polygamma

from exvae.data.corpora import DocumentBatch
from exvae.guides.lda import ExchangeableGuide
from exvae.models.lda import LDA

OFFSETS = torch.tensor([0, 2, 3, 7])
WORDS = torch.tensor([0, 4, 1, 3, 3, 2, 0])
INDICES = torch.tensor([11, 0, 5])


def batch_of(documents: int, obs: torch.Tensor | None = None) -> DocumentBatch:
    """Make a corpus of documents of one word."""
    words = torch.full((documents,), -1)
    return DocumentBatch(
        words, torch.arange(documents + 1), torch.arange(documents), documents, obs
    )


def test_words_are_generated_for_the_lengths_given() -> None:
    model = LDA(5, 2)
    trace = poutine.trace(model).get_trace(torch.full((7,), -1), OFFSETS, INDICES, 12)
    words = trace.nodes["_RETURN"]["value"]
    assert words.shape == (7,)
    assert 0 <= words.min() <= words.max() < 5
    assert words is trace.nodes["words"]["value"]
    assert not trace.nodes["words"]["is_observed"]


def test_predictive_draws_all_sites_from_their_priors(generation) -> None:
    model = LDA(5, 2, document_concentration=0.75, topic_concentration=0.25)
    model.document_concentration[1] = 1.875
    number = 1500
    batch = DocumentBatch(torch.full((7,), -1), OFFSETS, INDICES, 12, None)
    draws = generation.generate(model, batch, number)
    shapes = {name: tuple(value.shape) for name, value in draws.items()}
    assert shapes == {
        "topic_words": (number, 2, 5),
        "document_topics": (number, 3, 2),
        "words": (number, 7),
    }
    assert not draws["words"].is_floating_point()
    priors = {
        "topic_words": model.topic_words_prior(),
        "document_topics": model.document_topics_prior(),
    }
    for name, prior in priors.items():
        generation.check_moments(draws[name], prior.mean, prior.stddev)


def test_generated_words_have_the_moments_of_their_probabilities(generation) -> None:
    # Three kinds of documents, one word each, many times.
    repeats, number = 1000, 20
    model = LDA(5, 2)
    latents = {
        "topic_words": torch.tensor([[0.6, 0.2, 0.1, 0.05, 0.05], [0.1, 0.1, 0.1, 0.2, 0.5]]),
        "document_topics": torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.05, 0.95]]).repeat(repeats, 1),
    }
    documents = 3 * repeats
    draws = generation.generate(model, batch_of(documents), number, latents)["words"]
    draws = draws.reshape(number * repeats, 3)
    scored = [
        generation.score(model, batch_of(documents, torch.full((documents,), w)), latents, "words")
        for w in range(5)
    ]
    probabilities = torch.stack(scored)[:, :3].exp()
    mean, sd = generation.moments(torch.arange(5.0), probabilities)
    generation.check_moments(draws, mean, sd)
    for word, own in enumerate(probabilities):
        generation.check_moments((draws == word).float(), own, (own * (1 - own)).sqrt())


def test_the_trace_is_worth_what_the_formulas_say() -> None:
    model = LDA(5, 2, document_concentration=0.75, topic_concentration=0.25).double()
    model.document_concentration[1] = 1.875
    trace = poutine.trace(model).get_trace(WORDS, OFFSETS, INDICES, 12, WORDS)
    trace.compute_log_prob()
    phi = trace.nodes["topic_words"]["value"].numpy()
    theta = trace.nodes["document_topics"]["value"].numpy()
    assert (phi.shape, theta.shape) == ((2, 5), (3, 2))
    assert trace.nodes["words"]["value"] is WORDS
    assert [trace.nodes[name]["scale"] for name in ("document_topics", "words")] == [4.0, 4.0]
    assert trace.nodes["topic_words"]["scale"] == 1.0
    assert torch.equal(trace.nodes["documents"]["value"], INDICES)

    topic_words = sum(scipy.stats.dirichlet.logpdf(row, np.full(5, 0.25)) for row in phi)
    document_topics = sum(scipy.stats.dirichlet.logpdf(row, [0.75, 1.875]) for row in theta)
    documents = [0, 0, 1, 2, 2, 2, 2]
    words = np.log((theta @ phi)[documents, WORDS.numpy()]).sum()
    expected = topic_words + 4.0 * (document_topics + words)
    assert trace.log_prob_sum().item() == pytest.approx(expected, rel=1e-9)
    log_prob = trace.nodes["words"]["log_prob"]
    assert log_prob.shape == (3,)


def test_document_concentration_is_one_over_the_topics_by_default() -> None:
    assert LDA(5, 4).document_concentration.tolist() == [0.25] * 4


def test_generated_documents_share_their_topics() -> None:
    # In documents of two words, E[theta_i theta_j] weighs each pair of words.
    repeats = 40_000
    alpha = torch.tensor([0.2, 0.9, 0.4])
    topic_words = torch.tensor([[0.8, 0.1, 0.05, 0.05], [0.1, 0.6, 0.2, 0.1], [0.1, 0.1, 0.1, 0.7]])
    model = LDA(4, 3)
    model.document_concentration.copy_(alpha)
    conditioned = poutine.condition(model, {"topic_words": topic_words})
    offsets = 2 * torch.arange(repeats + 1)
    words = conditioned(None, offsets, torch.arange(repeats), repeats)

    total = alpha.sum()
    moments = (alpha.outer(alpha) + alpha.diag()) / (total * (total + 1.0))
    probabilities = topic_words.T @ moments @ topic_words
    first, second = words.reshape(repeats, 2).unbind(-1)
    counts = torch.bincount(4 * first + second, minlength=16)
    assert multinomial_goodness_of_fit(probabilities.flatten(), counts) > 1e-3


def dirichlet_divergence(q: np.ndarray, p: np.ndarray) -> float:
    """KL divergence of Dirichlet(p) from Dirichlet(q)."""
    return (
        gammaln(q.sum())
        - gammaln(p.sum())
        - (gammaln(q) - gammaln(p)).sum()
        + ((q - p) * (digamma(q) - digamma(q.sum()))).sum()
    )


def test_the_bound_of_a_single_topic_has_a_closed_form() -> None:
    # The topic of every word is known, so only E[log phi] is left to the samples.
    particles, scale = 400, 4.0
    model = LDA(5, 1, topic_concentration=0.25).double()
    guide = ExchangeableGuide(model).double()
    posterior = torch.tensor([[30.0, 4.0, 9.0, 21.0, 2.5]], dtype=torch.float64)
    guide.topics.concentration.copy_(posterior)
    svi = SVI(model, guide, Adam({}), TraceMeanField_ELBO(num_particles=particles))
    loss = svi.evaluate_loss(WORDS, OFFSETS, INDICES, 12, WORDS)

    concentration = posterior[0].numpy()
    counts = np.bincount(WORDS, minlength=5)
    log_phi = digamma(concentration) - digamma(concentration.sum())
    likelihood = scale * counts @ log_phi
    divergence = dirichlet_divergence(concentration, np.full(5, 0.25))
    covariance = np.diag(polygamma(1, concentration)) - polygamma(1, concentration.sum())
    error = scale * np.sqrt(counts @ covariance @ counts / particles)
    assert error < 1.0 < divergence
    assert abs(loss - (divergence - likelihood)) < 4.0 * error


def test_a_batch_of_the_wrong_size_is_an_error() -> None:
    with pytest.raises((RuntimeError, ValueError)):
        LDA(5, 2)(WORDS, OFFSETS, torch.arange(2), 12, WORDS)


@pytest.mark.parametrize("name", ["document_concentration", "topic_concentration"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_concentrations_are_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value:g}; give a positive number$"):
        LDA(5, 2, **{name: value})
