"""Networks from latent variables to the parameters of every isoform."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


def inverse_softplus(value: Tensor) -> Tensor:
    """Solve softplus(x) = value for positive values."""
    return value + (-(-value).expm1()).log()


class BatchedNetwork(nn.Module):
    """Hidden layers that read a latent variable and the batch of a cell, and a linear layer.

    The batch enters every hidden layer as a one-hot vector, written as a table of offsets.

    Parameters
    ----------
    latent_size
        Features of the latent variable.
    num_batches
        Batches that there are.
    output_size
        Features of the result.
    hidden_sizes
        Sizes of the hidden layers.

    Examples
    --------
    >>> network = BatchedNetwork(latent_size=3, num_batches=2, output_size=5)
    >>> network(torch.randn(4, 7, 3), torch.zeros(7, dtype=torch.int64)).shape
    torch.Size([4, 7, 5])
    """

    def __init__(
        self,
        latent_size: int,
        num_batches: int,
        output_size: int,
        *,
        hidden_sizes: Sequence[int] = (128,),
    ) -> None:
        super().__init__()
        sizes = [latent_size, *hidden_sizes]
        self.layers = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.batches = nn.ModuleList(nn.Embedding(num_batches, size) for size in hidden_sizes)
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
        hidden = latent
        for layer, table, normalise in zip(self.layers, self.batches, self.normalise, strict=True):
            hidden = functional.relu(normalise(layer(hidden) + table(batches)))
        return self.output(hidden)
