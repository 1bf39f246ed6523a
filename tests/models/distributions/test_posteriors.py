"""Draws from gamma distributions, and quantiles of draws."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from exvae.models.distributions import posteriors
from exvae.models.distributions.posteriors import SampledPosterior, standard_gamma


@pytest.mark.parametrize("concentration", [0.2, 1.0, 30.0, 1e5])
def test_draws_have_the_distribution(concentration: float) -> None:
    torch.manual_seed(0)
    draws = standard_gamma(torch.tensor([concentration, 2.0]).expand(5000, 2))
    assert draws.dtype == torch.float32
    assert scipy.stats.kstest(draws[:, 0], "gamma", (concentration,)).pvalue > 1e-4
    assert scipy.stats.kstest(draws[:, 1], "gamma", (2.0,)).pvalue > 1e-4


def test_a_seed_of_torch_decides_whatever_the_number_of_threads(monkeypatch) -> None:
    monkeypatch.setattr(posteriors, "_CHUNK", 10)
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


def test_quantiles_are_those_of_the_draws() -> None:
    draws = torch.randn(7, 3)
    levels = [0.0, 0.3, 0.5, 1.0]
    expected = torch.quantile(draws, torch.tensor(levels), dim=0)
    posterior = SampledPosterior(draws)
    for given in (levels, tuple(levels), torch.tensor(levels), np.array(levels)):
        torch.testing.assert_close(posterior.quantile(given), expected)
    for given in (0.3, torch.tensor(0.3), np.float64(0.3)):
        torch.testing.assert_close(posterior.quantile(given), expected[1])


@pytest.mark.parametrize("q", [95, -0.1, [0.5, 1.5], float("nan")])
def test_probabilities_lie_between_zero_and_one(q: object) -> None:
    with pytest.raises(ValueError, match="^q is .*; give probabilities between 0 and 1$"):
        SampledPosterior(torch.randn(7, 3)).quantile(q)
