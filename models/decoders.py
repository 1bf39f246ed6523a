"""Decoders from a cell's latent state to a value for every isoform."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class NetworkDecoder(nn.Module):
    """Hidden layers that read a latent variable and the batch of a cell, and a linear layer.

    The batch enters every hidden layer as a one-hot vector, written as a table of offsets; without
    hidden layers it enters the linear one.

    Parameters
    ----------
    latent_size
        Features of the latent variable.
    num_batches
        Number of batches.
    output_size
        Features of the result.
    hidden_sizes
        Sizes of the hidden layers.

    Attributes
    ----------
    output
        The linear layer; models set its bias from the mean expression.

    Examples
    --------
    >>> decoder = NetworkDecoder(latent_size=3, num_batches=2, output_size=5)
    >>> decoder(torch.randn(4, 7, 3), torch.zeros(7, dtype=torch.int64)).shape
    torch.Size([4, 7, 5])
    """

    def __init__(
        self,
        latent_size: int,
        num_batches: int,
        output_size: int,
        *,
        hidden_sizes: Sequence[int] = (32,),
    ) -> None:
        super().__init__()
        sizes = [latent_size, *hidden_sizes]
        self.layers = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        tables = hidden_sizes or (output_size,)
        self.batches = nn.ModuleList(nn.Embedding(num_batches, size) for size in tables)
        self.normalise = nn.ModuleList(map(nn.LayerNorm, hidden_sizes))
        self.output = nn.Linear(sizes[-1], output_size)
        for table in self.batches:
            nn.init.zeros_(table.weight)

    def forward(self, latent: Tensor, batches: Tensor) -> Tensor:
        """Apply the network.

        Parameters
        ----------
        latent
            Shape (..., cells, latent_size).
        batches
            Batch of each cell, shape (cells,), int64.

        Returns
        -------
        Tensor
            Shape (..., cells, output_size).
        """
        if not len(self.layers):
            return self.output(latent) + self.batches[0](batches)
        hidden = latent
        for layer, table, normalise in zip(self.layers, self.batches, self.normalise, strict=True):
            hidden = functional.relu(normalise(layer(hidden) + table(batches)))
        return self.output(hidden)


class LinearDecoder(NetworkDecoder):
    """One linear layer: each dimension of the state has a loading for every isoform."""

    def __init__(self, latent_size: int, num_batches: int, output_size: int) -> None:
        super().__init__(latent_size, num_batches, output_size, hidden_sizes=())


DECODERS = {"network": NetworkDecoder, "linear": LinearDecoder}
