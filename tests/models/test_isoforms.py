"""The model of bootstraps: what it generates and scores."""

from __future__ import annotations

import itertools

import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from torch import Tensor

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.cells import CellBatch, ExpressionScales
from exvae.models.distributions import BootstrapZINB
from exvae.models.isoforms import BootstrapIsoforms

CELLS, ISOFORMS, BATCHES, BOOTSTRAPS = 6, 4, 2, 3

every_likelihood = pytest.mark.parametrize(
    ("error", "zeros", "noise"),
    list(
        itertools.product(
            ("shared", "independent"), ("rectified", "atom"), ("adaptive", "relative", "absolute")
        )
    ),
)


def build(**options) -> BootstrapIsoforms:
    model = BootstrapIsoforms(
        ISOFORMS,
        BATCHES,
        latent_size=3,
        noise_latent_size=2,
        hidden_sizes=(8,),
        noise_hidden_sizes=(8,),
        **options,
    )
    model.initialise(
        ExpressionScales(
            torch.tensor([4.0, 5.0]), torch.tensor([0.3, 0.6]), torch.tensor([0.4, 0.3, 0.2, 0.1])
        )
    )
    model.initialise_noise(torch.tensor([1.0, 4.0, 0.25, 9.0]))
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


def draw_latents(model: BootstrapIsoforms) -> dict[str, Tensor]:
    return {
        "z": torch.randn(CELLS, 1, model.latent_size),
        "library": 50 + 10 * torch.rand(CELLS, 1),
        "a": torch.randn(CELLS, 1, model.noise_latent_size),
    }


@every_likelihood
def test_bootstraps_are_those_of_the_distribution(error: str, zeros: str, noise: str) -> None:
    model = build(error=error, zeros=zeros, noise=noise).eval()
    latents = draw_latents(model)
    batch = batch_of()
    with torch.no_grad():
        bootstraps = model.bootstraps(
            batches=batch.batches, num_bootstraps=BOOTSTRAPS, **latents
        ).sample()
        assert bootstraps.shape == (CELLS, ISOFORMS, BOOTSTRAPS)
        state = {name: latents[name] for name in ("z", "library")}
        counts = model.decode(batches=batch.batches, **state)
        scale, dropout, concentration = model.decode_noise(latents["a"], batch.batches)
        assert (concentration is not None) == (noise == "adaptive")
        expected = BootstrapZINB(
            *counts,
            scale,
            dropout,
            num_bootstraps=BOOTSTRAPS,
            error=error,
            zeros=zeros,
            noise=noise,
            noise_concentration=concentration,
        ).log_prob(bootstraps)
        assert expected.shape == (CELLS, ISOFORMS)
        for obs in (bootstraps, BootstrapSummary.of(bootstraps)):
            conditioned = poutine.condition(model, data=latents)
            trace = poutine.trace(conditioned).get_trace(*batch_of(obs))
            trace.compute_log_prob()
            torch.testing.assert_close(trace.nodes["bootstraps"]["log_prob"], expected)


@every_likelihood
def test_every_parameter_is_used(error: str, zeros: str, noise: str) -> None:
    model = build(error=error, zeros=zeros, noise=noise)
    batch = batch_of()
    bootstraps = torch.rand(CELLS, ISOFORMS, BOOTSTRAPS) * 30
    bootstraps[:, :, 0] = 0.0
    distribution = model.bootstraps(
        batches=batch.batches, num_bootstraps=BOOTSTRAPS, **draw_latents(model)
    )
    distribution.log_prob(bootstraps).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


def test_the_noise_starts_at_the_variance_of_the_bootstraps() -> None:
    model = build()
    torch.nn.init.zeros_(model.noise_decoder.output.weight)
    scale, dropout, concentration = model.decode_noise(torch.randn(CELLS, 1, 2), batch_of().batches)
    expected = torch.tensor([1.0, 2.0, 0.5, 3.0]).expand(CELLS, -1)
    torch.testing.assert_close(scale, expected, rtol=1e-4, atol=1e-4)
    assert (dropout.sigmoid() < 0.03).all()
    torch.testing.assert_close(concentration, torch.full((ISOFORMS,), 5.0))


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


def test_predictive_generates_bootstraps() -> None:
    samples = Predictive(build(), num_samples=5)(*batch_of())
    assert samples["bootstraps"].shape == (5, CELLS, ISOFORMS, BOOTSTRAPS)
    assert (samples["bootstraps"] >= 0).all()
    assert samples["z"].shape == (5, CELLS, 1, 3)
    everything = Predictive(build(), num_samples=5, parallel=True)(*batch_of())
    assert everything["bootstraps"].shape == (5, CELLS, ISOFORMS, BOOTSTRAPS)


def test_the_probability_of_a_whole_count_sums_to_one() -> None:
    model = build().eval()
    latents = draw_latents(model)
    latents["library"] = torch.full((CELLS, 1), 3.0)
    batches = batch_of().batches
    counts = torch.zeros(CELLS, ISOFORMS)
    with torch.no_grad():
        distribution = model.bootstraps(batches=batches, num_bootstraps=1, **latents)
        bins = torch.arange(400.0)[:, None, None].expand(-1, CELLS, ISOFORMS)
        total = distribution.log_prob_of_bin(bins).exp().sum(0)
        torch.testing.assert_close(total, torch.ones(CELLS, ISOFORMS), atol=5e-3, rtol=0)
        log_prob = model.log_prob_of_counts(latents, batches, counts)
    assert log_prob.shape == (CELLS,)
    expected = distribution.log_prob_of_bin(counts).sum(-1)
    torch.testing.assert_close(log_prob, expected)


def test_expression_averages_the_posteriors_of_the_samples() -> None:
    model = build().eval()
    batches = batch_of().batches
    samples = [draw_latents(model) for _ in range(3)]
    bootstraps = torch.rand(CELLS, ISOFORMS, BOOTSTRAPS) * 30
    summary = BootstrapSummary.of(bootstraps)
    with torch.no_grad():
        for of in ("y", "u"):
            found = model.expression(samples, batches, summary, of=of)
            means = [
                model.bootstraps(batches=batches, num_bootstraps=BOOTSTRAPS, **latents)
                .posterior(bootstraps, of=of)
                .mean
                for latents in samples
            ]
            torch.testing.assert_close(found.mean, torch.stack(means).mean(0))
            ends = found.quantile([0.1, 0.9])
            assert ends.shape == (2, CELLS, ISOFORMS)
            assert (ends[0] <= ends[1]).all()


def test_options_that_do_not_exist_are_refused_at_once() -> None:
    for option in ("error", "zeros", "noise"):
        with pytest.raises(ValueError, match=f"{option} is 'nothing'; choose one of"):
            build(**{option: "nothing"})
