"""Effective numbers of draws: of chains whose autocorrelation is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from exvae.experiments.isoforms.effective_draws import EffectiveDraws


def chains(correlation: float, number: int, steps: int, entries: int = 400) -> Tensor:
    """Draw log reads of autoregressive chains, one after another; shape (draws, 4, entries / 4)."""
    values = [torch.randn(number, entries)]
    for _ in range(steps - 1):
        noise = (1 - correlation**2) ** 0.5 * torch.randn(number, entries)
        values.append(correlation * values[-1] + noise)
    return (3 + 0.2 * torch.stack(values, 1)).flatten(0, 1).exp().unflatten(1, (4, -1))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_known_autocorrelation(correlation: float) -> None:
    effective = EffectiveDraws()
    effective.add(chains(correlation, 4, 1000), 4)
    figures = effective.figures()
    expected = 4000 * (1 - correlation) / (1 + correlation)
    assert figures["effective_draws"] == pytest.approx(expected, rel=0.15)
    assert figures["effective_draws_low"] < figures["effective_draws"]


def test_chains_that_disagree_are_few_draws() -> None:
    draws = chains(0.0, 10, 50)
    shifts = torch.randn(10).repeat_interleave(50)[:, None, None]
    effective = EffectiveDraws()
    effective.add(draws * shifts.exp(), 10)
    assert effective.figures()["effective_draws"] < 25


def test_entries_of_few_reads_and_blocks_without_others_do_not_count() -> None:
    effective = EffectiveDraws()
    effective.add(0.01 * chains(0.0, 2, 20), 2)
    assert effective.figures() == {}
    draws = chains(0.9, 2, 200)
    draws[..., ::2] = 0.5
    effective.add(draws, 2)
    few = effective.figures()
    effective.add(chains(0.0, 2, 200, entries=4000), 2)
    assert effective.figures()["effective_draws"] > 5 * few["effective_draws"]
