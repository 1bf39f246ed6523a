"""The compiled division of genes' reads beside its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from exvae.data.genes import Genes
from exvae.models.distributions.gene_reads import log_dirichlet_multinomial, product_of_parts

# Genes of one to four isoforms in any order.
CODES = torch.tensor([3, 0, 1, 1, 3, 2, 3, 1, 5, 3, 5, 2, 4])
GENES = Genes(CODES, 6)
CELLS = 40


def parameters() -> tuple[Tensor, Tensor, Tensor]:
    """Make counts, half of them zero and some tiny, usage, and concentrations."""
    count = (3 * torch.randn(CELLS, len(CODES))).exp() * (torch.rand(CELLS, len(CODES)) < 0.5)
    count[0] = 0.0
    usage = GENES.shares((2 * torch.randn(CELLS, len(CODES))).exp())
    return count, usage, (4 * torch.randn(6)).exp()


@pytest.mark.parametrize("shape", [(6,), (CELLS, 6)])
def test_values_and_slopes_are_those_of_the_definition(shape: tuple[int, ...]) -> None:
    count, usage, concentration = parameters()
    weights = torch.randn(CELLS, 6)
    found, expected = [], []
    for function, dtype, into in (
        (log_dirichlet_multinomial, torch.float32, found),
        (product_of_parts, torch.float64, expected),
    ):
        own = [usage.to(dtype), concentration.to(dtype).expand(shape)]
        own = [part.clone().requires_grad_() for part in own]
        value = function(count.to(dtype), *own, GENES)
        into += [value, *torch.autograd.grad((value * weights.to(dtype)).sum(), own)]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=2e-5)


def test_nothing_is_divided_in_genes_of_one_isoform_and_without_reads() -> None:
    count, usage, concentration = parameters()
    value = log_dirichlet_multinomial(count, usage, concentration, GENES)
    assert (value[0] == 0).all()
    assert (value[:, [0, 4]] == 0).all()


def test_second_derivatives_are_those_of_the_definition() -> None:
    count = 20 * torch.rand(CELLS, len(CODES))
    usage = GENES.shares(torch.rand(CELLS, len(CODES)) + 0.5)
    concentration = 5 * torch.rand(6) + 1
    curvatures = []
    for function, dtype in (
        (log_dirichlet_multinomial, torch.float32),
        (product_of_parts, torch.float64),
    ):
        own = [part.to(dtype).clone().requires_grad_() for part in (usage, concentration)]
        value = function(count.to(dtype), *own, GENES).sum()
        slopes = torch.autograd.grad(value, own, create_graph=True)
        curvatures.append(torch.autograd.grad(sum(part.sum() for part in slopes), own))
    for one, other in zip(*curvatures, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-3)


def test_draws_of_several_samples_are_scored_at_once() -> None:
    count, usage, concentration = parameters()
    several = torch.stack([usage, usage.flip(0)])
    found = log_dirichlet_multinomial(count, several, concentration, GENES)
    for own, expected in zip(several, found, strict=True):
        alone = log_dirichlet_multinomial(count, own, concentration, GENES)
        torch.testing.assert_close(alone, expected, rtol=0, atol=0)
