"""One bootstrap by itself: masses of unit bins, against sums over every count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from exvae.models.distributions.bootstrap_zinb import BootstrapZINB


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_bins_sum_to_one(examples, kind, dtype: torch.dtype) -> None:
    bootstraps = examples.example(kind, 1, dtype, mean=[[0.3], [20.0]])
    log_mass = bootstraps.log_prob_of_bin(torch.arange(250.0, dtype=dtype))
    assert log_mass.shape == (2, 250)
    total = log_mass.double().exp().sum(-1)
    torch.testing.assert_close(total, torch.ones(2).double(), rtol=0, atol=2e-5)


def bins(stress_points, brute_force, kind) -> tuple[list, Tensor, Tensor]:
    """Draw parameters and counts near zero, near the mean and elsewhere, and find the masses."""
    rng = np.random.default_rng([5, *map(ord, "".join(kind))])
    parameters, counts, expected = [], [], []
    for point, _ in stress_points.draw(brute_force, kind, 40, seed=5):
        k = int(rng.choice([0, 1, round(point.mean), round(10 ** rng.uniform(0, 4))]))
        parameters.append(point)
        counts.append(float(k))
        expected.append(brute_force.log_prob_of_bin(k, point, kind))
    return parameters, *(torch.tensor(x, dtype=torch.float64) for x in (counts, expected))


def test_masses_of_bins(brute_force, stress_points, kind) -> None:
    parameters, k, expected = bins(stress_points, brute_force, kind)
    for dtype in (torch.float64, torch.float32):
        tensors = torch.tensor(parameters, dtype=dtype).T
        bootstraps = BootstrapZINB(*tensors, num_bootstraps=1, **kind._asdict())
        log_mass = bootstraps.log_prob_of_bin(k.to(dtype)).double()
        torch.testing.assert_close(log_mass, expected, rtol=1e-5, atol=1e-3)


def test_bins_hold_the_density(examples, kind) -> None:
    bootstraps = examples.example(kind, 1)
    abscissas, weights = np.polynomial.legendre.leggauss(10)
    for k in (1, 4, 20):
        value = k + torch.from_numpy(abscissas) / 2
        mass = torch.from_numpy(weights) / 2 @ bootstraps.log_prob(value.unsqueeze(-1)).exp()
        actual = bootstraps.log_prob_of_bin(examples.double(k))
        torch.testing.assert_close(actual, mass.log(), rtol=0, atol=1e-3)
