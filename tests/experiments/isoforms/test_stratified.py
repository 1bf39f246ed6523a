"""Stratified layers of cells, against draws of the model: batches, unknown ones, units, levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from exvae.data.cells import Cells
from exvae.experiments.isoforms import stratified
from exvae.experiments.isoforms.export_writing import ExportOptions, block_of, compact_blocks
from exvae.experiments.isoforms.expression import draw_expression, posteriors_of_expression
from exvae.experiments.isoforms.inference import POSTERIOR_BLOCK
from exvae.experiments.isoforms.stratified import can_stratify, has_rate_posterior
from exvae.models.isoforms import EffectiveReadIsoforms
from exvae.models.paper_isoforms import BootstrapIsoforms
from exvae.models.scvi import SCVI

QUANTILES = (0.1, 0.5, 0.95)
ISOFORMS, GENES = 6, 3


def layers_of(fit: object, cells: Cells, samples: int, **options: object) -> dict[str, np.ndarray]:
    """Give the layers of an export, shape (cells, columns)."""
    torch.manual_seed(0)
    asked = ExportOptions(quantiles=QUANTILES, num_samples=samples, **options)
    (block,) = compact_blocks(fit, cells, asked, block=10**6)
    number = GENES if options.get("level") == "gene" else ISOFORMS
    return {name: block.matrix(name, number).toarray() for name in block.values}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"level": "gene"},
        {"transform_batch": "bea"},
        {"transform_batch": "bea", "level": "gene", "library_size": 200.0},
        {"library_size": "tpm"},
        {"library_size": "tpm", "level": "gene"},
    ],
    ids=str,
)
@pytest.mark.parametrize("unknown", [False, True])
def test_layers_are_those_of_many_draws(
    load: Callable, monkeypatch: pytest.MonkeyPatch, options: dict, unknown: bool
) -> None:
    loaded = load("effective").with_batches()
    fit, lengths = loaded.fit, np.linspace(100.0, 300.0, ISOFORMS)
    batches = np.where(np.arange(loaded.cells.num_cells) < 5, -1 if unknown else 1, 0)
    cells = replace(loaded.cells, effective_lengths=lengths, batches=batches)
    assert can_stratify(fit)
    found = layers_of(fit, cells, 32, **options)
    monkeypatch.setattr(stratified, "has_rate_posterior", lambda model: False)
    expected = layers_of(fit, cells, 500, **options)
    assert list(found) == list(expected)
    for name, values in expected.items():
        # Values are rounded, more coarsely where they are less certain.
        difference = np.abs(np.log1p(found[name]) - np.log1p(values))
        # Genes are independent only on average over seeds: normalised by so few it shows.
        spread = name == "expression_normalised_sd"
        assert np.median(difference) < (0.06 if spread else 0.03), name
        assert np.quantile(difference, 0.95) < (0.4 if spread else 0.2), name


def test_draws_and_posteriors_are_stratified_where_they_can_be(load: Callable) -> None:
    loaded = load("effective")
    positions, source = np.arange(3), loaded.fit.source(loaded.cells)
    torch.manual_seed(0)
    ((rows, draws),) = draw_expression(loaded.fit, source, positions, 8)
    torch.manual_seed(0)
    ((_, posterior),) = posteriors_of_expression(loaded.fit, source, positions, 8)
    assert rows == slice(0, 3)
    assert torch.equal(posterior.draws, draws)
    ((_, own),) = draw_expression(loaded.fit, source, positions, 8, common_error=False)
    assert own.shape == draws.shape == (8 * 64, 3, ISOFORMS)
    assert (own.std(0) < draws.std(0)).float().mean() > 0.7


def test_other_models_are_drawn(load: Callable) -> None:
    for kind in ("scvi", "paper"):
        fit = load(kind).fit
        assert not can_stratify(fit)
        assert block_of(fit) == POSTERIOR_BLOCK


def test_a_posterior_of_rates_counts_unless_a_subclass_draws_otherwise() -> None:
    class Drawn(EffectiveReadIsoforms):
        def draw_expression(self, latents, batches, obs):
            return super().draw_expression(latents, batches, obs)

    class Known(Drawn):
        def rate_posterior(self, latents, batches, obs):
            return super().rate_posterior(latents, batches, obs)

    class Prior(EffectiveReadIsoforms):
        def z_prior(self):
            return super().z_prior()

    kinds = [EffectiveReadIsoforms, Drawn, Known, Prior, SCVI, BootstrapIsoforms]
    found = [has_rate_posterior(kind(3)) for kind in kinds]
    assert found == [True, False, True, True, False, False]
    model = EffectiveReadIsoforms(3)
    model.draw_expression = lambda latents, batches, obs: obs
    assert not has_rate_posterior(model)
