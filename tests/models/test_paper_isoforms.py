"""The model of bootstraps: what it generates and scores."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pyro import poutine
from torch import Tensor

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.cell_batches import CellBatch
from exvae.data.initial_values import ExpressionScales
from exvae.models.distributions.bootstrap_zinb import BootstrapZINB
from exvae.models.paper_isoforms import BootstrapIsoforms

CELLS, ISOFORMS, BATCHES, BOOTSTRAPS = 6, 4, 2, 3

every_likelihood = pytest.mark.parametrize(
    ("error", "noise"),
    list(itertools.product(("independent", "shared"), ("absolute", "relative"))),
)


def build(variances: list[float] | None = None, **options) -> BootstrapIsoforms:
    model = BootstrapIsoforms(
        ISOFORMS,
        BATCHES,
        latent_size=3,
        noise_latent_size=2,
        hidden_sizes=(8,),
        noise_hidden_sizes=(8,),
        **options,
    )
    scales = ExpressionScales(
        torch.tensor([4.0, 5.0]), torch.tensor([0.3, 0.6]), torch.tensor([0.4, 0.3, 0.2, 0.1])
    )
    measured = torch.tensor([1.0, 4.0, 0.25, 9.0] if variances is None else variances)
    model.initialise(SimpleNamespace(expression=scales, noise_variances=lambda relative: measured))
    return model


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


def draw_latents(model: BootstrapIsoforms) -> dict[str, Tensor]:
    return {
        "z": torch.randn(CELLS, 1, model.latent_size),
        "library": 50 + 10 * torch.rand(CELLS, 1),
        "a": torch.randn(CELLS, 1, model.noise_latent_size),
    }


@every_likelihood
def test_bootstraps_are_those_of_the_distribution(error: str, noise: str) -> None:
    model = build(error=error, noise=noise).eval()
    latents = draw_latents(model)
    batch = batch_of()
    with torch.no_grad():
        bootstraps = model.likelihood(latents, batch.batches, BOOTSTRAPS).sample()
        assert bootstraps.shape == (CELLS, ISOFORMS, BOOTSTRAPS)
        expected = BootstrapZINB(
            *model.count_parameters(latents, batch.batches),
            *model.decode_noise(latents["a"], batch.batches),
            num_bootstraps=BOOTSTRAPS,
            error=error,
            noise=noise,
        ).log_prob(bootstraps)
        assert expected.shape == (CELLS, ISOFORMS)
        conditioned = poutine.condition(model, data=latents)
        obs = BootstrapSummary.of(bootstraps).stacked()
        trace = poutine.trace(conditioned).get_trace(*batch_of(obs))
        trace.compute_log_prob()
        torch.testing.assert_close(trace.nodes["bootstraps"]["log_prob"], expected)


@every_likelihood
def test_every_parameter_is_used(error: str, noise: str) -> None:
    model = build(error=error, noise=noise)
    batch = batch_of()
    bootstraps = torch.rand(CELLS, ISOFORMS, BOOTSTRAPS) * 30
    bootstraps[:, :, 0] = 0.0
    distribution = model.likelihood(draw_latents(model), batch.batches, BOOTSTRAPS)
    distribution.log_prob(bootstraps).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


def test_the_noise_starts_at_the_variance_of_the_bootstraps() -> None:
    model = build()
    torch.nn.init.zeros_(model.noise_decoder.output.weight)
    scale, dropout = model.decode_noise(torch.randn(CELLS, 1, 2), batch_of().batches)
    expected = torch.tensor([1.0, 2.0, 0.5, 3.0]).expand(CELLS, -1)
    torch.testing.assert_close(scale, expected, rtol=1e-4, atol=1e-4)
    assert (dropout.sigmoid() < 0.03).all()


def test_the_trace_is_the_graphical_model() -> None:
    model = build()
    trace = poutine.trace(model).get_trace(*batch_of(num_cells=60))
    assert trace.stochastic_nodes == ["cells", "z", "library", "a", "isoforms", "bootstraps"]
    sites = trace.nodes
    assert sites["a"]["value"].shape == (CELLS, 1, 2)
    assert sites["bootstraps"]["value"].shape == (CELLS, ISOFORMS, BOOTSTRAPS)
    plates = {frame.name: frame.dim for frame in sites["bootstraps"]["cond_indep_stack"]}
    assert plates == {"cells": -2, "isoforms": -1}
    assert sites["bootstraps"]["scale"] == 10.0


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_draws_all_sites_from_their_priors(generation, parallel: bool) -> None:
    model = build()
    number = 500
    draws = generation.generate(model, batch_of(num_cells=60), number, parallel=parallel)
    shapes = {name: tuple(value.shape) for name, value in draws.items()}
    assert shapes == {
        "z": (number, CELLS, 1, 3),
        "library": (number, CELLS, 1),
        "a": (number, CELLS, 1, 2),
        "bootstraps": (number, CELLS, ISOFORMS, BOOTSTRAPS),
    }
    assert (draws["bootstraps"] >= 0).all()
    for name, prior in model.priors(batch_of().batches).items():
        generation.check_moments(draws[name], prior.mean, prior.stddev)


def nodes_of_reads() -> tuple[Tensor, Tensor]:
    """Nodes and weights over what a bootstrap can be; the first is zero, an atom."""
    edges = np.concatenate([np.arange(0, 8, 0.5), np.geomspace(8, 1000, 30)])
    edges = np.concatenate([-edges[edges < 300][:0:-1], edges])
    abscissas, shares = np.polynomial.legendre.leggauss(8)
    low, width = edges[:-1, None], np.diff(edges)[:, None]
    nodes, weights = low + width * (abscissas + 1) / 2, width * shares / 2
    nodes, weights = (np.concatenate([[x], y.ravel()]) for x, y in ((0, nodes), (1, weights)))
    return torch.tensor(nodes).float(), torch.tensor(weights).float()


@every_likelihood
def test_generated_bootstraps_have_the_moments_of_their_density(
    generation, error: str, noise: str
) -> None:
    # Noise as large as the counts themselves, so that both show.
    scale = 20.0 if noise == "absolute" else 1.0
    variances = [scale * own for own in (4.0, 9.0, 16.0, 25.0)]
    model = build(variances, error=error, noise=noise).eval()
    model.dispersion.log_inverse_dispersion.data.fill_(2.0)
    latents = draw_latents(model)
    number = 5000
    draws = generation.generate(model, batch_of(), number, latents, parallel=True)["bootstraps"]
    assert draws.shape == (number, CELLS, ISOFORMS, BOOTSTRAPS)
    nodes, weights = nodes_of_reads()
    single = nodes[:, None, None, None].expand(-1, CELLS, ISOFORMS, 1)
    obs = BootstrapSummary.of(single).stacked()
    density = generation.score(model, batch_of(obs), latents, "bootstraps").exp()
    masses = density * weights[:, None, None]
    # What is negative is set to zero when it is generated.
    mean, sd = generation.moments(nodes.clamp(min=0.0), masses)
    zero = masses[nodes <= 0].sum(0)
    for bootstrap in draws.unbind(-1):
        generation.check_moments(bootstrap, mean, sd)
        generation.check_moments((bootstrap == 0).float(), zero, (zero * (1 - zero)).sqrt())


def test_the_probability_of_a_whole_count_sums_to_one() -> None:
    model = build().eval()
    latents = draw_latents(model)
    latents["library"] = torch.full((CELLS, 1), 3.0)
    batches = batch_of().batches
    counts = torch.zeros(CELLS, ISOFORMS)
    with torch.no_grad():
        distribution = model.likelihood(latents, batches, 1)
        bins = torch.arange(400.0)[:, None, None].expand(-1, CELLS, ISOFORMS)
        total = distribution.log_prob_of_bin(bins).exp().sum(0)
        torch.testing.assert_close(total, torch.ones(CELLS, ISOFORMS), atol=5e-3, rtol=0)
        log_prob = model.log_prob_of_counts(latents, batches, counts)
    assert log_prob.shape == (CELLS,)
    expected = distribution.log_prob_of_bin(counts).sum(-1)
    torch.testing.assert_close(log_prob, expected)


def test_expression_averages_the_posteriors_of_the_samples() -> None:
    model = build(dropout="constant").eval()  # so that y, before dropout, is not u
    model.dropout.dropout_logits.data.fill_(1.0)
    batches = batch_of().batches
    samples = [draw_latents(model) for _ in range(3)]
    bootstraps = torch.rand(CELLS, ISOFORMS, BOOTSTRAPS) * 30
    bootstraps[0] = 0.0
    obs = BootstrapSummary.of(bootstraps).stacked()
    with torch.no_grad():
        found = model.expression(samples, batches, obs)
        means = [
            model.likelihood(latents, batches, BOOTSTRAPS).posterior(bootstraps, of="y").mean
            for latents in samples
        ]
        torch.testing.assert_close(found.mean, torch.stack(means).mean(0))
        of_u = model.likelihood(samples[0], batches, BOOTSTRAPS).posterior(bootstraps, of="u").mean
        assert not torch.allclose(of_u, means[0], rtol=0.01)
        ends = found.quantile([0.1, 0.9])
        assert ends.shape == (2, CELLS, ISOFORMS)
        assert (ends[0] <= ends[1]).all()


def test_options_that_do_not_exist_are_refused_at_once() -> None:
    for option in ("error", "noise"):
        with pytest.raises(ValueError, match=f"{option} is 'nothing'; choose one of"):
            build(**{option: "nothing"})


@pytest.mark.parametrize("noise", ["absolute", "relative"])
def test_noise_starts_from_variances_of_its_own_kind(noise: str) -> None:
    asked = []

    def noise_variances(*, relative: bool) -> Tensor:
        asked.append(relative)
        return torch.ones(ISOFORMS)

    model = build(noise=noise)
    scales = ExpressionScales(torch.zeros(2), torch.ones(2), torch.full((ISOFORMS,), 0.25))
    model.initialise(SimpleNamespace(expression=scales, noise_variances=noise_variances))
    assert asked == [noise == "relative"]
