"""Adam in one pass beside Pyro's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pyro.optim import clipped_adam
from torch import nn

from exvae.experiments.fitting.clipped_adam import ClippedAdam

OPTIONS = [
    {},
    {"betas": (0.5, 0.9), "eps": 1e-3, "clip_norm": 0.5, "lrd": 0.9},
    {"weight_decay": 0.1},
    {"centered_variance": True},
]


def pair(**options: Any) -> tuple[list[nn.Parameter], list[torch.optim.Optimizer]]:
    """Make two equal parameters, and an optimiser for each."""
    begin = torch.randn(30, 41)
    parameters = [nn.Parameter(begin.clone()) for _ in range(2)]
    classes = clipped_adam.ClippedAdam, ClippedAdam
    pairs = zip(classes, parameters, strict=True)
    return parameters, [own([parameter], lr=0.1, **options) for own, parameter in pairs]


def step(parameters: list[nn.Parameter], optimisers: list[torch.optim.Optimizer]) -> None:
    grad = 20 * torch.randn(30, 41)
    for parameter, optimiser in zip(parameters, optimisers, strict=True):
        parameter.grad = grad.clone()
        optimiser.step()


@pytest.mark.parametrize("options", OPTIONS)
def test_it_moves_as_pyros(options: dict[str, Any]) -> None:
    parameters, optimisers = pair(**options)
    for _ in range(10):
        step(parameters, optimisers)
    torch.testing.assert_close(*parameters)
    states = [own.state_dict() for own in optimisers]
    torch.testing.assert_close(states[0]["state"], states[1]["state"], rtol=1e-5, atol=1e-5)
    assert states[0]["param_groups"] == states[1]["param_groups"]


def test_either_goes_on_from_the_state_of_the_other() -> None:
    parameters, optimisers = pair()
    for _ in range(3):
        step(parameters, optimisers)
    states = [own.state_dict() for own in optimisers]
    for optimiser, state in zip(optimisers, reversed(states), strict=True):
        optimiser.load_state_dict(state)
    step(parameters, optimisers)
    torch.testing.assert_close(*parameters)


def test_a_step_leaves_no_gradient_and_moves_nothing_without_one() -> None:
    parameters, optimisers = pair()
    step(parameters, optimisers)
    assert parameters[1].grad is None
    before = parameters[1].detach().clone()
    optimisers[1].step()
    assert torch.equal(parameters[1], before)


def test_a_gradient_that_is_no_number_is_not_hidden() -> None:
    parameters, optimisers = pair()
    parameters[1].grad = torch.full((30, 41), torch.nan)
    optimisers[1].step()
    assert parameters[1].isnan().all()


def test_parameters_of_other_layouts_and_precisions_move() -> None:
    for begin in (torch.ones(4, 5).T, torch.ones(4, 5, dtype=torch.float64)):
        parameter = nn.Parameter(begin.clone(memory_format=torch.preserve_format))
        optimiser = ClippedAdam([parameter], lr=0.1)
        parameter.grad = torch.ones_like(parameter)
        optimiser.step()
        torch.testing.assert_close(parameter.detach(), torch.full_like(begin, 0.9))
        assert parameter.grad is None
