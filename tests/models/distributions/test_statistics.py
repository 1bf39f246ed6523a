"""Statistics of bootstraps as observations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from exvae.data.bootstraps import BootstrapMean
from exvae.data.genes import Genes
from exvae.models.distributions.gamma_poisson import BootstrapGammaPoisson
from exvae.models.distributions.gene_reads import BootstrapGeneReads, Division
from exvae.models.distributions.statistics import StatisticsOfBootstraps

GENES = Genes(torch.tensor([0, 0, 1]), 2)


def of_entries() -> BootstrapGammaPoisson:
    one = torch.ones(3)
    return BootstrapGammaPoisson(
        20 * one, 3 * one, -2 * one, one, 2 * one, num_bootstraps=4, validate_args=True
    )


def of_genes() -> BootstrapGeneReads:
    one = torch.ones(2)
    totals = BootstrapGammaPoisson(
        20 * one, 3 * one, -2 * one, one, 2 * one, num_bootstraps=4, validate_args=True
    )
    division = Division(torch.tensor([0.4, 0.6, 1.0]), 5 * one, one, 3 * one)
    return BootstrapGeneReads(totals, division, GENES, validate_args=True)


@pytest.mark.parametrize("make", [of_entries, of_genes])
def test_they_have_the_density_of_the_bootstraps(make) -> None:
    bootstraps = make()
    statistics = StatisticsOfBootstraps(bootstraps, validate_args=True)
    values = bootstraps.sample()
    obs = BootstrapMean.of(values).stacked()
    torch.testing.assert_close(statistics.log_prob(obs), bootstraps.log_prob(values))
    assert statistics.event_shape == obs.shape[obs.dim() - len(bootstraps.event_shape) :]
    drawn = statistics.sample((5,))
    assert drawn.shape == (5, *statistics.batch_shape, *statistics.event_shape)
    assert (drawn[..., 0] == 4).all()
    wide = statistics.expand(torch.Size([2, *statistics.batch_shape]))
    torch.testing.assert_close(wide.log_prob(obs)[1], statistics.log_prob(obs))


@pytest.mark.parametrize(
    ("obs", "message"),
    [
        (torch.tensor([[4.0, 1.0], [4.0, -1.0], [4.0, 2.0]]), "negative"),
        (torch.tensor([[0.0, 1.0], [4.0, 1.0], [4.0, 2.0]]), "no bootstraps"),
        (torch.rand(3, 4), "event_shape"),
    ],
)
def test_other_values_are_refused(obs: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StatisticsOfBootstraps(of_entries(), validate_args=True).log_prob(obs)


def test_overdispersion_is_measured_and_not_learned() -> None:
    one = torch.ones(2)
    learned = torch.ones(2, requires_grad=True)
    parts = [20 * one, 3 * one, -2 * one]
    for dispersions in ([learned, one], [one, learned]):
        with pytest.raises(ValueError, match="requires a gradient.*measure it"):
            BootstrapGammaPoisson(*parts, *dispersions, num_bootstraps=4)
        totals = BootstrapGammaPoisson(*parts, one, one, num_bootstraps=4)
        division = Division(torch.tensor([0.4, 0.6, 1.0]), 5 * one, *dispersions)
        with pytest.raises(ValueError, match="requires a gradient.*measure it"):
            BootstrapGeneReads(totals, division, GENES)
    with torch.no_grad():
        BootstrapGammaPoisson(*parts, learned, learned, num_bootstraps=4)


def test_usage_must_sum_to_one() -> None:
    one = torch.ones(2)
    totals = BootstrapGammaPoisson(20 * one, 3 * one, -2 * one, one, one, num_bootstraps=4)
    division = Division(torch.tensor([0.4, 0.5, 1.0]), 5 * one, one, one)
    with pytest.raises(ValueError, match="usage must sum to one"):
        BootstrapGeneReads(totals, division, GENES, validate_args=True)


def test_second_derivatives_are_not_silently_zero() -> None:
    """The compiled likelihood, of float32, has the Hessian that plain torch, of float64, has."""

    def log_prob(parameters: Tensor) -> Tensor:
        one = torch.ones(3, dtype=parameters.dtype)
        mean, theta, logits = parameters.view(3, 3)
        distribution = BootstrapGammaPoisson(mean, theta, logits, one, one, num_bootstraps=1)
        values = torch.tensor([[7.0], [0.0], [31.0]], dtype=parameters.dtype)
        return distribution.log_prob(values).sum()

    point = torch.tensor([20.0, 3.0, 28.0, 2.0, 0.7, 9.0, -1.0, -2.0, 0.5])
    found = torch.autograd.functional.hessian(log_prob, point)
    expected = torch.autograd.functional.hessian(log_prob, point.double())
    assert (expected[:6, :6].diagonal() != 0).all()
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-5)
