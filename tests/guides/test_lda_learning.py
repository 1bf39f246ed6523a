"""What a guide of topics learns, and when: warm-up, dead topics, concentrations and floors."""

from __future__ import annotations

from collections.abc import Callable

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Importance
from torch import Tensor

from exvae.data.corpora import DocumentBatch
from exvae.guides.conjugate import (
    TopicPosterior,
    document_concentration_fixed_point,
    topic_concentration_fixed_point,
)
from exvae.guides.fixed_point import UPDATES, LocalPosterior, refine
from exvae.guides.lda import (
    LARGEST_LEAST_STEP,
    LATE_SPLITS,
    SEPARATION,
    ExchangeableGuide,
    FixedLengthGuide,
    LDAGuide,
)
from exvae.guides.sets import POOLINGS
from exvae.models.lda import LDA


class ConstantGuide(LDAGuide):
    """Reads nothing: the same answer for every document."""

    answer = torch.tensor([0.7, 1.0, -0.5, 0.2])

    def encode(self, words: Tensor, offsets: Tensor) -> Tensor:
        return self.answer.expand(len(offsets) - 1, -1)


def test_the_concentration_is_alpha_and_a_share_of_the_words(documents: DocumentBatch) -> None:
    model = LDA(20, 3)
    model.document_concentration.copy_(torch.tensor([0.2, 0.9, 0.4]))
    found = ConstantGuide(model).document_topics(documents.words, documents.offsets)
    share, topics = ConstantGuide.answer[0].sigmoid(), ConstantGuide.answer[1:].softmax(0)
    lengths = torch.arange(1.0, 13.0).unsqueeze(-1)
    expected = model.document_concentration + lengths * share * topics
    torch.testing.assert_close(found.concentration, expected)


def test_concentrations_of_documents_have_a_floor(documents: DocumentBatch) -> None:
    model = LDA(20, 3, document_concentration=1e-3)
    guide = ConstantGuide(model)
    guide.answer = torch.tensor([-100.0, 0.0, 0.0, 0.0])
    found = guide.document_topics(documents.words, documents.offsets).concentration
    torch.testing.assert_close(found, torch.full((12, 3), 0.01))


@pytest.mark.parametrize("update", UPDATES)
def test_the_kind_of_fixed_point_is_that_of_the_guide(
    learner: Callable[..., SVI], documents: DocumentBatch, update: str
) -> None:
    svi = learner(update=update)
    words, offsets = documents.words, documents.offsets
    start = svi.guide.infer_concentration(words, offsets)
    alpha, topic_words = svi.model.document_concentration, svi.guide.topics.mean()
    for steps in (1, 3):
        found = svi.guide.infer_concentration(words, offsets, steps=steps)
        for kind in UPDATES:
            wanted = refine(start, alpha, topic_words, words, offsets, steps=steps, update=kind)
            assert torch.allclose(found, wanted.concentration) == (kind == update)


def test_the_collapsed_fixed_point_is_the_default(
    learner: Callable[..., SVI], documents: DocumentBatch
) -> None:
    found = [
        learner(**options).guide.infer_concentration(documents.words, documents.offsets, steps=3)
        for options in ({}, {"update": "collapsed"})
    ]
    assert torch.equal(*found)
    alpha, topic_words = torch.full((3,), 0.3), torch.rand(3, 20)
    arguments = (found[0], alpha, topic_words, documents.words, documents.offsets)
    plain, named = refine(*arguments, steps=2), refine(*arguments, steps=2, update="collapsed")
    assert torch.equal(plain.concentration, named.concentration)


def test_sizes_of_layers_are_those_asked_for() -> None:
    guide = ExchangeableGuide(LDA(20, 3), element_sizes=(7, 5), readout_sizes=(6, 4))
    shapes = [tuple(value.shape) for value in guide.parameters() if value.dim() == 2]
    # h reads the size of the set, too, and gives a share beside three topics.
    assert shapes == [(7, 20), (5, 7), (6, 6), (4, 6), (4, 4)]
    guide = FixedLengthGuide(LDA(20, 3), length=2, embedding_size=3, readout_sizes=(5, 6))
    shapes = [tuple(value.shape) for value in guide.parameters() if value.dim() == 2]
    assert shapes == [(20, 3), (5, 6), (6, 5), (4, 6)]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_pooling_is_the_one_asked_for(pooling: str) -> None:
    guide = ExchangeableGuide(LDA(20, 3), pooling=pooling, element_sizes=(5,))
    one, other = guide.encode(torch.tensor([3, 3, 8, 3, 8, 8]), torch.tensor([0, 3, 6]))
    assert torch.allclose(one, other) == (pooling == "max")
    assert guide.encoder.readout[0].in_features == (11 if pooling == "moments" else 6)


# Warm-up


def topics_after_one_step(learner: Callable[..., SVI], batch: DocumentBatch, **options) -> Tensor:
    svi = learner(**options)
    pyro.set_rng_seed(1)
    svi.step(*batch)
    return svi.guide.topics.concentration


def test_the_warm_up_has_refinement_steps_of_its_own(
    learner: Callable[..., SVI], documents: DocumentBatch
) -> None:
    def differ(name: str, warm_up: int) -> bool:
        few, many = (
            topics_after_one_step(learner, documents, warm_up=warm_up, **{name: steps})
            for steps in (1, 12)
        )
        return not torch.allclose(few, many, rtol=1e-3)

    assert differ("warm_up_refinement_steps", 1)
    assert not differ("refinement_steps", 1)
    assert not differ("warm_up_refinement_steps", 0)
    assert differ("refinement_steps", 0)


@pytest.mark.parametrize(
    ("warm_up", "named"), [(0, {"refinement_steps": 10}), (1, {"warm_up_refinement_steps": 20})]
)
def test_refinement_steps_that_are_not_told(
    learner: Callable[..., SVI], documents: DocumentBatch, warm_up: int, named: dict[str, int]
) -> None:
    plain = topics_after_one_step(learner, documents, warm_up=warm_up)
    assert torch.equal(plain, topics_after_one_step(learner, documents, warm_up=warm_up, **named))


def test_a_random_start_is_as_sure_as_the_words_are_many(
    learner: Callable[..., SVI], documents: DocumentBatch
) -> None:
    svi = learner()
    svi.model.document_concentration.copy_(torch.tensor([0.2, 0.9, 0.4]))
    start = svi.guide.random_concentration(documents.offsets)
    torch.testing.assert_close(start.sum(-1), 1.5 + torch.arange(1.0, 13.0))
    assert (start > svi.model.document_concentration).all()


def test_the_first_hundred_steps_are_the_warm_up(
    learner: Callable[..., SVI], documents: DocumentBatch
) -> None:
    svi = learner()
    moved = []
    for number in (98, 99, 100):
        svi.guide.topics.steps.fill_(number)
        before = svi.model.document_concentration.clone()
        svi.step(*documents)
        moved.append(not torch.equal(before, svi.model.document_concentration))
    assert moved == [False, False, True]


@pytest.mark.parametrize(("warm_up", "expected"), [(44, [20]), (70, [20, 40, 60])])
def test_dead_topics_are_looked_for_every_twenty_steps_of_the_warm_up(
    learner: Callable[..., SVI], documents: DocumentBatch, warm_up: int, expected: list[int]
) -> None:
    """Not in its last tenth, in which topics that were split come to rest."""
    # So large a beta that a topic of no words would not look empty beside it.
    svi = learner(topic_concentration=5.0, warm_up=warm_up)
    revived = []
    for step in range(1, 82):
        svi.guide.topics.concentration[:] = torch.tensor([5.0, 15.0, 15.0]).unsqueeze(-1)
        svi.step(*documents)
        held = (svi.guide.topics.concentration - 5.0).clamp(min=0.0).sum(-1)
        if held[0] > 0.3 * held.mean():
            revived.append(step)
    assert revived == expected


# A topic of many words, and a small one whose words are at home in it.
ONE_DEAD, TWO_DEAD = [90.0, 80.0, 1.0], [90.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("step", "held", "training", "split"),
    [
        (10 + LATE_SPLITS[0], ONE_DEAD, True, True),
        (10 + LATE_SPLITS[1], ONE_DEAD, True, True),
        (11 + LATE_SPLITS[0], ONE_DEAD, True, False),
        (10 + LATE_SPLITS[0], ONE_DEAD, False, False),
        (10 + LATE_SPLITS[0], TWO_DEAD, True, False),
        (10 + LATE_SPLITS[0], [90.0, 80.0, 70.0], True, False),
    ],
)
def test_a_topic_that_died_after_the_warm_up_takes_half_of_the_largest(
    learner: Callable[..., SVI],
    documents: DocumentBatch,
    step: int,
    held: list[float],
    training: bool,
    split: bool,
) -> None:
    """Not where many have died, as there are more topics than subjects then."""
    guide = learner(warm_up=10).guide.train(training)
    alpha = guide.model.document_concentration
    alpha.copy_(torch.tensor([0.5, 0.4, 0.03]))
    guide.topics.steps.fill_(step)
    guide.topics.concentration[:] = torch.tensor(held).unsqueeze(-1)
    guide.learn_from(documents.words, documents.offsets, 100, torch.ones(12, 3))
    assert int(guide.separating_until) == (step + SEPARATION if split else 0)
    learned = alpha.clone()
    if split:
        torch.testing.assert_close(alpha, torch.tensor([0.31, 0.4, 0.31]))
    for _ in range(SEPARATION):
        guide.learn_from(documents.words, documents.offsets, 100, torch.ones(12, 3))
    assert not torch.equal(alpha, learned)


def test_topics_that_were_split_separate_from_random_starts(
    learner: Callable[..., SVI], documents: DocumentBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = learner(warm_up=0, warm_up_refinement_steps=7, refinement_steps=3).guide
    taken = []
    refined = guide.refined

    def counted(*given: object, **asked: object) -> LocalPosterior:
        taken.append(given[-1])
        return refined(*given, **asked)

    monkeypatch.setattr(guide, "refined", counted)
    guide.separating_until.fill_(2)
    alpha = guide.model.document_concentration.clone()
    for _ in range(3):
        guide.learn_from(documents.words, documents.offsets, 100, torch.ones(12, 3))
        if len(taken) == 2:
            assert torch.equal(alpha, guide.model.document_concentration)
    assert taken == [7, 7, 3]
    assert not torch.equal(alpha, guide.model.document_concentration)


def test_beta_moves_by_the_step_size_of_the_topics(
    learner: Callable[..., SVI], documents: DocumentBatch
) -> None:
    svi = learner(warm_up=0, learn_topic_concentration=True)
    beta = svi.model.topic_concentration.clone()
    rho = svi.guide.topics.step_size(LARGEST_LEAST_STEP)
    svi.step(*documents)
    estimate = topic_concentration_fixed_point(beta, svi.guide.topics.concentration)
    assert abs(estimate - beta) > 0.01
    expected = (1.0 - rho) * beta + rho * estimate
    torch.testing.assert_close(svi.model.topic_concentration, expected)


def test_a_symmetric_alpha_stays_symmetric(
    learner: Callable[..., SVI], documents: DocumentBatch
) -> None:
    spread = {}
    for learn in ("asymmetric", "symmetric"):
        svi = learner(learn_document_concentration=learn, warm_up=0)
        svi.step(*documents)
        alpha = svi.model.document_concentration
        spread[learn] = float(alpha.max() / alpha.min())
    assert spread["symmetric"] == pytest.approx(1.0, rel=1e-6)
    assert spread["asymmetric"] > 1.001


# The topics themselves


def test_the_first_step_size() -> None:
    topics = TopicPosterior(2, 3)
    assert topics.step_size() == pytest.approx(10.0**-0.7)
    topics.steps += 6
    assert topics.step_size() == pytest.approx(16.0**-0.7)


@pytest.mark.parametrize(("size", "least"), [(12, 0.1), (100, 0.1), (600, 0.02)])
def test_steps_do_not_fall_below_the_share_of_the_minibatch(
    learner: Callable[..., SVI], documents: DocumentBatch, size: int, least: float
) -> None:
    """Topics then average over about the last pass; during the warm-up they follow the formula."""
    for warm_up, expected in ((0, least), (10**7, (10**6 + 10.0) ** -0.7)):
        svi = learner(warm_up=warm_up)
        topics = svi.guide.topics
        topics.steps.fill_(10**6)
        topics.concentration.fill_(1.0)
        svi.step(*documents._replace(num_documents=size))
        words = float(topics.concentration.sum()) - topics.concentration.numel()
        beta = float(svi.model.topic_concentration)
        total = topics.concentration.numel() * (beta - 1.0) + size / 12 * len(documents.words)
        assert words / total == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("warm_up", "expected"), [(0, 0.2), (10**7, (10**6 + 10.0) ** -0.7)])
def test_a_least_step_size_that_is_given_holds_after_the_warm_up(
    learner: Callable[..., SVI], documents: DocumentBatch, warm_up: int, expected: float
) -> None:
    svi = learner(warm_up=warm_up)
    topics = svi.guide.topics
    topics.steps.fill_(10**6)
    topics.concentration.fill_(1.0)
    start = svi.guide.random_concentration(documents.offsets)
    svi.guide.learn_from(documents.words, documents.offsets, 24, start, least_step_size=0.2)
    gained = float(topics.concentration.sum()) - topics.concentration.numel()
    beta = float(svi.model.topic_concentration)
    whole = topics.concentration.numel() * (beta - 1.0) + 2 * len(documents.words)
    assert gained / whole == pytest.approx(expected, rel=1e-3)


def topics_that_hold(*held: float, prior: float = 0.1) -> TopicPosterior:
    """Make topics that hold these numbers of words beside the prior's."""
    topics = TopicPosterior(len(held), 40)
    shares = torch.rand(len(held), 40)
    shares /= shares.sum(-1, keepdim=True)
    topics.concentration.copy_(prior + torch.tensor(held).unsqueeze(-1) * shares)
    return topics


def changed_by_a_split(topics: TopicPosterior, prior: float = 0.1) -> list[int]:
    before = topics.concentration.clone()
    topics.split_into_dead(torch.tensor(prior))
    return (before != topics.concentration).any(-1).nonzero().flatten().tolist()


def test_a_topic_is_dead_below_two_fifths_of_the_mean() -> None:
    assert changed_by_a_split(topics_that_hold(100.0, 90.0, 28.0)) == [0, 2]
    assert changed_by_a_split(topics_that_hold(100.0, 90.0, 31.0)) == []


def test_the_prior_does_not_keep_a_topic_alive() -> None:
    assert changed_by_a_split(topics_that_hold(100.0, 90.0, 1.0, prior=10.0), 10.0) == [0, 2]


def test_no_more_topics_are_revived_than_live() -> None:
    assert changed_by_a_split(topics_that_hold(100.0, 3.0, 2.0, 1.0)) == [0, 3]


# Floors


def test_alpha_has_a_floor() -> None:
    prior = torch.tensor([0.5, 0.5])
    responsibilities = torch.tensor([[1.0, 0.0]]).repeat(6, 1)
    local = LocalPosterior(prior + torch.tensor([[3.0, 0.0]] * 2), responsibilities)
    offsets = torch.tensor([0, 3, 6])
    alpha = document_concentration_fixed_point(prior, local, offsets, symmetric=False)
    assert alpha[1] == pytest.approx(1e-3)
    assert alpha[0] > 0.1
    longer = document_concentration_fixed_point(prior, local, offsets, symmetric=False, steps=2)
    assert torch.equal(alpha, longer)


def test_a_topic_that_rounding_takes_below_alpha_has_no_words() -> None:
    prior = torch.tensor([1.0, 1.0])
    responsibilities = torch.tensor([[1.0, 1e-30]]).repeat(4, 1)
    local = LocalPosterior(torch.tensor([[3.0, 1.0 - 6e-8]] * 2), responsibilities)
    alpha = document_concentration_fixed_point(
        prior, local, torch.tensor([0, 2, 4]), symmetric=False
    )
    assert alpha[1] == pytest.approx(1e-3)


def test_beta_has_a_floor() -> None:
    concentration = torch.full((2, 1000), 0.01)
    concentration[:, 0] = 1000.0
    assert topic_concentration_fixed_point(torch.tensor(0.01), concentration) == pytest.approx(0.01)
    # Without the floor it would be 2e-4; where words are spread it is not reached.
    spread = torch.full((2, 1000), 3.0)
    assert topic_concentration_fixed_point(torch.tensor(0.01), spread) > 0.02


def test_beta_is_a_tenth_by_default() -> None:
    assert LDA(5, 4).topic_concentration == pytest.approx(0.1)


def test_topics_move_only_where_the_guide_learns(
    learner: Callable[..., SVI], documents: DocumentBatch
) -> None:
    """A trace, or Importance, runs the guide under gradients, too."""
    guide = learner().guide
    before = guide.topics.concentration.clone()
    guide.learn = False
    poutine.trace(guide).get_trace(*documents)
    Importance(guide.model, guide, num_samples=3).run(*documents)
    assert torch.equal(guide.topics.concentration, before)
    guide.learn = True
    poutine.trace(guide).get_trace(*documents)
    assert not torch.equal(guide.topics.concentration, before)
    frozen = learner(learn=False)
    before = frozen.guide.topics.concentration.clone()
    frozen.step(*documents)
    assert torch.equal(frozen.guide.topics.concentration, before)
