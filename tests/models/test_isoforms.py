"""The model of effective reads: what it generates, scores and says of expression."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
from pyro import poutine
from torch import Tensor

from exvae.data.bootstraps import BootstrapMean
from exvae.data.cell_batches import CellBatch
from exvae.data.initial_values import ExpressionScales
from exvae.data.overdispersion import InferentialDispersions
from exvae.models.distributions.gamma_poisson import BootstrapGammaPoisson
from exvae.models.distributions.gene_reads import (
    BootstrapGeneReads,
    Division,
    GeneRates,
)
from exvae.models.isoforms import EffectiveReadIsoforms

CELLS, ISOFORMS, BATCHES, BOOTSTRAPS = 6, 5, 2, 3
# The last three are of one gene.
CODES = torch.tensor([1, 0, 2, 2, 2])
DISPERSIONS = InferentialDispersions(torch.tensor([0.8, 1.0, 2.5]), torch.tensor([1.0, 1.0, 10.0]))


def build(**options) -> EffectiveReadIsoforms:
    model = EffectiveReadIsoforms(CODES, BATCHES, latent_size=3, hidden_sizes=(8,), **options)
    model.initialise(values_of(DISPERSIONS))
    return model


def values_of(dispersions: InferentialDispersions) -> SimpleNamespace:
    """Give the measurements of cells that the model starts from."""
    scales = ExpressionScales(
        torch.tensor([4.0, 5.0]), torch.tensor([0.3, 0.6]), torch.tensor([0.3, 0.3, 0.2, 0.1, 0.1])
    )
    return SimpleNamespace(expression=scales, overdispersion=lambda codes: dispersions)


def batch_of(obs: Tensor | None = None, num_cells: int = CELLS) -> CellBatch:
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


def observed() -> Tensor:
    bootstraps = torch.rand(CELLS, ISOFORMS, BOOTSTRAPS) * 30
    bootstraps[0, 2] = bootstraps[1, :2] = bootstraps[2, 2:] = 0.0
    return bootstraps


def test_the_trace_is_the_graphical_model() -> None:
    model = build()
    trace = poutine.trace(model).get_trace(*batch_of(num_cells=60))
    names = ["decoder_weights", "cells", "z", "library", "bootstraps"]
    assert [name for name in trace.nodes if trace.nodes[name]["type"] == "sample"] == names
    bootstraps = trace.nodes["bootstraps"]
    assert bootstraps["value"].shape == (CELLS, 1, ISOFORMS, BOOTSTRAPS)
    assert trace.nodes["_RETURN"]["value"].shape == (CELLS, ISOFORMS, BOOTSTRAPS)
    assert {frame.name: frame.dim for frame in bootstraps["cond_indep_stack"]} == {"cells": -2}
    assert bootstraps["scale"] == 10.0


@pytest.mark.parametrize("dropout", ["none", "constant", "network"])
@pytest.mark.parametrize("dispersion", ["constant", "batch", "cell"])
def test_bootstraps_are_those_of_the_distribution(dropout: str, dispersion: str) -> None:
    model = build(dropout=dropout, dispersion=dispersion)
    latents = draw_latents(model)
    batches = batch_of().batches
    bootstraps = observed()
    mean, theta, logits = model.count_parameters(latents, batches)
    # Two thirds of the ambiguity are common to all cells, and no error of their own.
    totals = BootstrapGammaPoisson(
        model.genes.sums(mean),
        theta,
        logits,
        torch.tensor([0.8, 1.0, 1.5]),
        DISPERSIONS.totals,
        num_bootstraps=BOOTSTRAPS,
    )
    division = Division(
        model.genes.shares(mean),
        torch.full((3,), 2.0).exp(),
        torch.tensor([1.0, 1.0, 4.0]),
        DISPERSIONS.divisions,
    )
    expected = BootstrapGeneReads(totals, division, model.genes).log_prob(bootstraps)
    obs = BootstrapMean.of(bootstraps).stacked()
    trace = poutine.trace(poutine.condition(model, latents)).get_trace(*batch_of(obs))
    trace.compute_log_prob()
    found = trace.nodes["bootstraps"]["log_prob"]
    torch.testing.assert_close(found, expected.unsqueeze(-1))
    found.sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad != 0).any(), name


def test_weights_have_a_prior_while_they_are_learned() -> None:
    model = build(weight_scale=0.5)
    trace = poutine.trace(model).get_trace(*batch_of(BootstrapMean.of(observed()).stacked()))
    trace.compute_log_prob()
    weight = model.decoder.output.weight
    expected = torch.distributions.Normal(0.0, 0.5).log_prob(weight)
    constant = torch.distributions.Normal(0.0, 0.5).log_prob(torch.zeros(()))
    found = trace.nodes["decoder_weights"]["log_prob"]
    torch.testing.assert_close(found, (expected - constant).sum())
    assert "decoder_weights" not in poutine.trace(model.eval()).get_trace(*batch_of()).nodes


def test_predictive_draws_all_sites_from_their_priors(generation) -> None:
    model = build().eval()
    number = 500
    draws = generation.generate(model, batch_of(num_cells=60), number, parallel=True)
    assert draws["bootstraps"].shape == (number, CELLS, 1, ISOFORMS, BOOTSTRAPS)
    for name, prior in model.priors(batch_of().batches).items():
        generation.check_moments(draws[name], prior.mean, prior.stddev)


def test_dispersions_are_kept_where_steps_of_counts_can_be_spread() -> None:
    model = build()
    found = torch.tensor([0.0, 0.2, 30.0])
    model.initialise(values_of(InferentialDispersions(found, found)))
    for dispersion in (model.total_dispersion, model.division_dispersion):
        assert dispersion.tolist() == [0.5, 0.5, 30.0]


def test_expression_scatters_around_rates_as_far_as_isoforms_are_ambiguous() -> None:
    torch.manual_seed(0)
    model = build()
    totals = torch.tensor([30.0, 0.0, 200.0]).expand(40_000, 1, -1)
    usage = torch.tensor([1.0, 1.0, 0.5, 0.5, 0.0]).expand(40_000, 1, -1)
    for share in (0.25, 1.0):
        draws = model.draw_common_error(GeneRates(totals, usage), torch.tensor(share)).squeeze(1)
        # What has no ambiguity stays as it is, and what is off is off.
        torch.testing.assert_close(draws[:, 1], totals[:, 0, 0], atol=1.0, rtol=0)
        assert (draws[:, 0] < 1e-30).all()
        sums = draws[:, 2:].sum(-1)
        torch.testing.assert_close(sums.mean(), torch.tensor(200.0), rtol=0.01, atol=0)
        torch.testing.assert_close(sums.var(), torch.tensor(share * 1.5 * 200), rtol=0.05, atol=0)
        # Perks' prior has one read to give, among reads that are counted by the ambiguity.
        effective = 200 / (share * 9)
        expected = (effective * usage[0, 0, 2:] + 1 / 3) / (effective + 1)
        shares = draws[:, 2:] / sums.unsqueeze(-1)
        torch.testing.assert_close(shares.mean(0), expected, rtol=0.02, atol=5e-4)
        variance = expected * (1 - expected) / (effective + 2)
        torch.testing.assert_close(shares.var(0), variance, rtol=0.1, atol=1e-5)
    prior = model.common_share_prior()
    assert scipy.stats.kstest(prior.sample((1000,)), "beta", (0.5, 0.25)).pvalue > 1e-4


def test_the_common_error_can_be_added_last() -> None:
    """Expression is expression without the common error, plus it."""
    torch.manual_seed(0)
    model = build()
    reads = torch.tensor([0.0, 30.0, 100.0, 100.0, 0.0]).expand(40_000, 1, -1)
    draws = model.add_common_error(reads).squeeze(1)
    totals, usage = torch.tensor([30.0, 0.0, 200.0]), torch.tensor([1.0, 1.0, 0.5, 0.5, 0.0])
    rates = GeneRates(totals.expand(40_000, 1, -1), usage.expand(40_000, 1, -1))
    share = model.common_share_prior().sample((40_000, 1, 1))
    expected = model.draw_common_error(rates, share).squeeze(1)
    for isoform in range(1, 5):
        test = scipy.stats.ks_2samp(draws[:, isoform].numpy(), expected[:, isoform].numpy())
        assert test.pvalue > 1e-4
    assert (draws[:, 0] < 1e-30).all()


def test_few_reads_are_divided_less_evenly_than_many(small_models: ModuleType) -> None:
    """Reads that the common error takes away do not tell usage; without them it scatters more."""
    model = small_models.effective_reads([0, 0], [0.7, 0.3], totals=[20.0], divisions=[3.0])
    number = 4000
    rates = GeneRates(
        torch.full((number, 1, 1), 40.0), torch.tensor([0.7, 0.3]).expand(number, 1, 2)
    )
    draws = model.draw_common_error(rates, torch.tensor(0.5)).squeeze(1).double().numpy()
    totals = draws.sum(-1)
    # Effective reads of an ambiguity of 0.5 (3 - 1), and Perks' prior of half a read.
    shapes = totals * 0.7 + 0.5, totals * 0.3 + 0.5
    rank = scipy.stats.beta.cdf(draws[:, 0] / totals, *shapes)
    few = totals < np.median(totals)
    for chosen in (few, ~few):
        assert scipy.stats.kstest(rank[chosen], "uniform").pvalue > 1e-4


def test_posteriors_of_expression_are_rates_usage_and_the_common_error() -> None:
    torch.manual_seed(0)
    model = build(dropout="none")
    batches = batch_of().batches
    samples = [draw_latents(model) for _ in range(3)]
    obs = BootstrapMean.of(observed()).stacked()
    means = []
    with torch.no_grad():
        for latents in samples:
            distribution = model.likelihood(latents, batches, 1)
            totals = distribution.totals
            mean = model.genes.sums(obs[..., 1]).unsqueeze(-2)
            error, bootstrap = totals.error_dispersion, totals.bootstrap_dispersion
            of_zero = (1 - (-BOOTSTRAPS * error / bootstrap).exp()) / error
            exposure = torch.where(mean > 0, 1 / (error + bootstrap / BOOTSTRAPS), of_zero)
            theta = totals.inverse_dispersion
            rate = theta / totals.rate_mean + exposure
            means.append(((theta + mean * exposure) / rate).squeeze(-2))
        mean = torch.stack(means).mean(0)
        found = [model.expression(samples, batches, obs) for _ in range(40)]
    draws = model.genes.sums(torch.cat([posterior.draws for posterior in found]))
    assert draws.shape[1:] == (CELLS, 3)
    assert ((draws.mean(0) - mean).abs() < 6 * draws.std(0) / len(draws) ** 0.5).all()


def test_the_probability_of_whole_counts(small_models: ModuleType) -> None:
    """Of a gene a negative binomial, and of its isoforms a Dirichlet-multinomial of its reads."""
    model = small_models.effective_reads(
        [1, 0, 0],
        [0.2, 0.6, 0.2],
        totals=[1.0, 1.0],
        divisions=[1.0, 1.0],
        num_batches=2,
        dropout="constant",
    )
    small_models.without_states(model)
    model.dispersion.log_inverse_dispersion.data = torch.tensor([[0.5, 2.0]])
    model.dropout.dropout_logits.data = torch.tensor([-1.0, -2.0])
    model.log_concentration.data = torch.tensor([1.5, 0.0])
    counts = torch.tensor([[7.0, 20.0, 9.0], [0.0, 0.0, 0.0], [31.0, 0.0, 2.0]])
    library = np.array([60.0, 20.0, 100.0])
    latents = small_models.latents_of(library.tolist())
    found = model.log_prob_of_counts(latents, torch.tensor([0, 1, 1]), counts)
    dropped = 1 / (1 + np.exp([1.0, 2.0]))
    expected = np.zeros(3)
    for gene, isoforms, share in ((0, [1, 2], 0.8), (1, [0], 0.2)):
        theta, sums = np.exp([0.5, 2.0][gene]), counts[:, isoforms].sum(-1).numpy()
        pmf = scipy.stats.nbinom.pmf(sums, theta, theta / (theta + library * share))
        expected += np.log((1 - dropped[gene]) * pmf + dropped[gene] * (sums == 0))
    own = counts[:, 1:].numpy().astype(int)
    shape = np.exp(1.5) * np.array([0.75, 0.25])
    expected += scipy.stats.dirichlet_multinomial.logpmf(own, shape, own.sum(1))
    np.testing.assert_allclose(found.detach(), expected, atol=1e-3, rtol=1e-4)


def test_concentrations_arrive_and_stay_finite(small_models: ModuleType) -> None:
    """The variance of usage is that of kappa, within bounds beyond what counts can tell."""
    model = small_models.effective_reads(
        [0, 0], [0.5, 0.5], totals=[1.0], divisions=[1.0], dropout="none"
    )
    small_models.without_states(model)
    latents, batches = small_models.latents_of([30.0]), torch.zeros(1, dtype=torch.int64)

    def log_odds(log_kappa: float) -> float:
        """How much likelier it is that 30 reads are divided evenly than that one has all."""
        model.log_concentration.data.fill_(log_kappa)
        with torch.no_grad():
            even, uneven = (
                model.log_prob_of_counts(latents, batches, torch.tensor([own]))
                for own in ([15.0, 15.0], [30.0, 0.0])
            )
        return float(even - uneven)

    for log_kappa in (-1.5, 1.0, 8.0):
        shape = np.exp(log_kappa) / 2 * np.ones(2)
        even, uneven = scipy.stats.dirichlet_multinomial.logpmf([[15, 15], [30, 0]], shape, 30)
        assert log_odds(log_kappa) == pytest.approx(even - uneven, abs=2e-2)
    assert log_odds(60.0) == pytest.approx(log_odds(12.0), abs=1e-3)
    assert log_odds(-60.0) == pytest.approx(log_odds(-2.0), abs=1e-3)


def test_parameters_of_genes_learn_faster() -> None:
    model = build(dropout="constant")
    factors = {name: model.learning_rate_factor(name) for name, _ in model.named_parameters()}
    fast = {
        "decoder.output.bias",
        "dispersion.log_inverse_dispersion",
        "dropout.dropout_logits",
        "log_concentration",
    }
    assert factors == {name: 5.0 if name in fast else 1.0 for name in factors}
