"""A linear decoder (as LDVAE; Svensson et al., 2020): each dimension of z has loadings."""

from torch import nn


class Loadings(nn.Module):
    """Loadings of isoforms on the dimensions of a cell's state, and an offset for each batch."""

    def __init__(self, latent_size, num_batches, output_size):
        super().__init__()
        self.output = nn.Linear(latent_size, output_size)
        self.batches = nn.Embedding(num_batches, output_size)

    def forward(self, latent, batches):
        """Decode, shape (..., cells, output_size)."""
        return self.output(latent) + self.batches(batches)
