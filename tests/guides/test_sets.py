"""The encoder of sets: invariance, agreement of its three inputs, numerics and gradients."""

from __future__ import annotations

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

from exvae.guides.sets import POOLINGS, MeanPooling, MomentsPooling, SetEncoder

# Rounding of a standard deviation near zero is the root of the rounding of its square.
TOLERANCE = {torch.float32: 2e-3, torch.float64: 1e-6}

SIZES = st.lists(st.integers(1, 6) | st.integers(1000, 4000), min_size=1, max_size=4)
SEEDS = st.integers(0, 2**32 - 1)
property_test = settings(max_examples=20, deadline=None)

every_pooling = pytest.mark.parametrize("pooling", POOLINGS)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def offsets_of(sizes: list[int]) -> Tensor:
    return torch.tensor([0, *sizes]).cumsum(0)


def encoder_of(pooling: str, dtype: torch.dtype = torch.float64, features: int = 4) -> SetEncoder:
    """Small encoder whose results differ a lot between sets, unlike those of a fresh one."""
    encoder = SetEncoder(features, 3, element_sizes=(8, 6), readout_sizes=(7,), pooling=pooling)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.8)
    return encoder.to(dtype)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    tolerance = TOLERANCE[expected.dtype] * (1.0 + expected.abs().max().item())
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=tolerance)


@every_dtype
@every_pooling
@property_test
@given(sizes=SIZES, seed=SEEDS)
def test_order_does_not_matter_within_sets_and_carries_over_between_sets(
    pooling: str, dtype: torch.dtype, sizes: list[int], seed: int
) -> None:
    torch.manual_seed(seed)
    encoder = encoder_of(pooling, dtype)
    sets = [torch.randn(size, 4, dtype=dtype) for size in sizes]
    shuffled = [elements[torch.randperm(len(elements))] for elements in sets]
    order = torch.randperm(len(sets))
    expected = encoder(torch.cat(sets), offsets_of(sizes))
    actual = encoder(
        torch.cat([shuffled[position] for position in order]),
        offsets_of([sizes[position] for position in order]),
    )
    assert_same(actual, expected[order])


@every_dtype
@every_pooling
@property_test
@given(
    sizes=SIZES,
    seed=SEEDS,
    garbage=st.sampled_from([math.nan, math.inf, -1e30]),
    gaps=st.booleans(),
)
def test_padding_does_not_matter(
    pooling: str, dtype: torch.dtype, sizes: list[int], seed: int, garbage: float, gaps: bool
) -> None:
    torch.manual_seed(seed)
    encoder = encoder_of(pooling, dtype)
    sets = [torch.randn(size, 4, dtype=dtype) for size in sizes]
    length = max(sizes) + 3
    padded = torch.full((len(sets), length, 4), garbage, dtype=dtype)
    mask = torch.zeros(len(sets), length, dtype=torch.bool)
    for row, elements in enumerate(sets):
        order = torch.randperm(length) if gaps else torch.arange(length)
        positions = order[: len(elements)]
        padded[row, positions] = elements
        mask[row, positions] = True
    actual = encoder.forward_padded(padded, mask)
    assert_same(actual, encoder(torch.cat(sets), offsets_of(sizes)))
    actual.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@every_dtype
@every_pooling
@property_test
@given(sizes=SIZES, seed=SEEDS, vocabulary_size=st.sampled_from([1, 2, 9, 70]))
def test_words_are_one_hot_vectors(
    pooling: str, dtype: torch.dtype, sizes: list[int], seed: int, vocabulary_size: int
) -> None:
    torch.manual_seed(seed)
    encoder = encoder_of(pooling, dtype, features=vocabulary_size)
    words = torch.randint(vocabulary_size, (sum(sizes),))
    dense = functional.one_hot(words, vocabulary_size).to(dtype)
    expected = encoder(dense, offsets_of(sizes))
    actual = encoder.forward_one_hot(words, offsets_of(sizes))
    assert_same(actual, expected)


@every_pooling
@pytest.mark.parametrize("vocabulary_size", [5, 12, 13, 50])
def test_gradients_of_words_are_those_of_one_hot_vectors(
    pooling: str, vocabulary_size: int
) -> None:
    encoder = encoder_of(pooling, features=vocabulary_size)
    offsets = offsets_of([1, 7, 4])
    words = torch.randint(vocabulary_size, (12,))
    dense = functional.one_hot(words, vocabulary_size).double()
    parameters = list(encoder.parameters())
    expected = torch.autograd.grad(encoder(dense, offsets).square().sum(), parameters)
    actual = torch.autograd.grad(encoder.forward_one_hot(words, offsets).square().sum(), parameters)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("num_words", [1500, 6000])
def test_words_take_no_memory_of_words_times_vocabulary(num_words: int) -> None:
    vocabulary_size, widest_layer = 3000, 8
    encoder = encoder_of("mean", torch.float32, features=vocabulary_size)
    saved: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    words = torch.randint(vocabulary_size, (num_words,))
    with saved_tensors_hooks(note, lambda tensor: tensor):
        encoder.forward_one_hot(words, torch.arange(0, num_words + 1, 30))
    assert 0 < max(saved) <= widest_layer * max(vocabulary_size, num_words)


@every_pooling
def test_the_encoder_is_its_formula(pooling: str) -> None:
    """Phi(X) = h(norm(g(f(x))), log n), with softplus between the layers of f and of h."""
    encoder = encoder_of(pooling)
    elements = torch.randn(5, 4, dtype=torch.float64)
    weights = [*encoder.parameters()]
    (f1, b1, f2, b2), (gain, shift), (h1, c1, h2, c2) = weights[:4], weights[4:6], weights[6:]
    hidden = functional.softplus(elements @ f1.T + b1) @ f2.T + b2
    pooled = {
        "sum": hidden.sum(0),
        "mean": hidden.mean(0),
        "max": hidden.amax(0),
        "moments": torch.cat([hidden.mean(0), hidden.std(0, correction=0)]),
    }[pooling]
    normed = (pooled - pooled.mean()) / (pooled.var(correction=0) + 1e-5).sqrt() * gain + shift
    read = torch.cat([normed, torch.tensor([5.0]).double().log()])
    expected = functional.softplus(h1 @ read + c1) @ h2.T + c2
    torch.testing.assert_close(encoder(elements, offsets_of([5]))[0], expected)


@every_pooling
def test_every_parameter_learns(pooling: str) -> None:
    encoder = SetEncoder(4, 3, element_sizes=(8, 6), readout_sizes=(7,), pooling=pooling)
    encoder(torch.randn(20, 4), offsets_of([1, 12, 7])).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-8, name


@every_pooling
@pytest.mark.parametrize("size", [1, 2, 3000])
def test_identical_elements_are_finite(pooling: str, size: int) -> None:
    encoder = SetEncoder(4, 3, pooling=pooling)
    elements = torch.randn(1, 4).expand(size, 4).clone().requires_grad_()
    result = encoder(elements, offsets_of([size]))
    result.sum().backward()
    assert result.isfinite().all()
    assert elements.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_empty_set_is_an_error(position: int) -> None:
    encoder = SetEncoder(4, 3)
    sizes = [2, 3]
    sizes.insert(position, 0)
    offsets = offsets_of(sizes)
    mask = torch.arange(3) < torch.tensor(sizes)[:, None]
    with pytest.raises(ValueError, match="a set is empty"):
        encoder(torch.randn(5, 4), offsets)
    with pytest.raises(ValueError, match="a set is empty"):
        encoder.forward_padded(torch.randn(3, 3, 4), mask)
    with pytest.raises(ValueError, match="a set is empty"):
        encoder.forward_one_hot(torch.zeros(5, dtype=torch.int64), offsets)


class Doubled(MeanPooling):
    """Forgets to say that its result is twice as large."""

    def forward(self, table: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
        return super().forward(table, rows, offsets).repeat(1, 2)


class Unpooled(MeanPooling):
    """Gives all elements."""

    def forward(self, table: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
        return table[rows]


@pytest.mark.parametrize(("pooling", "shape"), [(Doubled, (2, 128)), (Unpooled, (7, 64))])
def test_a_pooling_of_another_shape_is_named(pooling: type, shape: tuple[int, int]) -> None:
    encoder = SetEncoder(4, 3, pooling=pooling)
    told = re.escape(
        f"{pooling.__name__} pools 2 sets to shape {shape}, not to (sets, output_size)"
    )
    with pytest.raises(ValueError, match=told):
        encoder(torch.randn(7, 4), torch.tensor([0, 4, 7]))


def test_an_unknown_pooling_is_an_error() -> None:
    with pytest.raises(ValueError, match="'median'.*sum, mean, max, moments"):
        SetEncoder(4, 3, pooling="median")


@every_pooling
def test_the_size_of_a_set_matters(pooling: str) -> None:
    encoder = encoder_of(pooling)
    pair = torch.randn(2, 4, dtype=torch.float64)
    once, twice = encoder(torch.cat([pair, pair, pair]), offsets_of([2, 4]))
    assert (once - twice).abs().max() > 1e-2


@every_pooling
def test_how_often_an_element_occurs_matters_except_to_the_maximum(pooling: str) -> None:
    encoder = encoder_of(pooling)
    a, b = torch.randn(2, 4, dtype=torch.float64)
    one, other = encoder(torch.stack([a, a, b, a, b, b]), offsets_of([3, 3]))
    difference = (one - other).abs().max()
    assert difference < 1e-12 if pooling == "max" else difference > 1e-2


TABLE = torch.tensor([[1.0, -2.0], [3.0, 0.5], [-4.0, 2.0], [0.0, 7.0]], dtype=torch.float64)
ROWS = torch.tensor([2, 0, 0, 1, 3, 3, 1])
BOUNDS = torch.tensor([0, 1, 4, 7])


@every_pooling
def test_pooling_is_what_its_name_says(pooling: str) -> None:
    sets = [TABLE[ROWS[0:1]], TABLE[ROWS[1:4]], TABLE[ROWS[4:7]]]
    expected = {
        "sum": lambda rows: rows.sum(0),
        "mean": lambda rows: rows.mean(0),
        "max": lambda rows: rows.amax(0),
        "moments": lambda rows: torch.cat([rows.mean(0), rows.std(0, correction=0)]),
    }[pooling]
    actual = POOLINGS[pooling](TABLE.shape[-1])(TABLE, ROWS, BOUNDS)
    torch.testing.assert_close(actual, torch.stack([*map(expected, sets)]), rtol=0.0, atol=1e-7)


@every_pooling
def test_gradients_of_pooling(pooling: str) -> None:
    # Without a set of one element: its standard deviation has no slope at zero.
    table = TABLE.clone().requires_grad_()
    offsets = torch.tensor([0, 4, 7])
    assert torch.autograd.gradcheck(lambda table: POOLINGS[pooling](2)(table, ROWS, offsets), table)


def test_the_deviation_of_large_identical_elements_is_nearly_zero() -> None:
    table = torch.full((1000, 3), 12345.678)
    moments = MomentsPooling(1)(table, torch.arange(1000), offsets_of([1, 999]))
    torch.testing.assert_close(moments[:, :3], table[:2])
    assert moments[:, 3:].max() < 1e-3


def test_the_deviation_of_identical_elements_far_from_the_others_is_finite() -> None:
    # Rounding makes some of these differences of squares negative.
    table = (1e4 * torch.randn(300, 5)).repeat_interleave(3, 0).requires_grad_()
    moments = MomentsPooling(1)(table, torch.arange(900), torch.arange(0, 901, 3))
    moments.sum().backward()
    assert moments.isfinite().all()
    assert table.grad.isfinite().all()


@every_dtype
def test_means_stand_for_sets_where_nothing_but_the_mean_counts(dtype: torch.dtype) -> None:
    options = {"element_sizes": (6,), "readout_sizes": (7,)}
    encoder = SetEncoder(4, 3, **options).to(dtype)
    assert encoder.reads_means
    sizes = [3, 1, 5]
    elements = torch.randn(sum(sizes), 4, dtype=dtype)
    means = torch.stack([own.mean(0) for own in elements.split(sizes)])
    expected = encoder(elements, offsets_of(sizes))
    assert_same(encoder.forward_means(means, torch.tensor(sizes)), expected)
    with pytest.raises(ValueError, match="a set is empty"):
        encoder.forward_means(means, torch.tensor([3, 0, 5]))


class OwnMean(MeanPooling):
    """A pooling of a user, which may be anything."""


@pytest.mark.parametrize("pooling", [own for own in POOLINGS if own != "mean"] + [OwnMean])
def test_other_encoders_read_all_elements(pooling: str) -> None:
    assert not SetEncoder(4, 3, element_sizes=(6,), pooling=pooling).reads_means
    assert not SetEncoder(4, 3, element_sizes=(8, 6)).reads_means
