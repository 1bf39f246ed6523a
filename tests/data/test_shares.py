"""Shares of a minibatch: nothing happens without other processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from exvae.data import shares
from exvae.data.random_draws import standard_gamma


class SecondHalf:
    """A share whose other half has twice the values of this one."""

    number, total = 2, 4

    def __init__(self) -> None:
        self.drawings: list[tuple[int, int | None]] = []

    @contextmanager
    def drawing(self, axis: int, *, elements: int | None = None) -> Iterator[None]:
        self.drawings.append((axis, elements))
        yield

    def summed(self, values: Tensor) -> Tensor:
        return 3 * values

    def same(self, values: Tensor) -> Tensor:
        return 2 * values

    def gathered(self, values: Tensor, axis: int) -> tuple[Tensor, slice]:
        return torch.cat([2 * values, values], axis), slice(2, 4)


def test_alone_nothing_changes() -> None:
    values = torch.arange(6.0).view(2, 3)
    with shares.drawing():
        drawn = torch.rand(4)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(4))
    assert shares.summed(values) is values
    assert shares.same(values) is values
    assert shares.total(2) == 2
    whole, own = shares.gathered(values, 1)
    assert whole is values
    assert torch.equal(values[:, own], values)
    assert shares.of_draws(values) == (values, ())


def test_a_share_asks_the_others() -> None:
    share, values = SecondHalf(), torch.tensor([1.0, 5.0])
    with shares.using(share):
        assert shares.summed(values).tolist() == [3, 15]
        assert shares.same(values).tolist() == [2, 10]
        assert shares.total(2) == 4
        whole, own = shares.gathered(values)
        with shares.drawing(1, elements=7):
            pass
    assert whole.tolist() == [2, 10, 1, 5]
    assert whole[own].tolist() == [1, 5]
    assert share.drawings == [(1, 7)]
    assert shares.total(2) == 2


def test_draws_of_numpy_are_those_of_all_datapoints() -> None:
    """Whole rows of several chunks, so that this half needs only some of them."""
    concentration = torch.rand(1, 2, 70_000) + 0.5
    torch.manual_seed(3)
    whole = standard_gamma(torch.cat([2 * concentration, concentration], 1))
    torch.manual_seed(3)
    with shares.using(SecondHalf()), shares.drawing(1):
        own = standard_gamma(concentration)
    assert torch.equal(own, whole[:, 2:])


def test_parameters_of_other_shape_are_common() -> None:
    parameters = torch.ones(3, 2)
    with shares.using(SecondHalf()), shares.drawing():
        assert shares.of_draws(parameters)[0] is parameters
