"""Compiled sums over the isoforms of genes: values, and slopes of any order, beside torch's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from exvae.data.genes import FEWEST, Genes

ISOFORMS, NUMBER = 700, 300
GENES = Genes(
    torch.randint(NUMBER, (ISOFORMS,), generator=torch.Generator().manual_seed(0)), NUMBER
)
ROWS = 2 * FEWEST // NUMBER


def both(genes: Genes, values: Tensor) -> Tensor:
    """Give sums and shares, side by side."""
    return torch.cat(genes.sums_and_shares(values), -1)


every_function = pytest.mark.parametrize(
    ("function", "size"),
    [(Genes.sums, ISOFORMS), (Genes.spread, NUMBER), (Genes.shares, ISOFORMS), (both, ISOFORMS)],
)


def gradients(
    function: Callable[[Genes, Tensor], Tensor], values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Value, slope of a sum of squares, and slope of the slope's."""
    values = values.clone().requires_grad_()
    found = function(GENES, values)
    (slope,) = torch.autograd.grad(found.square().sum(), values, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.square().sum(), values)
    (alone,) = torch.autograd.grad(function(GENES, values).square().sum(), values)
    torch.testing.assert_close(alone, slope)
    return found, slope, curvature


@every_function
def test_slopes_are_those_of_torch(function: Callable, size: int) -> None:
    values = torch.rand(ROWS, size) + 0.5
    assert values.numel() >= FEWEST
    for found, expected in zip(
        gradients(function, values), gradients(function, values.double()), strict=True
    ):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@every_function
def test_any_layout_is_read(function: Callable, size: int) -> None:
    apart = torch.rand(ROWS, 1, size, 2)[..., 1]
    found = function(GENES, apart)
    assert found.shape[:-1] == (ROWS, 1)
    assert torch.equal(found, function(GENES, apart.contiguous()))
    repeated = torch.rand(1, size).expand(ROWS, -1)
    assert torch.equal(function(GENES, repeated), function(GENES, repeated.contiguous()))


@every_function
def test_sums_do_not_depend_on_the_way(function: Callable, size: int) -> None:
    """The fits of few cells and of many follow one rule."""
    values = torch.rand(ROWS, size) + 0.5
    torch.testing.assert_close(
        function(GENES, values)[:3], function(GENES, values[:3]), rtol=0, atol=0
    )


@every_function
def test_functions_of_many_tensors_at_once_work(function: Callable, size: int) -> None:
    values = torch.rand(2, ROWS, size) + 0.5
    mapped = torch.func.vmap(lambda own: function(GENES, own))(values)
    torch.testing.assert_close(mapped, function(GENES, values))
