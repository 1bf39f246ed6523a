"""scVI: what it generates and scores, and its networks."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pyro
import pytest
import scipy.stats
import torch
from pyro import poutine
from pyro.distributions import LogNormal
from torch import Tensor

from exvae.data.cell_batches import CellBatch
from exvae.data.initial_values import ExpressionScales
from exvae.data.posteriors import SampledPosterior
from exvae.models.scvi import DISPERSIONS, DROPOUTS, SCVI

CELLS, ISOFORMS, BATCHES = 6, 4, 2


def batch_of(cells: int = CELLS, obs: Tensor | None = None, num_cells: int | None = None):
    """Make a minibatch; what the guide would read is of no account here."""
    return CellBatch(
        torch.ones(cells, ISOFORMS),
        torch.arange(cells + 1),
        torch.arange(cells) % BATCHES,
        torch.arange(cells),
        num_cells or cells,
        obs,
    )


def build(**options) -> SCVI:
    model = SCVI(ISOFORMS, BATCHES, latent_size=3, hidden_sizes=(8,), **options)
    scales = ExpressionScales(
        torch.tensor([4.0, 5.0]), torch.tensor([0.3, 0.6]), torch.tensor([0.4, 0.3, 0.2, 0.1])
    )
    model.initialise(SimpleNamespace(expression=scales))
    return model


def draw_latents(model: SCVI, *shape: int) -> dict[str, Tensor]:
    return {
        "z": torch.randn(*shape, CELLS, 1, model.latent_size),
        "library": 50 + 10 * torch.rand(*shape, CELLS, 1),
    }


every_option = pytest.mark.parametrize(
    ("dispersion", "dropout"), list(itertools.product(DISPERSIONS, DROPOUTS))
)


@every_option
def test_counts_are_zinb_of_what_is_decoded(dispersion: str, dropout: str) -> None:
    model = build(dispersion=dispersion, dropout=dropout)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    batches = batch_of().batches
    latents = draw_latents(model)
    mean, theta, logits = model.count_parameters(latents, batches)
    torch.testing.assert_close(mean.sum(-1, keepdim=True), latents["library"])
    counts = torch.poisson(mean.detach())
    log_prob = model.likelihood(latents, batches).log_prob(counts)
    assert log_prob.shape == (CELLS, ISOFORMS)
    mean, theta, dropped = (
        part.detach().expand(CELLS, ISOFORMS).double().numpy()
        for part in (mean, theta, logits.sigmoid())
    )
    pmf = (1 - dropped) * scipy.stats.nbinom.pmf(counts.numpy(), theta, theta / (theta + mean))
    pmf += dropped * (counts.numpy() == 0)
    np.testing.assert_allclose(log_prob.detach(), np.log(pmf), atol=1e-4, rtol=1e-4)
    of_cells = model.log_prob_of_counts(latents, batches, counts)
    torch.testing.assert_close(of_cells, log_prob.sum(-1))


@every_option
def test_every_parameter_is_used(dispersion: str, dropout: str) -> None:
    model = build(dispersion=dispersion, dropout=dropout)
    batch = batch_of()
    counts = model.likelihood(draw_latents(model), batch.batches)
    counts.log_prob(torch.ones(CELLS, ISOFORMS)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


def test_theta_and_dropout_vary_as_told() -> None:
    batches = batch_of().batches
    for dispersion, dropout in zip(DISPERSIONS, DROPOUTS, strict=True):
        model = build(dispersion=dispersion, dropout=dropout)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter)
        _, theta, logits = model.count_parameters(draw_latents(model), batches)
        theta, logits = theta.expand(CELLS, -1), logits.expand(CELLS, ISOFORMS)
        same_batch, other_batch = (0, 2), (0, 1)
        assert torch.equal(*theta[list(same_batch)]) == (dispersion != "cell")
        assert torch.equal(*theta[list(other_batch)]) == (dispersion == "constant")
        assert torch.equal(*logits[list(same_batch)]) == (dropout != "network")
        if dropout == "none":
            assert (logits.sigmoid() < 1e-20).all()


def test_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="dispersion is 'gene'; choose one of constant"):
        SCVI(ISOFORMS, dispersion="gene")
    with pytest.raises(ValueError, match="dropout is 'some'; choose one of network"):
        SCVI(ISOFORMS, dropout="some")


def test_the_start_is_what_the_counts_tell() -> None:
    model = build()
    latents = {"z": torch.zeros(CELLS, 1, 3), "library": torch.full((CELLS, 1), 200.0)}
    torch.nn.init.zeros_(model.decoder.output.weight)
    mean, _, logits = model.count_parameters(latents, batch_of().batches)
    torch.testing.assert_close(mean, torch.tensor([80.0, 60.0, 40.0, 20.0]).expand(CELLS, -1))
    assert (logits.sigmoid() < 0.06).all()
    prior = model.library_prior(torch.tensor([1, 0]))
    expected = LogNormal(torch.tensor([[5.0], [4.0]]), torch.tensor([[0.6], [0.3]]))
    value = torch.tensor([[100.0], [70.0]])
    torch.testing.assert_close(prior.log_prob(value), expected.log_prob(value))


def test_the_trace_is_the_graphical_model() -> None:
    model = build()
    counts = torch.poisson(torch.full((CELLS, ISOFORMS), 9.0))
    trace = poutine.trace(model).get_trace(*batch_of(obs=counts, num_cells=60))
    assert trace.stochastic_nodes == ["cells", "z", "library", "isoforms"]
    assert trace.observation_nodes == ["counts"]
    trace.compute_log_prob()
    sites = trace.nodes
    assert sites["z"]["value"].shape == (CELLS, 1, 3)
    assert sites["library"]["value"].shape == (CELLS, 1)
    assert sites["counts"]["log_prob"].shape == (CELLS, ISOFORMS)
    plates = {frame.name: frame for frame in sites["counts"]["cond_indep_stack"]}
    assert {name: frame.dim for name, frame in plates.items()} == {"cells": -2, "isoforms": -1}
    assert sites["counts"]["scale"] == 10.0


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_draws_all_sites_from_their_priors(generation, parallel: bool) -> None:
    model = build()
    number = 500
    draws = generation.generate(model, batch_of(num_cells=60), number, parallel=parallel)
    shapes = {name: tuple(value.shape) for name, value in draws.items()}
    assert shapes == {
        "z": (number, CELLS, 1, 3),
        "library": (number, CELLS, 1),
        "counts": (number, CELLS, ISOFORMS),
    }
    for name, prior in model.priors(batch_of().batches).items():
        generation.check_moments(draws[name], prior.mean, prior.stddev)


@every_option
def test_generated_counts_have_the_moments_of_their_probabilities(
    generation, dispersion: str, dropout: str
) -> None:
    model = build(dispersion=dispersion, dropout=dropout)
    if dropout == "constant":
        model.dropout.dropout_logits.data.fill_(-1.0)
    latents = draw_latents(model)
    draws = generation.generate(model, batch_of(), 2000, latents, parallel=True)["counts"]
    assert draws.shape == (2000, CELLS, ISOFORMS)
    counts = torch.arange(500.0)
    obs = counts[:, None, None].expand(-1, CELLS, ISOFORMS)
    probabilities = generation.score(model, batch_of(obs=obs), latents, "counts").exp()
    generation.check_moments(draws, *generation.moments(counts, probabilities))
    zero = probabilities[0]
    generation.check_moments((draws == 0).float(), zero, (zero * (1 - zero)).sqrt())


def test_vectorised_samples_decode_as_single_ones() -> None:
    model = build(dispersion="cell").eval()
    latents = draw_latents(model, 5)
    together = model.count_parameters(latents, batch_of().batches)
    for sample in range(5):
        own = {name: value[sample] for name, value in latents.items()}
        single = model.count_parameters(own, batch_of().batches)
        for all_samples, one in zip(together, single, strict=True):
            torch.testing.assert_close(all_samples[sample], one)


def test_means_stay_positive_however_far_the_states() -> None:
    model = build()
    latents = draw_latents(model)
    latents["z"] = latents["z"] * 1e4
    counts = model.likelihood(latents, batch_of().batches)
    assert counts.log_prob(torch.full((CELLS, ISOFORMS), 30.0)).isfinite().all()


def test_the_posterior_of_rates_is_that_of_the_gamma_mixture() -> None:
    model = build(dropout="constant")
    model.dropout.dropout_logits.data.fill_(0.5)
    batches = batch_of().batches
    latents = {"z": torch.zeros(CELLS, 1, 3), "library": torch.full((CELLS, 1), 8.0)}
    counts = torch.tensor([0.0, 0.0, 3.0, 12.0]).expand(CELLS, -1)
    with torch.no_grad():
        posterior = model.expression([latents] * 200, batches, counts)
        mean, theta, logits = model.count_parameters(latents, batches)
    kept_zero = torch.sigmoid(-logits) * (theta / (theta + mean)) ** theta
    dropped = torch.where(counts == 0, logits.sigmoid() / (logits.sigmoid() + kept_zero), 0.0)
    means = dropped * mean + (1 - dropped) * (theta + counts) / (theta / mean + 1)
    error = (posterior.mean - means) / (posterior.variance / len(posterior.draws)).sqrt()
    assert error.abs().max() < 4.5


def test_sampled_posteriors() -> None:
    draws = torch.distributions.Gamma(torch.tensor([2.0, 30.0]), 1.0).sample((20000,))
    posterior = SampledPosterior(draws)
    torch.testing.assert_close(posterior.mean, torch.tensor([2.0, 30.0]), rtol=0.03, atol=0)
    torch.testing.assert_close(posterior.variance, torch.tensor([2.0, 30.0]), rtol=0.05, atol=0)
    torch.testing.assert_close(posterior.log1p_mean, draws.log1p().mean(0))
    levels = [0.1, 0.5, 0.975]
    exact = torch.tensor(scipy.stats.gamma.ppf([[q] for q in levels], [2.0, 30.0]))
    torch.testing.assert_close(posterior.quantile(levels).double(), exact, rtol=0.03, atol=0)
    assert torch.equal(posterior.quantile(0.5), posterior.quantile(levels)[1])
    assert torch.equal(SampledPosterior(draws[:1]).quantile(0.9), draws[0])


def test_few_draws_are_summed_up_as_numpy_does() -> None:
    draws = torch.distributions.Gamma(2.0, 0.1).sample((7, 3, 2))
    posterior, values = SampledPosterior(draws), draws.double().numpy()
    np.testing.assert_allclose(posterior.variance, values.var(0, ddof=1), rtol=1e-5)
    levels = [0.9, 0.025, 0.5, 0.31]
    expected = np.quantile(values, levels, axis=0)
    np.testing.assert_allclose(posterior.quantile(levels), expected, rtol=1e-5)


def test_ranks_in_sampled_posteriors() -> None:
    posterior = SampledPosterior(torch.tensor([0.0, 0.3, 2.0, 7.0]).repeat(6, 1).T)
    below, up_to = posterior.rank(torch.tensor([0.0, 0.4, 0.6, 2.0, 7.0, 9.0]))
    # What is below half a read is zero, and so are truths.
    assert below.tolist() == [0.0, 0.0, 0.5, 0.5, 0.75, 1.0]
    assert up_to.tolist() == [0.5, 0.5, 0.5, 0.75, 1.0, 1.0]


def test_hidden_layers_have_the_sizes_that_are_told() -> None:
    model = SCVI(ISOFORMS, BATCHES, latent_size=3, hidden_sizes=(9, 6), dropout="none")
    shapes = [tuple(part.weight.shape) for part in model.modules() if type(part) is torch.nn.Linear]
    assert shapes == [(9, 3), (6, 9), (ISOFORMS, 6)]


def test_dispersions_and_small_means_arrive() -> None:
    """Bounds of theta and of the mean lie beyond what counts can tell."""
    model = build(dropout="none")
    torch.nn.init.zeros_(model.decoder.output.weight)
    model.decoder.output.bias.data = torch.tensor([0.0, -10.0, -8.0, -1.0])
    logs = torch.tensor([-4.0, 0.0, 5.0, 9.0])
    model.dispersion.log_inverse_dispersion.data[:] = logs
    latents = {"z": torch.zeros(CELLS, 1, 3), "library": torch.full((CELLS, 1), 8.0)}
    mean, theta, _ = model.count_parameters(latents, batch_of().batches)
    torch.testing.assert_close(theta[0], logs.exp())
    expected = 8 * torch.tensor([0.0, -10.0, -8.0, -1.0]).softmax(-1)
    torch.testing.assert_close(mean[0], expected)
    for extreme in (-200.0, 200.0):
        model.dispersion.log_inverse_dispersion.data.fill_(extreme)
        theta = model.count_parameters(latents, batch_of().batches)[1]
        assert (theta.isfinite() & (theta > 1e-3)).all()
    # A softmax alone would give zero here, which is no mean.
    model.decoder.output.bias.data[1] = -200.0
    mean, _, _ = model.count_parameters(latents, batch_of().batches)
    assert (mean > 0).all()


@every_option
def test_parameters_of_isoforms_learn_faster(dispersion: str, dropout: str) -> None:
    model = build(dispersion=dispersion, dropout=dropout)
    factors = {name: model.learning_rate_factor(name) for name, _ in model.named_parameters()}
    fast = {"decoder.output.bias"}
    fast |= {"dispersion.log_inverse_dispersion"} if dispersion != "cell" else set()
    fast |= {"dropout.dropout_logits"} if dropout == "constant" else set()
    assert factors == {name: 5.0 if name in fast else 1.0 for name in factors}
    assert fast < set(factors)


def test_two_models_do_not_share_parameters() -> None:
    one, other = build(), build()
    pyro.infer.Predictive(one, num_samples=1)(*batch_of())
    pyro.infer.Predictive(other, num_samples=1)(*batch_of())
    names = [name.split(".")[0] for name in pyro.get_param_store()]
    assert len(set(names)) == 2
