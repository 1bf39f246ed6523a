"""Cells of another batch have other rates, wherever a model speaks of cells."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from pyro import poutine
from torch import Tensor

from exvae.models.scvi import SCVI

FRACTIONS = [0.3, 0.3, 0.2, 0.1, 0.1]
CELLS, BOOTSTRAPS = 4, 3
MIXED = torch.tensor([0, 1, 1, 0])
LIBRARY = [60.0, 90.0, 50.0, 80.0]


@pytest.fixture(params=["effective", "scvi"])
def model(request, small_models: ModuleType) -> SCVI:
    if request.param == "scvi":
        built = small_models.scvi(FRACTIONS, num_batches=2)
    else:
        dispersions = [30.0, 30.0, 30.0]
        built = small_models.effective_reads(
            [1, 0, 2, 2, 2], FRACTIONS, totals=dispersions, divisions=dispersions, num_batches=2
        )
    # Rates that the observations say little of.
    built.dispersion.log_inverse_dispersion.data.fill_(3.0)
    return small_models.with_batches(built).eval()


@pytest.fixture
def obs(model: SCVI, small_models: ModuleType) -> object:
    counts = torch.tensor([[3.0, 0.0, 9.0, 2.0, 1.0]]).expand(CELLS, -1)
    if type(model) is SCVI:
        return counts
    return small_models.observation(counts.unsqueeze(-1).expand(-1, -1, BOOTSTRAPS))


def check_rows(
    of_batches: Callable[[Tensor], Tensor], tolerance: float = 1e-4, least: float = 0.1
) -> None:
    """Compare rows of cells of mixed batches with those of cells of one batch."""
    with torch.no_grad():
        mixed = of_batches(MIXED)
        alone = torch.stack([of_batches(torch.full((CELLS,), batch)) for batch in (0, 1)])
    assert mixed.shape[0] == CELLS
    torch.testing.assert_close(
        mixed, alone[MIXED, torch.arange(CELLS)], rtol=tolerance, atol=tolerance
    )
    difference = ((alone[0] - alone[1]).abs() / (1 + alone[0].abs())).reshape(CELLS, -1).amax(1)
    assert (difference > max(least, 3 * tolerance)).all()


def test_every_site_of_the_trace(model: SCVI, obs: object, small_models: ModuleType) -> None:
    latents = small_models.latents_of(LIBRARY)

    def scores(batches: Tensor) -> dict[str, Tensor]:
        conditioned = poutine.condition(model, latents)
        batch = small_models.minibatch(obs, batches, num_bootstraps=BOOTSTRAPS)
        trace = poutine.trace(conditioned).get_trace(*batch)
        trace.compute_log_prob()
        return {
            name: trace.nodes[name]["log_prob"] for name in (*latents, *trace.observation_nodes)
        }

    with torch.no_grad():
        sites = set(scores(MIXED)) - {"z", "library"} - set(latents)
    assert len(sites) == 1
    for site in ("library", *sites):
        check_rows(lambda batches, site=site: scores(batches)[site], least=0.01)


def test_priors(model: SCVI) -> None:
    value = torch.full((CELLS, 1), 40.0)
    check_rows(lambda batches: model.priors(batches)["library"].log_prob(value))


def test_the_probability_of_counts(model: SCVI, small_models: ModuleType) -> None:
    counts = torch.tensor([[3.0, 0.0, 9.0, 2.0, 1.0]]).expand(CELLS, -1)
    latents = small_models.latents_of(LIBRARY)
    check_rows(lambda batches: model.log_prob_of_counts(latents, batches, counts), least=0.01)


def test_expression(model: SCVI, obs: object, small_models: ModuleType) -> None:
    samples = [small_models.latents_of(LIBRARY)] * 100
    check_rows(lambda batches: model.expression(samples, batches, obs).log1p_mean, 0.08)
