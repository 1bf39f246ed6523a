"""What cannot be trained is told before a fit begins."""

from __future__ import annotations

from collections.abc import Callable

import pyro
import pytest
import torch
from pyro.distributions import Normal
from pyro.infer.autoguide import AutoNormal
from torch import Tensor, nn

from exvae.data.errors import DataError
from exvae.experiments.fitting.dry_run import dry_run

from .items import VALUES, ItemGuide, ItemModel, Items


class Unlike(ItemGuide):
    """A guide that samples what it is told, of the shape it is told."""

    def __init__(self, names: tuple[str, ...], scale: Tensor | float = 0.8) -> None:
        super().__init__()
        self.names, self.scale = names, scale

    def forward(self, values: Tensor, indices: Tensor, num_items: int) -> None:
        with pyro.plate("items", num_items, subsample=indices, dim=-1):
            for name in self.names:
                pyro.sample(name, Normal(self.location, self.scale))


class Failing(ItemModel):
    """A model with a bug in a line of its own."""

    def forward(self, values: Tensor, indices: Tensor, num_items: int) -> None:
        values.nothing()


class Impossible(ItemModel):
    """A model whose data are outside the support, which is noticed when they are scored."""

    def forward(self, values: Tensor, indices: Tensor, num_items: int) -> None:
        with pyro.plate("items", num_items, subsample=indices):
            pyro.sample("latent", Normal(0.0, 1.0))
            pyro.sample("value", pyro.distributions.LogNormal(0.0, 1.0), obs=values)


def data_for(guide: nn.Module) -> Items:
    data = Items(None, VALUES)
    data.guide = guide
    return data


@pytest.mark.parametrize("make", [lambda model: ItemGuide(), AutoNormal])
def test_what_can_be_trained_is_left_as_it_was(make: Callable[[nn.Module], nn.Module]) -> None:
    model = ItemModel()
    guide = make(model)
    data = data_for(guide)
    generator = torch.get_rng_state()
    dry_run(model, guide, data)
    assert torch.equal(torch.get_rng_state(), generator)
    assert not dict(pyro.get_param_store())
    assert (model.training, guide.training) == (True, True)
    # In evaluation mode, and two datapoints: one would broadcast.
    assert data.modes == [False]
    assert data.seen == [[0, 1]]


@pytest.mark.parametrize(
    ("guide", "message"),
    [
        (Unlike(()), "guide Unlike samples nothing, but the model has latent; both need the same"),
        (Unlike(("latnet",)), "guide Unlike samples latnet, but the model has latent"),
        (Unlike(("latent", "other")), "guide Unlike samples latent, other, but the model has lat"),
        (
            Unlike(("latent",), torch.ones(2, 1)),
            r"guide Unlike samples latent of shape \(2, 2\) .*; the model wants \(2,\)",
        ),
    ],
)
def test_guides_sample_what_the_model_has(guide: nn.Module, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dry_run(ItemModel(), guide, data_for(guide))
    assert guide.training


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Failing, r"^test_dry_run.py:\d+ in .*forward: AttributeError: 'Tensor' object has no"),
        (Impossible, r"^model Impossible, guide ItemGuide fails on the first datapoints: Value.*"),
    ],
)
def test_errors_of_a_users_classes_are_one_line(model: type, message: str) -> None:
    guide = ItemGuide()
    with pytest.raises(DataError, match=message) as raised:
        dry_run(model(), guide, data_for(guide))
    assert "\n" not in str(raised.value)
    assert "Trace Shapes" not in str(raised.value)


class WithLooseParameter(ItemModel):
    """A model with a parameter in Pyro's store alone."""

    def forward(self, values: Tensor, indices: Tensor, num_items: int) -> None:
        pyro.param("loose_scale", torch.tensor(1.0))
        super().forward(values, indices, num_items)


def test_parameters_that_a_saved_model_would_not_hold_are_told() -> None:
    guide = ItemGuide()
    dry_run(WithLooseParameter(), guide, data_for(guide))
    dry_run(ItemModel(), guide, data_for(guide), loose=False)
    with pytest.raises(DataError, match="loose_scale are made by pyro.param.*PyroParam"):
        dry_run(WithLooseParameter(), guide, data_for(guide), loose=False)
