"""The default model with a Gaussian mixture as the prior of z, so that cell types may cluster."""

import torch
from pyro.distributions import Categorical, MixtureSameFamily, Normal
from torch import nn

from exvae.models.isoforms import EffectiveReadIsoforms


class MixtureIsoforms(EffectiveReadIsoforms):
    """Effective reads of cells whose state comes from one of several components."""

    def __init__(self, genes, num_batches=1, *, components=10, **options):
        super().__init__(genes, num_batches, **options)
        self.weights = nn.Parameter(torch.zeros(components))
        self.centres = nn.Parameter(torch.randn(components, self.latent_size))

    def z_prior(self):
        """Distribution of a cell's state, event shape (latent_size,)."""
        component = Normal(self.centres, 1.0).to_event(1)
        return MixtureSameFamily(Categorical(logits=self.weights), component)
