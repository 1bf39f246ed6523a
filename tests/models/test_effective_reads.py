"""The model of effective reads: what it generates, scores and says of expression."""

from __future__ import annotations

import pytest
import scipy.stats
import torch
from pyro import poutine
from torch import Tensor

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.cells import CellBatch, ExpressionScales
from exvae.models.effective_reads import EffectiveReadIsoforms
from exvae.models.gamma_poisson import BootstrapGammaPoisson

CELLS, ISOFORMS, BATCHES, BOOTSTRAPS = 6, 4, 2, 3
DISPERSIONS = torch.tensor([0.8, 1.0, 2.0, 9.0])


def build(**options) -> EffectiveReadIsoforms:
    model = EffectiveReadIsoforms(ISOFORMS, BATCHES, latent_size=3, hidden_sizes=(8,), **options)
    model.initialise(
        ExpressionScales(
            torch.tensor([4.0, 5.0]), torch.tensor([0.3, 0.6]), torch.tensor([0.4, 0.3, 0.2, 0.1])
        )
    )
    model.initialise_noise(DISPERSIONS)
    return model


def batch_of(obs: BootstrapSummary | Tensor | None = None, num_cells: int = CELLS) -> CellBatch:
    """Make a minibatch whose cells have a set of :data:`BOOTSTRAPS` for the guide."""
    return CellBatch(
        torch.ones(CELLS * BOOTSTRAPS, ISOFORMS),
        torch.arange(CELLS + 1) * BOOTSTRAPS,
        torch.arange(CELLS) % BATCHES,
        torch.arange(CELLS),
        num_cells,
        obs,
    )


def draw_latents(model: EffectiveReadIsoforms) -> dict[str, Tensor]:
    return {
        "z": torch.randn(CELLS, 1, model.latent_size),
        "library": 50 + 10 * torch.rand(CELLS, 1),
    }


def test_the_trace_is_the_graphical_model() -> None:
    trace = poutine.trace(build()).get_trace(*batch_of(num_cells=60))
    assert trace.stochastic_nodes == ["cells", "z", "library", "isoforms", "bootstraps"]
    bootstraps = trace.nodes["bootstraps"]
    assert bootstraps["value"].shape == (CELLS, ISOFORMS, BOOTSTRAPS)
    assert {frame.name: frame.dim for frame in bootstraps["cond_indep_stack"]} == {
        "cells": -2,
        "isoforms": -1,
    }
    assert bootstraps["scale"] == 10.0


@pytest.mark.parametrize("dropout", ["none", "isoform", "network"])
def test_bootstraps_are_those_of_the_distribution(dropout: str) -> None:
    model = build(dropout=dropout)
    latents = draw_latents(model)
    batches = batch_of().batches
    bootstraps = torch.rand(CELLS, ISOFORMS, BOOTSTRAPS) * 30
    # Half of the ambiguity is common to all cells, and no error of their own.
    own = torch.tensor([0.8, 1.0, 1.5, 5.0])
    expected = BootstrapGammaPoisson(
        *model.decode(batches=batches, **latents), own, DISPERSIONS, num_bootstraps=BOOTSTRAPS
    ).log_prob(bootstraps)
    for obs in (bootstraps, BootstrapSummary.of(bootstraps)):
        trace = poutine.trace(poutine.condition(model, latents)).get_trace(*batch_of(obs))
        trace.compute_log_prob()
        torch.testing.assert_close(trace.nodes["bootstraps"]["log_prob"], expected)
    expected.sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad != 0).any(), name


def test_predictive_draws_all_sites_from_their_priors(generation) -> None:
    model = build()
    number = 500
    draws = generation.generate(model, batch_of(num_cells=60), number, parallel=True)
    assert draws["bootstraps"].shape == (number, CELLS, ISOFORMS, BOOTSTRAPS)
    for name, prior in model.priors(batch_of().batches).items():
        generation.check_moments(draws[name], prior.mean, prior.stddev)


def test_dispersions_are_kept_where_steps_of_counts_can_be_spread() -> None:
    model = build()
    model.initialise_noise(torch.tensor([0.0, 0.2, 1.0, 30.0]))
    assert model.inferential_dispersion.tolist() == [0.5, 0.5, 1.0, 30.0]
    assert model.ambiguity.tolist() == [0.0, 0.0, 0.0, 29.0]


def test_expression_scatters_around_rates_as_far_as_isoforms_are_ambiguous() -> None:
    torch.manual_seed(0)
    model = build()
    rates = torch.tensor([30.0, 5.0, 30.0, 30.0]).expand(20_000, -1)
    for share in (0.25, 1.0):
        draws = model.draw_expression(rates, torch.tensor(share))
        assert ((draws.mean(0) - rates[0]).abs() < 5 * draws.std(0) / 100).all()
        torch.testing.assert_close(draws[:, :2], rates[:, :2], atol=1.0, rtol=0)
        variance = share * torch.tensor([1.0, 8.0]) * 30
        torch.testing.assert_close(draws[:, 2:].var(0), variance, rtol=0.05, atol=0)


def test_shares_are_drawn_from_their_prior() -> None:
    torch.manual_seed(0)
    model = build()
    shares = model.draw_shares(torch.empty(5000, ISOFORMS))
    assert scipy.stats.kstest(shares[:, 0], "beta", (0.5, 0.5)).pvalue > 1e-4
    prior = model.common_share_prior()
    assert scipy.stats.ks_2samp(shares[:, 1], prior.sample((5000,))[:, 1]).pvalue > 1e-4


def test_posteriors_of_expression_are_the_rates_and_the_common_error() -> None:
    torch.manual_seed(0)
    model = build()
    batches = batch_of().batches
    samples = [draw_latents(model) for _ in range(3)]
    summary = BootstrapSummary.of(torch.rand(CELLS, ISOFORMS, BOOTSTRAPS) * 30)
    means, squares = [], []
    with torch.no_grad():
        for latents in samples:
            distribution = model.bootstraps(batches=batches, num_bootstraps=1, **latents)
            count, exposure = distribution.effective_reads(summary)
            rate = distribution.inverse_dispersion / distribution.rate_mean + exposure
            mean = (distribution.inverse_dispersion + count) / rate
            means.append(mean)
            # E[c] is one half.
            squares.append(mean / rate + mean.square() + 0.5 * model.ambiguity * mean)
        mean, square = torch.stack(means).mean(0), torch.stack(squares).mean(0)
        found = [model.expression(samples, batches, summary) for _ in range(40)]
    sd = (square - mean.square()).sqrt()
    draws = torch.cat([posterior.draws for posterior in found])
    assert draws.shape[1:] == (CELLS, ISOFORMS)
    assert ((draws.mean(0) - mean).abs() < 6 * sd / len(draws) ** 0.5).all()
    torch.testing.assert_close(draws.std(0), sd, rtol=0.08, atol=0)


def test_the_probability_of_whole_counts() -> None:
    model = build().eval()
    latents = draw_latents(model)
    batches = batch_of().batches
    counts = torch.randint(0, 40, (CELLS, ISOFORMS)).float()
    with torch.no_grad():
        found = model.log_prob_of_counts(latents, batches, counts)
        distribution = model.bootstraps(batches=batches, num_bootstraps=1, **latents)
    torch.testing.assert_close(found, distribution.log_prob_of_bin(counts).sum(-1))
    assert found.isfinite().all()
