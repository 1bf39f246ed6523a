"""The compiled loop for real counts, against float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from exvae.models.distributions.compiled_gamma_poisson import LogGammaPoisson
from exvae.models.distributions.gamma_poisson import log_gamma_poisson


def draw(number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw real counts, a sixth of them zero, means and inverse dispersions of all sizes."""
    mean = torch.empty(number).uniform_(-9.0, 11.0).exp()
    inverse_dispersion = torch.empty(number).uniform_(-6.0, 10.0).exp()
    rate = torch._standard_gamma(inverse_dispersion) * (mean / inverse_dispersion)
    count = torch.poisson(rate) + torch.rand(number) * 0.99
    count[::6] = 0.0
    return count, mean, inverse_dispersion


def value_and_slopes(function, count: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
    leaves = [part.clone().requires_grad_() for part in parameters]
    value = function(count, *leaves)
    return value.detach(), *torch.autograd.grad(value.sum(), leaves)


@pytest.mark.parametrize("number", [1, 40_000])
def test_values_and_slopes_are_those_of_float64(number: int) -> None:
    inputs = draw(number)
    actual = value_and_slopes(LogGammaPoisson.apply, *inputs)
    expected = value_and_slopes(log_gamma_poisson, *(part.double() for part in inputs))
    assert all(part.dtype == torch.float32 for part in actual)
    value, by_mean, by_dispersion = (part.double() for part in actual)
    torch.testing.assert_close(value, expected[0], rtol=1e-4, atol=2e-3)
    torch.testing.assert_close(by_mean, expected[1], rtol=1e-4, atol=1e-6)
    # On the scale of log theta, which is what networks give.
    theta = inputs[2].double()
    torch.testing.assert_close(by_dispersion * theta, expected[2] * theta, rtol=1e-3, atol=2e-2)


def test_shapes_broadcast() -> None:
    count, mean, inverse_dispersion = draw(60)
    shaped = count.view(4, 15), mean.view(15, 4).T, inverse_dispersion[:15]
    value = log_gamma_poisson(*shaped)
    assert value.shape == (4, 15)
    expected = LogGammaPoisson.apply(
        shaped[0], shaped[1].contiguous(), shaped[2].expand(4, 15).contiguous()
    )
    torch.testing.assert_close(value, expected, rtol=0, atol=0)


def test_slopes_of_what_broadcasts_are_summed() -> None:
    count, mean, _ = draw(60)
    theta = torch.full((15,), 1.5).requires_grad_()
    log_gamma_poisson(count.view(4, 15), mean.view(4, 15), theta).sum().backward()
    each = torch.full((4, 15), 1.5).requires_grad_()
    log_gamma_poisson(count.view(4, 15), mean.view(4, 15), each).sum().backward()
    torch.testing.assert_close(theta.grad, each.grad.sum(0))
