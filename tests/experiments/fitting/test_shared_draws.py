"""Draws of a share are a part of the draws for the whole minibatch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pyro
import pytest
import torch
from pyro.distributions import Bernoulli, Dirichlet, Gamma, LogNormal, Normal, Poisson
from torch import Tensor
from torch.nn import functional

from exvae.experiments.fitting.shared_draws import Rows, SharedDraws, SharedSites

# Rows 3 to 7 of 9.
ROWS = Rows(3, 5, 9)
PARAMETERS = torch.linspace(0.2, 4.0, 9 * 6).view(9, 6)

DRAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "dropout": lambda own: functional.dropout(torch.ones_like(own), 0.6),
    "dropout of values": lambda own: functional.dropout(own, 0.6),
    "normal": lambda own: Normal(own, own).rsample(),
    "normal without gradient": lambda own: Normal(own, 1.0).sample(),
    "lognormal": lambda own: LogNormal(own, own).rsample(),
    "bernoulli": lambda own: Bernoulli(own / 5).sample(),
    "gamma": lambda own: Gamma(own, own).rsample(),
    "dirichlet": lambda own: Dirichlet(own).rsample(),
    "poisson": lambda own: Poisson(own).sample(),
    "rand": lambda own: torch.rand(len(own), 3),
    "randn": lambda own: torch.randn(len(own)),
    "randint": lambda own: torch.randint(1 << 32, (len(own),)),
    "like": lambda own: torch.randint_like(own, 7),
    "exponential": lambda own: torch.empty_like(own).exponential_(),
    "categories": lambda own: torch.multinomial(own, 1),
}


def gather(whole: Tensor, own: Tensor, axis: int) -> Tensor:
    assert torch.equal(own, whole.narrow(axis, ROWS.start, ROWS.number))
    return whole


@pytest.mark.parametrize("name", DRAWS)
def test_a_share_of_the_draws(name: str) -> None:
    draw = DRAWS[name]
    torch.manual_seed(1)
    whole = draw(PARAMETERS)
    after = torch.get_rng_state()
    torch.manual_seed(1)
    with SharedDraws(ROWS, 0, partial(gather, PARAMETERS)):
        own = draw(PARAMETERS[3:8])
    assert torch.equal(own, whole[3:8])
    assert torch.equal(torch.get_rng_state(), after)


def test_a_share_along_a_later_dimension() -> None:
    concentration = PARAMETERS.unsqueeze(0).expand(2, 9, 6)
    torch.manual_seed(1)
    whole = torch._standard_gamma(concentration)
    torch.manual_seed(1)
    with SharedDraws(ROWS, 1, partial(gather, concentration)):
        own = torch._standard_gamma(concentration[:, 3:8])
    assert torch.equal(own, whole[:, 3:8])


def test_gradients_are_those_of_the_rows() -> None:
    def slope(parameters: Tensor) -> Tensor:
        parameters = parameters.clone().requires_grad_()
        Gamma(parameters, 2 * parameters).rsample().square().sum().backward()
        return parameters.grad

    torch.manual_seed(1)
    whole = slope(PARAMETERS)
    torch.manual_seed(1)
    with SharedDraws(ROWS, 0, partial(gather, PARAMETERS)):
        own = slope(PARAMETERS[3:8])
    assert torch.equal(own, whole[3:8])


def test_draws_of_another_size_are_common() -> None:
    torch.manual_seed(1)
    expected = torch.rand(4, 5), torch.rand(())
    torch.manual_seed(1)
    with SharedDraws(ROWS, 0, gather):
        drawn = torch.rand(4, 5), torch.rand(())
    assert all(map(torch.equal, drawn, expected))


def test_sites_of_datapoints_are_found_by_their_plate(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = []
    monkeypatch.setattr(
        "exvae.data.shares.drawing", lambda axis: axes.append(axis) or SharedDraws(ROWS, axis, None)
    )

    cells = pyro.plate("cells", 40, subsample=torch.arange(5), dim=-2)

    def model() -> None:
        pyro.sample("common", Normal(torch.zeros(5), 1.0).to_event(1))
        with pyro.plate("others", 4, dim=-1), cells:
            pyro.sample("of a cell", Normal(0.0, 1.0))
            pyro.sample("seen", Normal(0.0, 1.0), obs=torch.ones(5, 4))
        with pyro.plate("more", 40, subsample=torch.arange(4)):
            pyro.sample("of another size", Normal(0.0, 1.0))

    with SharedSites(5, 40):
        pyro.poutine.trace(model).get_trace()
    assert axes == [0]
