"""Reads are divided among the isoforms that they fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.sparse import csr_matrix

from exvae.data.reads.classes import ClassCounts
from exvae.data.reads.division import divide_reads


def classes_of(counts: np.ndarray, sets: list[list[int]], weights: list[float]) -> ClassCounts:
    starts = np.concatenate([[0], np.cumsum([len(own) for own in sets])])
    members = np.array([place for own in sets for place in own], np.int32)
    return ClassCounts(csr_matrix(counts.astype(np.int32)), starts, members, np.array(weights))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 5), st.integers(1, 4))
def test_reads_stay_in_their_classes(seed: int, num_isoforms: int, num_cells: int) -> None:
    rng = np.random.default_rng(seed)
    sets = [[place for place in range(num_isoforms) if rng.random() < 0.5] for _ in range(6)]
    sets = [own for own in sets if own] or [[0]]
    counts = rng.integers(0, 200, (num_cells, len(sets)))
    classes = classes_of(counts, sets, rng.random(sum(map(len, sets))) + 0.1)
    rates = torch.from_numpy(rng.gamma(0.3, 1, (num_cells, num_isoforms))).float()
    for values in divide_reads(classes, np.arange(num_cells), rates):
        np.testing.assert_allclose(values.sum(-1), counts.sum(-1), rtol=1e-5)
        assert (values >= 0).all()
        possible = np.isin(np.arange(num_isoforms), [place for own in sets for place in own])
        assert (values[:, ~torch.from_numpy(possible)] == 0).all()
    drawn, _ = divide_reads(classes, np.arange(num_cells), rates)
    assert (drawn == drawn.round()).all()


def test_expected_shares_are_those_of_rates_and_weights() -> None:
    classes = classes_of(np.array([[10, 7]]), [[0, 2], [1]], [0.5, 0.25, 1.0])
    _, expected = divide_reads(classes, np.arange(1), torch.tensor([[1.0, 9.0, 6.0]]))
    torch.testing.assert_close(expected, torch.tensor([[2.5, 7.0, 7.5]]))


@pytest.mark.parametrize("number", [1, 5, 33, 40_000, 3_000_000])
def test_draws_are_binomial(number: int) -> None:
    cells, share = 4000, 0.3
    counts = np.full((cells, 1), number)
    classes = classes_of(counts, [[0, 1]], [1.0, 1.0])
    torch.manual_seed(0)
    rates = torch.tensor([[share, 1 - share]]).expand(cells, 2)
    drawn = divide_reads(classes, np.arange(cells), rates)[0][:, 0].numpy().astype(np.float64)
    sd = np.sqrt(number * share * (1 - share))
    assert abs(drawn.mean() - number * share) < 4 * sd / np.sqrt(cells)
    assert drawn.var() == pytest.approx(sd**2, rel=0.1)
    # A whole number between is as likely as the distribution function says.
    below = stats.binom.cdf(np.floor(number * share), number, share)
    assert (drawn <= np.floor(number * share)).mean() == pytest.approx(below, abs=0.03)


def test_three_isoforms_share_as_a_multinomial() -> None:
    cells = 6000
    classes = classes_of(np.full((cells, 1), 50), [[0, 1, 2]], [1.0, 2.0, 1.0])
    torch.manual_seed(1)
    rates = torch.tensor([[1.0, 1.0, 2.0]]).expand(cells, 3)
    drawn, _ = divide_reads(classes, np.arange(cells), rates)
    shares = torch.tensor([0.2, 0.4, 0.4])
    covariance = 50 * (torch.diag(shares) - torch.outer(shares, shares))
    torch.testing.assert_close(drawn.mean(0), 50 * shares, atol=0.2, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), covariance, atol=0.8, rtol=0)


def test_rates_of_zero_leave_the_reads_with_the_weights() -> None:
    classes = classes_of(np.array([[8]]), [[0, 1]], [3.0, 1.0])
    drawn, expected = divide_reads(classes, np.arange(1), torch.zeros(1, 2))
    torch.testing.assert_close(expected, torch.tensor([[6.0, 2.0]]))
    assert drawn.sum() == 8


def test_draws_do_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    classes = classes_of(rng.integers(0, 90, (30, 2)), [[0, 1], [1, 2]], [1.0] * 4)
    rates = torch.from_numpy(rng.gamma(1, 1, (30, 3))).float()
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            torch.manual_seed(0)
            found.append(divide_reads(classes, np.arange(30), rates)[0])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_cells_are_taken_by_their_positions() -> None:
    classes = classes_of(np.array([[1, 0], [0, 5], [7, 0]]), [[0], [1]], [1.0, 1.0])
    drawn, _ = divide_reads(classes, np.array([2, 1]), torch.ones(2, 2))
    assert drawn.tolist() == [[7, 0], [0, 5]]
