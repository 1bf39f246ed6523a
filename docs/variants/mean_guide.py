"""A guide of cells from scratch: a network reads the mean of a cell's bootstraps."""

import pyro
import torch
from pyro.distributions import LogNormal, Normal
from torch import nn
from torch.nn.functional import softplus

from exvae.guides.base import Guide
from exvae.guides.sets import pool


class MeanGuide(Guide):
    """q(z) and q(library) of a cell; distributions have batch shape (cells, 1)."""

    def __init__(self, model, width=32):
        super().__init__(model)
        layers = nn.Linear(model.num_isoforms, width), nn.ReLU()
        self.network = nn.Sequential(*layers, nn.Linear(width, 2 * model.latent_size))

    def posteriors(self, bootstraps, offsets, batches):
        """Distributions of the latent variables by site, from vectors (elements, isoforms)."""
        mean = pool(bootstraps, torch.arange(len(bootstraps)), offsets, "mean")
        z, scale = self.network(mean.log1p()).unsqueeze(-2).chunk(2, -1)
        library = LogNormal(mean.sum(-1, keepdim=True).clamp(min=1.0).log(), 0.1)
        return {"z": Normal(z, softplus(scale) + 0.01).to_event(1), "library": library}

    def forward(self, bootstraps, offsets, batches, indices, num_cells, obs=None):
        """Sample the latent variables, with the cells in dimension -2."""
        with pyro.plate("cells", num_cells, subsample=indices, dim=-2):
            for site, distribution in self.posteriors(bootstraps, offsets, batches).items():
                pyro.sample(site, distribution)
