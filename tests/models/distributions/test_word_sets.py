"""The distribution of words: density, samples and behaviour as a Pyro distribution."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle
from collections.abc import Callable

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions.testing.gof import multinomial_goodness_of_fit
from torch import Tensor

from exvae.models.distributions.word_sets import WordSets

# Every test draws with a fixed seed, so this is how unlikely a seed has to be bad.
SMALLEST_P_VALUE = 1e-3

OFFSETS = torch.tensor([0, 1, 1, 4, 8])
WORDS = torch.tensor([4, 0, 2, 0, 3, 3, 1, 4])


def simplices(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype).softmax(-1)


def example() -> WordSets:
    """Four documents of 1, 0, 3 and 4 words, three topics, five entries in the vocabulary."""
    return WordSets(simplices(4, 3), simplices(3, 5), OFFSETS)


def test_log_prob_is_the_sum_over_every_assignment_of_topics() -> None:
    words = example()
    expected = []
    for document, topics in enumerate(words.document_topics):
        own = WORDS[OFFSETS[document] : OFFSETS[document + 1]]
        probability = 0.0
        for assignment in itertools.product(range(3), repeat=len(own)):
            terms = (
                topics[z] * words.topic_words[z, w] for z, w in zip(assignment, own, strict=True)
            )
            probability += math.prod(terms)
        expected.append(math.log(probability))
    torch.testing.assert_close(
        words.log_prob(WORDS), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("length", [1, 2])
def test_probabilities_of_all_documents_of_one_length_sum_to_one(length: int) -> None:
    documents = torch.cartesian_prod(*[torch.arange(6)] * length).reshape(-1, length)
    offsets = torch.arange(len(documents) + 1) * length
    topics = simplices(3).expand(len(documents), 3)
    log_prob = WordSets(topics, simplices(3, 6), offsets).log_prob(documents.flatten())
    assert log_prob.exp().sum().item() == pytest.approx(1.0, abs=1e-12)


def test_gradients_of_log_prob() -> None:
    def log_prob(topics: Tensor, words: Tensor) -> Tensor:
        return WordSets(topics.softmax(-1), words.softmax(-1), OFFSETS).log_prob(WORDS)

    topics = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    words = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(log_prob, (topics, words))


def test_samples_fit_the_density_of_each_document() -> None:
    # Documents of two words of each of two kinds, in turn: the pairs tell the documents apart,
    # and words that were not independent given the topics.
    repeats = 20_000
    topics, topic_words = simplices(2, 3), simplices(3, 4)
    offsets = torch.arange(2 * repeats + 1) * 2
    draw = WordSets(topics.repeat(repeats, 1), topic_words, offsets).sample()
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    for kind, own in enumerate(topics):
        probabilities = (
            WordSets(own.expand(16, 3), topic_words, torch.arange(17) * 2)
            .log_prob(pairs.flatten())
            .exp()
        )
        first, second = draw.reshape(repeats, 2, 2)[:, kind].unbind(-1)
        counts = torch.bincount(4 * first + second, minlength=16)
        assert multinomial_goodness_of_fit(probabilities, counts) > SMALLEST_P_VALUE


def test_each_of_several_samples_fits_the_density() -> None:
    offsets = torch.tensor([0, 20_000, 45_000])
    words = WordSets(simplices(2, 3), simplices(3, 6), offsets)
    probabilities = words.document_topics @ words.topic_words
    draws = words.sample((3,))
    assert not torch.equal(draws[0], draws[1])
    for draw in draws:
        for own, expected in zip(draw.tensor_split(offsets[1:-1]), probabilities, strict=True):
            counts = torch.bincount(own, minlength=6)
            assert multinomial_goodness_of_fit(expected, counts) > SMALLEST_P_VALUE


@pytest.mark.parametrize("sample_shape", [(), (3,), (2, 3)])
def test_shapes(sample_shape: tuple[int, ...]) -> None:
    words = example()
    assert words.batch_shape == (4,)
    assert words.event_shape == (8,)
    sample = words.sample(torch.Size(sample_shape))
    assert sample.shape == (*sample_shape, 8)
    assert sample.dtype == torch.int64
    assert words.log_prob(WORDS).shape == (4,)


def test_documents_without_words() -> None:
    words = WordSets(simplices(2, 3), simplices(3, 5), torch.tensor([0, 0, 0]))
    sample = words.sample()
    assert sample.shape == (0,)
    assert words.log_prob(sample).tolist() == [0.0, 0.0]


def test_documents_cannot_be_repeated() -> None:
    words = example()
    for shape in ([5], [4, 1]):
        with pytest.raises(ValueError, match=r"batch shape \(4,\) and cannot be expanded"):
            words.expand(torch.Size(shape))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (WORDS[:-1], "the offsets say 8 words"),
        (torch.cat([WORDS, WORDS[:1]]), "the offsets say 8 words"),
        (torch.where(WORDS == 2, 5, WORDS), "outside the vocabulary of 5"),
        (torch.where(WORDS == 2, -1, WORDS), "outside the vocabulary of 5"),
    ],
    ids=["too short", "too long", "too large", "negative"],
)
def test_words_that_cannot_be_are_errors(value: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        example().log_prob(value)


def test_parameters_off_the_simplex_are_errors() -> None:
    with pytest.raises(ValueError, match="document_topics"):
        WordSets(simplices(4, 3) * 1.1, simplices(3, 5), OFFSETS)
    with pytest.raises(ValueError, match="topic_words"):
        WordSets(simplices(4, 3), simplices(3, 5) * 1.1, OFFSETS)


@pytest.mark.parametrize("rare", [0.0, 1e-30])
def test_underflow_stays_finite(rare: float) -> None:
    # Topic 0 never says word 1, and the document has next to nothing of topic 1.
    topics = torch.tensor([[1.0, rare]], requires_grad=True)
    topic_words = torch.tensor([[1.0, 0.0], [1.0, rare]], requires_grad=True)
    log_prob = WordSets(topics, topic_words, torch.tensor([0, 3])).log_prob(torch.tensor([1, 0, 1]))
    log_prob.sum().backward()
    assert -1000.0 < log_prob.item() < -100.0
    assert topics.grad.isfinite().all()
    assert topic_words.grad.isfinite().all()


def test_within_a_plate_under_a_mask() -> None:
    topics, topic_words = simplices(4, 3), simplices(3, 5)
    mask = torch.tensor([True, True, False, True])

    def model() -> None:
        with pyro.plate("documents", 40, subsample=torch.arange(4)), poutine.mask(mask=mask):
            pyro.sample("words", WordSets(topics, topic_words, OFFSETS), obs=WORDS)

    trace = poutine.trace(model).get_trace()
    expected = 10.0 * WordSets(topics, topic_words, OFFSETS).log_prob(WORDS)[mask].sum()
    torch.testing.assert_close(trace.log_prob_sum(), expected)


def saved_and_loaded(words: WordSets) -> WordSets:
    buffer = io.BytesIO()
    torch.save(words, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize(
    "copied",
    [lambda words: pickle.loads(pickle.dumps(words)), saved_and_loaded, copy.deepcopy],
    ids=["pickle", "torch.save", "deepcopy"],
)
def test_copies_are_equal_and_independent(copied: Callable[[WordSets], WordSets]) -> None:
    words = example()
    expected = words.log_prob(WORDS)
    other = copied(words)
    words.document_topics.fill_(1.0 / 3.0)
    assert torch.equal(other.log_prob(WORDS), expected)
    assert other.sample().shape == (8,)


def test_outer_dimensions_broadcast() -> None:
    """Several draws of theta and phi score, and generate, as one after the other."""
    thetas, phis = simplices(5, 4, 3), simplices(5, 3, 6)
    together = WordSets(thetas, phis, OFFSETS, validate_args=True)
    values = together.sample((2,))
    assert values.shape == (2, 5, len(WORDS))
    for value in (WORDS, values[0], values):
        found = together.log_prob(value)
        assert found.shape == (*value.shape[:-2], 5, 4)
        for draw in range(5):
            own = value if value.dim() == 1 else value[..., draw, :]
            alone = WordSets(thetas[draw], phis[draw], OFFSETS)
            torch.testing.assert_close(found[..., draw, :], alone.log_prob(own))
    words = example()
    repeated = words.expand(torch.Size([5, 4]))
    torch.testing.assert_close(repeated.log_prob(WORDS), words.log_prob(WORDS).expand(5, -1))
    # Of words that only one draw of phi has, none is drawn by another.
    one_hot = torch.eye(6)[torch.arange(5)].unsqueeze(1).expand(5, 3, 6)
    assert (WordSets(thetas, one_hot, OFFSETS).sample() == torch.arange(5)[:, None]).all()
