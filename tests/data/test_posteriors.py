"""Quantiles and ranks of draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exvae.data.posteriors import SampledPosterior


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
