"""Draws from gamma distributions on several threads."""

from __future__ import annotations

import pytest
import scipy.stats
import torch

from exvae.data import random_draws
from exvae.data.random_draws import poisson, standard_gamma


@pytest.mark.parametrize("concentration", [0.2, 1.0, 30.0, 1e5])
def test_draws_have_the_distribution(concentration: float) -> None:
    torch.manual_seed(0)
    draws = standard_gamma(torch.tensor([concentration, 2.0]).expand(5000, 2))
    assert draws.dtype == torch.float32
    assert scipy.stats.kstest(draws[:, 0], "gamma", (concentration,)).pvalue > 1e-4
    assert scipy.stats.kstest(draws[:, 1], "gamma", (2.0,)).pvalue > 1e-4


def test_a_seed_of_torch_decides_whatever_the_number_of_threads(monkeypatch) -> None:
    monkeypatch.setattr(random_draws, "_CHUNK", 10)
    concentration = torch.full((7, 5), 2.0)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        torch.manual_seed(0)
        found.append(standard_gamma(concentration))
        assert not torch.equal(found[-1], standard_gamma(concentration))
    assert torch.equal(*found)
    # Chunks have generators of their own.
    assert found[0].unique().numel() == concentration.numel()


@pytest.mark.parametrize("rate", [0.3, 4.0, 1e4])
def test_poisson_counts_have_the_distribution(rate: float) -> None:
    torch.manual_seed(0)
    draws = poisson(torch.tensor([rate, 0.0]).expand(20000, 2))
    assert draws.dtype == torch.float32
    assert (draws % 1 == 0).all()
    assert (draws[:, 1] == 0).all()
    error = (rate / len(draws)) ** 0.5
    assert draws[:, 0].mean() == pytest.approx(rate, abs=5 * error)
    assert draws[:, 0].var() == pytest.approx(rate, rel=0.06)
