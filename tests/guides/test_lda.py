"""Guides of latent Dirichlet allocation: inference, one step of learning, and isolation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, TraceMeanField_ELBO
from pyro.optim import ClippedAdam
from torch import Tensor

from exvae.data.corpora import Corpus, DocumentBatch, offsets_of
from exvae.guides.conjugate import CONCENTRATION_FLOOR, document_concentration_fixed_point
from exvae.guides.fixed_point import refine
from exvae.guides.lda import (
    LEARN_DOCUMENT_CONCENTRATION,
    ExchangeableGuide,
    FixedLengthGuide,
    LDAGuide,
)
from exvae.guides.sets import POOLINGS
from exvae.models.lda import LDA

VOCABULARY_SIZE = 20
NUM_TOPICS = 3
READ = 6  # words read by the guide of fixed length

KINDS = (*POOLINGS, "fixed-length")
every_kind = pytest.mark.parametrize("kind", KINDS)
one_of_each_class = pytest.mark.parametrize("kind", ["mean", "fixed-length"])


def corpus_of(documents: Sequence[Sequence[int]]) -> Corpus:
    words = np.array([word for document in documents for word in document], np.int32)
    vocabulary = np.array([f"word{position}" for position in range(VOCABULARY_SIZE)])
    return Corpus(words, offsets_of(np.array([*map(len, documents)])), vocabulary)


def random_documents(count: int = 12) -> list[list[int]]:
    """Documents of 1, 2, ... words."""
    return [torch.randint(VOCABULARY_SIZE, (1 + d,)).tolist() for d in range(count)]


def build(kind: str, **options) -> tuple[LDA, LDAGuide]:
    model = LDA(VOCABULARY_SIZE, NUM_TOPICS)
    if kind == "fixed-length":
        return model, FixedLengthGuide(
            model, length=READ, embedding_size=4, readout_sizes=(8,), **options
        )
    sizes = {"element_sizes": (8,), "readout_sizes": (8,)}
    return model, ExchangeableGuide(model, pooling=kind, **sizes, **options)


def build_svi(model: LDA, guide: LDAGuide, learning_rate: float = 5e-3, **options) -> SVI:
    optimiser = ClippedAdam({"lr": learning_rate})
    return SVI(model, guide, optimiser, TraceMeanField_ELBO(**options))


def make_expressive(guide: LDAGuide) -> None:
    """Give a fresh guide answers that differ a lot between documents."""
    for parameter in guide.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    # Most of the evidence counts; where nothing did, all answers would be the prior.
    last = (guide if isinstance(guide, FixedLengthGuide) else guide.encoder).readout[-1]
    with torch.no_grad():
        last.weight[0] = 0.0
        last.bias[0] = 1.0


def learned(model: LDA, guide: LDAGuide) -> dict[str, Tensor]:
    """Copy of everything that conjugate steps learn."""
    return {
        "topics": guide.topics.concentration.clone(),
        "steps": guide.topics.steps.clone(),
        "alpha": model.document_concentration.clone(),
        "beta": model.topic_concentration.clone(),
    }


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


# Inference with a guide


@every_kind
@pytest.mark.parametrize("learn", LEARN_DOCUMENT_CONCENTRATION)
def test_a_step_learns_everything_that_it_should(kind: str, learn: str) -> None:
    learn_beta = learn == "asymmetric"
    model, guide = build(
        kind,
        learn_document_concentration=learn,
        learn_topic_concentration=learn_beta,
        warm_up=0,
    )
    before = learned(model, guide)
    before |= {name: value.detach().clone() for name, value in guide.named_parameters()}
    loss = build_svi(model, guide).step(*corpus_of(random_documents()).batch(range(8)))
    assert np.isfinite(loss)
    assert int(guide.topics.steps) == 1
    after = learned(model, guide) | dict(guide.named_parameters())
    constant = ({"alpha"} if learn == "fixed" else set()) | (set() if learn_beta else {"beta"})
    assert changed(before, after) == before.keys() - constant


@one_of_each_class
@pytest.mark.parametrize("warm_up", [0, 1])
def test_a_step_follows_the_formulas(kind: str, warm_up: int) -> None:
    model, guide = build(kind, warm_up=warm_up, warm_up_refinement_steps=2, refinement_steps=3)
    batch = corpus_of(random_documents()).batch(range(8), num_documents=600)
    words, offsets = batch.words, batch.offsets
    if warm_up:
        build_svi(model, guide).step(*batch)
    before, rho = learned(model, guide), guide.topics.step_size()
    concentration = guide.document_topics(words, offsets).concentration.detach()
    alpha, topic_words = before["alpha"], guide.topics.mean()
    build_svi(model, guide).step(*batch)

    local = refine(concentration, alpha, topic_words, words, offsets, steps=3)
    counts = torch.zeros(NUM_TOPICS, VOCABULARY_SIZE).index_add(1, words, local.responsibilities.T)
    expected = (1.0 - rho) * before["topics"] + rho * (before["beta"] + 600 / 8 * counts)
    torch.testing.assert_close(guide.topics.concentration, expected)
    estimate = document_concentration_fixed_point(alpha, local, offsets, symmetric=False)
    expected = (1.0 - rho) * alpha + rho * estimate
    torch.testing.assert_close(model.document_concentration, expected)


def test_the_warm_up_starts_at_random_and_not_from_the_encoder() -> None:
    batch = corpus_of(random_documents()).batch(range(8))
    topics = []
    for seed, make in ((1, make_expressive), (1, lambda guide: None), (2, lambda guide: None)):
        pyro.set_rng_seed(0)
        model, guide = build("mean", warm_up=1)
        make(guide)
        pyro.set_rng_seed(seed)
        words, offsets = batch.words, batch.offsets
        concentration = guide.document_topics(words, offsets).concentration.detach()
        guide.learn_from(words, offsets, 12, concentration)
        topics.append(guide.topics.concentration)
    torch.testing.assert_close(topics[0], topics[1])
    assert (topics[1] - topics[2]).abs().max() > 0.01


def test_an_unknown_way_to_learn_alpha_is_an_error() -> None:
    with pytest.raises(ValueError, match="'free'.*asymmetric, symmetric, fixed"):
        build("mean", learn_document_concentration="free")


@one_of_each_class
def test_alpha_and_beta_wait_for_the_end_of_the_warm_up(kind: str) -> None:
    model, guide = build(kind, warm_up=2, learn_topic_concentration=True)
    svi, batch = build_svi(model, guide), corpus_of(random_documents()).batch(range(12))
    moved = []
    for _ in range(4):
        before = learned(model, guide)
        svi.step(*batch)
        moved.append(changed(before, learned(model, guide)) - {"topics", "steps"})
    assert moved == [set(), set(), {"alpha", "beta"}, {"alpha", "beta"}]


def evaluate(svi: SVI, batch: DocumentBatch) -> None:
    svi.evaluate_loss(*batch)


def predict(svi: SVI, batch: DocumentBatch) -> None:
    Predictive(svi.model, guide=svi.guide, num_samples=3)(*batch._replace(obs=None))


def step_in_eval_mode(svi: SVI, batch: DocumentBatch) -> None:
    svi.guide.eval()
    svi.step(*batch)


@pytest.mark.parametrize("use", [evaluate, predict, step_in_eval_mode])
@one_of_each_class
def test_only_training_moves_the_topics(
    kind: str, use: Callable[[SVI, DocumentBatch], None]
) -> None:
    model, guide = build(kind, warm_up=0, learn_topic_concentration=True)
    svi, batch = build_svi(model, guide), corpus_of(random_documents()).batch(range(8))
    before = learned(model, guide)
    use(svi, batch)
    assert not changed(before, learned(model, guide))
    guide.train()
    svi.step(*batch)
    assert changed(before, learned(model, guide)) == before.keys()


@one_of_each_class
def test_every_way_to_the_loss_gives_the_same(kind: str) -> None:
    model, guide = build(kind)
    guide.eval()
    batch = corpus_of(random_documents()).batch(range(8))
    elbo = TraceMeanField_ELBO()
    losses = []
    for loss in (elbo.loss, elbo.differentiable_loss, elbo.loss_and_grads):
        pyro.set_rng_seed(1)
        losses.append(torch.as_tensor(loss(model, guide, *batch)).item())
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


@one_of_each_class
def test_predictions_have_the_shapes_of_the_model(kind: str) -> None:
    model, guide = build(kind)
    batch = corpus_of(random_documents()).batch([3, 0, 7])
    draws = Predictive(model, guide=guide, num_samples=5)(*batch._replace(obs=None))
    shapes = {name: tuple(value.shape) for name, value in draws.items()}
    assert shapes["topic_words"] == (5, NUM_TOPICS, VOCABULARY_SIZE)
    assert shapes["document_topics"] == (5, 3, NUM_TOPICS)
    assert shapes["words"] == (5, 4 + 1 + 8)


@one_of_each_class
def test_inference_is_the_encoder_and_then_the_fixed_point(kind: str) -> None:
    model, guide = build(kind)
    make_expressive(guide)
    words, offsets, *_ = corpus_of(random_documents()).batch(range(12))
    start = guide.document_topics(words, offsets).concentration
    torch.testing.assert_close(guide.infer_concentration(words, offsets), start)
    torch.testing.assert_close(guide.infer(words, offsets), start / start.sum(-1, keepdim=True))
    assert not guide.infer(words, offsets).requires_grad
    expected = refine(
        start, model.document_concentration, guide.topics.mean(), words, offsets, steps=4
    )
    actual = guide.infer_concentration(words, offsets, steps=4)
    torch.testing.assert_close(actual, expected.concentration)
    proportions = actual / actual.sum(-1, keepdim=True)
    torch.testing.assert_close(guide.infer(words, offsets, steps=4), proportions)


@every_kind
def test_documents_are_paired_with_their_own_topics(kind: str) -> None:
    model, guide = build(kind)
    make_expressive(guide)
    guide.eval()
    corpus = corpus_of(random_documents())
    order = torch.randperm(12)
    traces = [
        poutine.trace(guide).get_trace(*corpus.batch(indices)) for indices in (range(12), order)
    ]
    once, again = (trace.nodes["document_topics"]["fn"].mean for trace in traces)
    torch.testing.assert_close(again, once[order], rtol=1e-3, atol=1e-4)
    assert once.std(0).max() > 0.05


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_exchangeable_guide_ignores_the_order_of_words(pooling: str) -> None:
    _, guide = build(pooling)
    make_expressive(guide)
    documents = random_documents()
    shuffled = [[document[p] for p in torch.randperm(len(document))] for document in documents]
    assert shuffled != documents
    once, again = (
        guide.infer(*corpus_of(texts).batch(range(12))[:2]) for texts in (documents, shuffled)
    )
    torch.testing.assert_close(again, once, rtol=1e-3, atol=1e-4)
    assert (once / once.sum(-1, keepdim=True)).std(0).max() > 0.05


def test_the_fixed_length_guide_reads_its_first_words_in_their_order() -> None:
    _, guide = build("fixed-length")
    make_expressive(guide)

    def encoded(*documents: list[int]) -> Tensor:
        batch = corpus_of(documents).batch(range(len(documents)))
        return guide.encode(batch.words, batch.offsets)

    head = [3, 1, 4, 1, 5, 9]
    expected = encoded(head)
    torch.testing.assert_close(encoded(head + [2, 6, 5]), expected)
    torch.testing.assert_close(encoded(head + [8], [7] * 9)[:1], expected)
    assert (encoded(head[::-1]) - expected).abs().max() > 0.1
    assert (encoded(head[:-1]) - expected).abs().max() > 0.1
    # The padding of a short document is nothing, not the words of the next one.
    torch.testing.assert_close(encoded(head[:2], [7] * 9)[:1], encoded(head[:2]))


@every_kind
@pytest.mark.parametrize("factor", [1.0, 100.0])
def test_concentrations_are_what_float32_can_draw(kind: str, factor: float) -> None:
    model, guide = build(kind)
    model.document_concentration.fill_(1e-3)
    make_expressive(guide)
    for parameter in guide.parameters():
        parameter.data.mul_(factor)
    words, offsets, *_ = corpus_of(random_documents()).batch(range(12))
    posterior = guide.document_topics(words, offsets)
    assert posterior.concentration.min() >= CONCENTRATION_FLOOR == 1e-2
    # No document counts for more words than it has.
    most = offsets.diff() + NUM_TOPICS * CONCENTRATION_FLOOR
    assert (posterior.concentration.sum(-1) <= most * (1.0 + 1e-6)).all()
    assert posterior.rsample().isfinite().all()


def test_pathwise_gradients_are_those_of_the_expected_bound() -> None:
    # With two topics that are known, E_q is an integral over one proportion. Many copies of one
    # document are many draws in one pass.
    copies, passes, document = 4000, 12, [0, 0, 1, 7]
    model = LDA(VOCABULARY_SIZE, 2, document_concentration=0.6).double()
    guide = ExchangeableGuide(model, element_sizes=(3,), readout_sizes=(3,)).double()
    guide.eval()
    topic_words = torch.randn(2, VOCABULARY_SIZE).double().softmax(-1)
    known = poutine.condition(model, {"topic_words": topic_words})
    alone = poutine.block(guide, hide=["topic_words"])
    parameters = list(guide.parameters())

    words, offsets = torch.tensor(document), torch.tensor([0, len(document)])
    nodes, weights = np.polynomial.legendre.leggauss(400)
    # theta = sin^2(angle) tames the ends of the interval, where the density can be infinite.
    angle = torch.from_numpy((nodes + 1.0) * np.pi / 4.0)
    slope = torch.from_numpy(weights * np.pi / 4.0) * (2.0 * angle).sin()
    theta = torch.stack([angle.sin().square(), angle.cos().square()], -1)
    posterior = guide.document_topics(words, offsets)
    log_likelihood = (theta @ topic_words[:, words]).log().sum(-1)
    ratio = posterior.log_prob(theta) - model.document_topics_prior().log_prob(theta)
    density = posterior.log_prob(theta).exp()
    assert (slope * density).sum().item() == pytest.approx(1.0, abs=1e-6)
    expected_loss = (slope * density * (ratio - log_likelihood)).sum()
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(expected_loss, parameters)])

    batch = corpus_of([document] * copies).batch(range(copies))
    estimates = []
    for _ in range(passes):
        loss = TraceMeanField_ELBO().differentiable_loss(known, alone, *batch) / copies
        estimates.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
    estimates = torch.stack(estimates)
    error = estimates.std(0) / passes**0.5
    assert expected.abs().max() > 20.0 * error.max()
    assert ((estimates.mean(0) - expected).abs() <= 6.0 * error + 1e-9).all()


# Several guides


def state_of(model: LDA, guide: LDAGuide) -> dict[str, Tensor]:
    states = {**guide.state_dict(), **model.state_dict(prefix="model.")}
    return {name: value.clone() for name, value in states.items()}


def test_guides_in_one_process_do_not_interact() -> None:
    batch = corpus_of(random_documents()).batch(range(12))

    def start(number: int) -> tuple[LDA, LDAGuide, SVI]:
        pyro.set_rng_seed(number)
        model, guide = build("mean", warm_up=1)
        return model, guide, build_svi(model, guide)

    def advance(number: int, svi: SVI, step: int) -> None:
        pyro.set_rng_seed(100 * number + step)
        svi.step(*batch)

    alone = []
    for number in range(2):
        model, guide, svi = start(number)
        for step in range(4):
            advance(number, svi, step)
        alone.append(state_of(model, guide))
    pairs = [start(number) for number in range(2)]
    for step in range(4):
        for number, (_, _, svi) in enumerate(pairs):
            advance(number, svi, step)
    for (model, guide, _), expected in zip(pairs, alone, strict=True):
        actual = state_of(model, guide)
        assert actual.keys() == expected.keys()
        assert not changed(expected, actual)


@every_kind
def test_a_guide_continues_from_the_state_of_another(kind: str) -> None:
    batch = corpus_of(random_documents()).batch(range(12))
    model, guide = build(kind, warm_up=1)
    svi = build_svi(model, guide)
    for _ in range(4):
        svi.step(*batch)
    other_model, other = build(kind, warm_up=1)
    other_svi = build_svi(other_model, other)
    other_svi.step(*batch)  # its parameters have been in use before
    other.load_state_dict(guide.state_dict(), strict=True)
    other_model.load_state_dict(model.state_dict(), strict=True)
    losses = []
    for one in (svi, other_svi):
        pyro.set_rng_seed(1)
        losses.append(one.evaluate_loss(*batch))
    assert losses[0] == losses[1]
    inputs = (batch.words, batch.offsets)
    assert torch.equal(guide.infer(*inputs, steps=3), other.infer(*inputs, steps=3))
