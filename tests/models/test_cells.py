"""Defaults of the base class, which a model of one's own relies on."""

from __future__ import annotations

import torch
from pyro.distributions import Normal
from torch import Tensor

from exvae.models.cells import CellModel
from exvae.models.isoforms import EffectiveReadIsoforms
from exvae.models.paper_isoforms import BootstrapIsoforms
from exvae.models.scvi import SCVI


class NormalIsoforms(CellModel):
    """Estimates with a normal error of two reads."""

    def likelihood(
        self, latents: dict[str, Tensor], batches: Tensor, num_bootstraps: int = 1
    ) -> Normal:
        return Normal(self.decode_mean(latents, batches), 2.0)


def latents_of(library: float) -> dict[str, Tensor]:
    return {"z": torch.zeros(1, 1, 10), "library": torch.full((1, 1), library)}


def test_whole_counts_take_the_mass_that_rounds_to_them() -> None:
    model, batches = NormalIsoforms(1), torch.zeros(1, dtype=torch.int64)
    counts = torch.arange(60.0)
    with torch.no_grad():
        masses = torch.stack(
            [model.log_prob_of_counts(latents_of(9.0), batches, k.view(1, 1)) for k in counts]
        ).exp()
    normal = Normal(torch.tensor(9.0), 2.0)
    torch.testing.assert_close(masses.sum(), torch.tensor(1.0), rtol=1e-4, atol=0)
    assert torch.allclose(masses[0], normal.cdf(torch.tensor(0.5)), atol=1e-6)
    expected = normal.cdf(torch.tensor(7.5)) - normal.cdf(torch.tensor(6.5))
    torch.testing.assert_close(masses[7, 0], expected, rtol=1e-3, atol=1e-6)


def test_expression_is_the_mean_given_the_latent_variables() -> None:
    model, batches = NormalIsoforms(torch.tensor([0, 1, 0])), torch.zeros(1, dtype=torch.int64)
    samples = [latents_of(library) for library in (30.0, 60.0)]
    with torch.no_grad():
        means = [model.decode_mean(latents, batches) for latents in samples]
    posterior = model.expression(samples, batches, torch.zeros(1, 3))
    of_genes = model.expression(samples, batches, torch.zeros(1, 3), "gene")
    # Draws are for numpy, quantiles and tables.
    assert posterior.quantile([0.1, 0.9]).numpy().shape == (2, 1, 3)
    torch.testing.assert_close(posterior.draws, torch.stack(means))
    torch.testing.assert_close(of_genes.mean.sum(), torch.tensor(45.0), rtol=1e-3, atol=0)
    assert of_genes.mean.shape == (1, 2)


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
    found = [kind(3).has_rate_posterior() for kind in kinds]
    assert found == [True, False, True, True, False, False]
    model = EffectiveReadIsoforms(3)
    model.draw_expression = lambda latents, batches, obs: obs
    assert not model.has_rate_posterior()
