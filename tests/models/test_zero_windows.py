"""Sums where zeros draw the count away from where the other bootstraps have it, in both precisions.

Windows found without the zero factor lost up to 144 nats of such entries, the adaptive quadrature
5 where the peak lay beyond its last panel, and tables interpolated across a bend some, too.
"""

from __future__ import annotations

import pytest
import torch

from exvae.data.bootstraps import BootstrapSummary
from exvae.models.distributions.bootstrap_zinb import BootstrapZINB

# Error, noise, parameters and statistics.
ENTRIES = [
    ("shared", "adaptive", (61.9, 8657, -2.15, 0.141, -4.06, 24.6), (66, 5, 19.6, 0.873)),
    ("shared", "adaptive", (24830, 105.5, -4.1, 0.534, -1.48, 10.5), (11, 19, 2141, 28790)),
    ("shared", "adaptive", (2542, 40.1, -5.75, 4.24, -8.69, 1.84), (7, 23, 684, 11801)),
    ("shared", "relative", (7.83, 242, 3.48, 0.699, -6.82, 7.4), (95, 30, 31.1, 2106)),
    ("shared", "relative", (747, 11.6, -4.39, 5.58, -7.22, 87.9), (66, 30, 1298, 158500)),
    ("shared", "absolute", (175, 13.9, -6.17, 32.6, -5.93, 9.35), (95, 30, 196, 45762)),
    ("independent", "adaptive", (2751, 0.174, -7.22, 2.37, -8.39, 78.9), (50, 1, 854, 0)),
    ("independent", "adaptive", (89.9, 33.9, -6.81, 0.658, -2.94, 0.92), (95, 1, 471, 0)),
    ("independent", "adaptive", (89.3, 969, -6.81, 13.2, -4.81, 0.544), (50, 0, 0, 0)),
    ("independent", "relative", (86.8, 5.56, -3.63, 0.707, -6.57, 0.774), (66, 2, 15.7, 2.62)),
    ("independent", "absolute", (30, 7.44, -3.75, 1.54, -8.44, 59.6), (66, 30, 8.25, 7.45)),
]


def distribution(kind, parameters: torch.Tensor, num_bootstraps: int) -> BootstrapZINB:
    return BootstrapZINB(
        *parameters[:5],
        num_bootstraps=num_bootstraps,
        **kind._asdict(),
        noise_concentration=parameters[5],
    )


@pytest.mark.parametrize(("error", "noise", "parameters", "statistics"), ENTRIES)
def test_values(brute_force, error, noise, parameters, statistics) -> None:
    kind = brute_force.Kind(error, "rectified", noise)
    expected = brute_force.log_prob(
        brute_force.Parameters(*parameters), brute_force.Summary(*statistics), kind
    )
    exact = 1e-2 if noise == "adaptive" else 1e-3
    for dtype, tolerance in ((torch.float64, exact), (torch.float32, 1e-2)):
        leaves = torch.tensor(parameters, dtype=dtype).unsqueeze(-1).requires_grad_()
        summary = BootstrapSummary(*torch.tensor(statistics, dtype=dtype).unsqueeze(-1))
        bootstraps = distribution(kind, leaves, sum(statistics[:2]))
        value = bootstraps.log_prob_summary(summary)
        value.sum().backward()
        rounding = 4e-7 * abs(expected) if dtype == torch.float32 else 0.0
        assert value.item() == pytest.approx(expected, rel=0, abs=tolerance + rounding)
        assert leaves.grad.isfinite().all()
