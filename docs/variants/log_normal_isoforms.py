"""A noise model of isoforms: mean bootstraps x with log(1 + x) ~ Normal(log(1 + mean), sd)."""

import torch
from pyro.distributions import Normal, TransformedDistribution
from torch import nn
from torch.distributions import AffineTransform, ExpTransform

from exvae.models.cells import CellModel


class LogNormalIsoforms(CellModel):
    """Estimates that scatter on log scale, each isoform with a standard deviation of its own."""

    observes = "estimates"
    isoform_parameters = (*CellModel.isoform_parameters, "log_sd")

    def __init__(self, genes, num_batches=1, **options):
        super().__init__(genes, num_batches, **options)
        self.log_sd = nn.Parameter(torch.zeros(self.num_isoforms))

    def likelihood(self, latents, batches, num_bootstraps=1):
        """Distribution of estimates (reads), batch shape (..., cells, isoforms)."""
        location = self.decode_mean(latents, batches).log1p()
        noise = Normal(location, self.log_sd.exp() + 0.01)
        return TransformedDistribution(noise, [ExpTransform(), AffineTransform(-1.0, 1.0)])
