"""What a model generates, and how likely it says that to be when it scores."""

from __future__ import annotations

from typing import Any

import torch
from pyro import poutine
from pyro.infer import Predictive
from torch import Tensor


def generate(
    model: Any, batch: Any, number: int, latents: dict[str, Tensor] | None = None, **options: bool
) -> dict[str, Tensor]:
    """Draw all sites that are not given, each of shape (number, ...)."""
    assert batch.obs is None
    if latents is not None:
        latents = {name: value.expand(number, *value.shape) for name, value in latents.items()}
    predictive = Predictive(model, latents, num_samples=number, **options)
    with torch.no_grad():
        return predictive(*batch)


def score(model: Any, batch: Any, latents: dict[str, Tensor], site: str) -> Tensor:
    """Log density of what is observed in a batch, given all latent variables."""
    with torch.no_grad():
        trace = poutine.trace(poutine.condition(model, latents)).get_trace(*batch)
        trace.compute_log_prob()
    assert trace.nodes[site]["is_observed"]
    assert trace.nodes[site]["scale"] == 1.0
    return trace.nodes[site]["log_prob"]


def moments(values: Tensor, masses: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of values, shape (n,), with masses of shape (n, ...)."""
    total = masses.sum(0)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=3e-3)
    mean = torch.tensordot(values, masses, 1) / total
    square = torch.tensordot(values.square(), masses, 1) / total
    return mean, (square - mean.square()).sqrt()


def check_moments(draws: Tensor, mean: Tensor, sd: Tensor) -> None:
    """Compare draws, shape (number, ...), with a mean and a standard deviation."""
    draws, mean, sd = (part.double() for part in (draws, mean, sd))
    for statistic, expected in ((draws, mean), ((draws - mean).square(), sd.square())):
        error = statistic.std(0) / len(draws) ** 0.5
        # Integrals in float32 err by a little, too.
        allowed = 4.5 * error + 2e-3 * expected.abs()
        assert ((statistic.mean(0) - expected).abs() <= allowed).all()
