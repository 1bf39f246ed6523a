"""Effective sample size against Pyro's, and of chains that disagree."""

from __future__ import annotations

import pyro.ops.stats
import pytest
import torch

from exvae.data.effective_sample_size import effective_sample_size


@pytest.mark.parametrize("shape", [(2, 40, 30), (4, 25, 30), (3, 100, 5)])
@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_it_is_that_of_pyro(shape: tuple[int, ...], memory: float) -> None:
    chains = torch.randn(shape)
    for step in range(1, shape[1]):
        chains[:, step] += memory * chains[:, step - 1]
    expected = pyro.ops.stats.effective_sample_size(chains, 0, 1)
    torch.testing.assert_close(effective_sample_size(chains), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_one_chain_of_known_autocorrelation(memory: float) -> None:
    chain = torch.randn(1, 4000, 50)
    for step in range(1, 4000):
        chain[:, step] = memory * chain[:, step - 1] + (1 - memory**2) ** 0.5 * chain[:, step]
    expected = 4000 * (1 - memory) / (1 + memory)
    assert effective_sample_size(chain).median() == pytest.approx(expected, rel=0.15)


def test_chains_that_disagree_are_one_draw_each() -> None:
    chains = torch.randn(8, 50, 20) + 30 * torch.randn(8, 1, 20)
    assert (effective_sample_size(chains) < 10).all()


def test_values_that_never_change_have_none() -> None:
    chains = torch.randn(2, 20, 3)
    chains[..., 1] = 4.0
    assert effective_sample_size(chains).isnan().tolist() == [False, True, False]
