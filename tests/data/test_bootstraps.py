"""Sufficient statistics of bootstraps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exvae.data.bootstraps import BootstrapMean, BootstrapSummary

reads = st.one_of(st.just(0.0), st.floats(-1e3, 1e6, width=32))
bootstraps = st.lists(reads, min_size=1, max_size=12)


@settings(deadline=None)
@given(bootstraps)
def test_of_any_bootstraps(values: list[float]) -> None:
    summary = BootstrapSummary.of(torch.tensor(values, dtype=torch.float64))
    present = np.array([value for value in values if value != 0.0])
    assert summary.zeros == len(values) - len(present)
    assert summary.positives == len(present)
    mean = present.mean() if len(present) else 0.0
    assert summary.mean.item() == pytest.approx(mean, rel=1e-9, abs=1e-9)
    squares = ((present - mean) ** 2).sum()
    assert summary.sum_of_squares.item() == pytest.approx(squares, rel=1e-9, abs=1e-6)


@settings(deadline=None)
@given(bootstraps, st.randoms(use_true_random=False))
def test_the_order_says_nothing(values: list[float], random) -> None:
    shuffled = random.sample(values, len(values))
    one, other = (
        BootstrapSummary.of(torch.tensor(x, dtype=torch.float64)) for x in (values, shuffled)
    )
    assert (one.zeros, one.positives) == (other.zeros, other.positives)
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(one.sum_of_squares, other.sum_of_squares, rtol=1e-9, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_a_batch(dtype: torch.dtype) -> None:
    values = torch.tensor(
        [[[0.0, 0.0, 0.0], [0.5, 0.0, 1.5]], [[2.0, 2.0, 2.0], [-1.0, 0.0, 0.0]]], dtype=dtype
    )
    summary = BootstrapSummary.of(values)
    expected = {
        "zeros": [[3, 1], [0, 2]],
        "positives": [[0, 2], [3, 1]],
        "mean": [[0.0, 1.0], [2.0, -1.0]],
        "sum_of_squares": [[0.0, 0.5], [0.0, 0.0]],
    }
    for name, value in expected.items():
        torch.testing.assert_close(getattr(summary, name), torch.tensor(value, dtype=dtype))


def test_small_scatter_of_large_counts_is_kept_in_float32() -> None:
    values = torch.tensor([100_000.0, 100_000.5, 99_999.75, 100_000.25])
    summary = BootstrapSummary.of(values)
    exact = BootstrapSummary.of(values.double())
    torch.testing.assert_close(
        summary.sum_of_squares.double(), exact.sum_of_squares, rtol=1e-2, atol=0
    )


@pytest.mark.parametrize("kind", [BootstrapMean, BootstrapSummary])
def test_statistics_stack_into_a_tensor_and_back(kind: type) -> None:
    values = torch.tensor([[0.0, 3.0, 5.0], [0.0, 0.0, 0.0]])
    statistics = kind.of(values)
    stacked = statistics.stacked()
    assert stacked.shape == (2, len(kind._fields))
    for one, other in zip(kind.unstacked(stacked), statistics, strict=True):
        assert torch.equal(one, other)
    statistics.check()


def test_number_and_mean() -> None:
    values = torch.tensor([[0.0, 3.0, 6.0], [0.0, 0.0, 0.0]])
    assert BootstrapMean.of(values).stacked().tolist() == [[3.0, 3.0], [3.0, 0.0]]


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        (BootstrapMean(torch.tensor([2.0, 0.0]), torch.ones(2)), "no bootstraps"),
        (BootstrapMean(torch.tensor([2.5]), torch.ones(1)), "whole"),
        (BootstrapMean(torch.tensor([2.0]), torch.tensor([-1.0])), "negative"),
        (BootstrapMean(torch.tensor([2.0]), torch.tensor([torch.nan])), "missing"),
        (BootstrapSummary(*torch.tensor([0.0, 0.0, 0.0, 0.0])), "no bootstraps"),
        (BootstrapSummary(*torch.tensor([-1.0, 3.0, 1.0, 1.0])), "zeros must not be negative"),
        (BootstrapSummary(*torch.tensor([1.0, 3.0, 1.0, -1.0])), "sum_of_squares must not be"),
        (BootstrapSummary(*torch.tensor([1.5, 2.0, 1.0, 1.0])), "whole"),
        (BootstrapSummary(*torch.tensor([3.0, 0.0, 1.0, 0.0])), "mean must be 0"),
    ],
)
def test_impossible_statistics_are_refused(statistics: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        statistics.check()
