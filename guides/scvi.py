"""Guide of scVI: q(z, l) of a cell from a permutation-invariant encoder of count vectors.

q(z_n) = Normal, q(l_n) = LogNormal, both amortised. The same guide reads one vector of counts or
any number of bootstraps.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyro
import torch
from pyro.distributions import LogNormal, Normal, TorchDistribution
from torch import Tensor
from torch.nn import functional

from ..models.base import UniquelyNamedModule
from ..models.networks import inverse_softplus
from ..models.scvi import SCVI
from .sets import SetEncoder, pool

# Standard deviations of q stay above this.
_LEAST_SCALE = 1e-3
# Standard deviation of the log library size before anything is learned.
_FIRST_LIBRARY_SCALE = 0.1


class SCVIGuide(UniquelyNamedModule):
    """The inverse of :class:`~exvae.models.scvi.SCVI`.

    Parameters
    ----------
    model
        The model.
    pooling
        ``sum``, ``mean``, ``max`` or ``moments``.
    element_sizes, readout_sizes
        Layer sizes of f and hidden layer sizes of h, see :class:`~exvae.guides.sets.SetEncoder`.
    input_dropout
        Share of the isoforms of a cell that the encoders do not see in a training step, so that
        what they learn holds for other cells too.
    """

    def __init__(
        self,
        model: SCVI,
        *,
        pooling: str = "mean",
        element_sizes: Sequence[int] = (64,),
        readout_sizes: Sequence[int] = (),
        input_dropout: float = 0.7,
    ) -> None:
        super().__init__()
        self._model = (model,)  # in a tuple: the model is no part of the guide
        self.input_dropout = input_dropout
        self.networks = {
            "pooling": pooling,
            "element_sizes": element_sizes,
            "readout_sizes": readout_sizes,
        }
        self.z_encoder = self.build_encoder(2 * model.latent_size + 2)
        with torch.no_grad():
            self.z_encoder.readout[-1].weight[-2:] = 0.0
            self.z_encoder.readout[-1].bias[-2] = 0.0
            self.z_encoder.readout[-1].bias[-1] = inverse_softplus(
                torch.tensor(_FIRST_LIBRARY_SCALE)
            )

    @property
    def model(self) -> SCVI:
        """The model that this guide inverts."""
        return self._model[0]

    def build_encoder(self, output_size: int) -> SetEncoder:
        """Build an encoder of the vectors of a cell, each with the cell's batch as one-hot."""
        inputs = self.model.num_isoforms + self.model.num_batches
        return SetEncoder(inputs, output_size, **self.networks)

    def forward(
        self,
        bootstraps: Tensor,
        offsets: Tensor,
        batches: Tensor,
        indices: Tensor,
        num_cells: int,
        obs: object = None,
    ) -> None:
        """Sample the latent variables of a minibatch of cells; arguments as for the model."""
        with pyro.plate("cells", num_cells, subsample=indices, dim=-2):
            for name, distribution in self.posteriors(bootstraps, offsets, batches).items():
                pyro.sample(name, distribution)

    def posteriors(
        self, bootstraps: Tensor, offsets: Tensor, batches: Tensor
    ) -> dict[str, TorchDistribution]:
        """Distributions of the latent variables of cells by site, batch shapes (cells, 1).

        The library size starts at the mean number of reads in the vectors of the cell.
        """
        encoded = self.z_encoder(self.elements(bootstraps, offsets, batches), offsets)
        z, shift, scale = encoded.tensor_split([-2, -1], -1)
        rows = torch.arange(len(bootstraps), device=bootstraps.device)
        observed = pool(bootstraps.sum(-1, keepdim=True), rows, offsets, "mean")
        library = LogNormal(
            observed.clamp(min=1.0).log() + shift, functional.softplus(scale) + _LEAST_SCALE
        )
        return {"z": normal(z), "library": library}

    def elements(self, bootstraps: Tensor, offsets: Tensor, batches: Tensor) -> Tensor:
        """Give the encoders log1p and the batch, shape (elements, isoforms + batches)."""
        one_hot = functional.one_hot(batches, self.model.num_batches).to(bootstraps.dtype)
        # Isoforms are hidden in all vectors of a cell at once: others would give them away.
        kept = bootstraps.new_ones(len(batches), self.model.num_isoforms)
        kept = functional.dropout(kept, self.input_dropout, self.training)
        of_cells = torch.cat([kept, one_hot], -1)
        of_elements = of_cells.repeat_interleave(offsets.diff(), 0, output_size=len(bootstraps))
        of_elements[:, : self.model.num_isoforms] *= bootstraps.log1p()
        return of_elements


def normal(encoded: Tensor) -> TorchDistribution:
    """Split locations and raw scales into a Normal, batch shape (cells, 1)."""
    location, scale = encoded.unsqueeze(-2).chunk(2, -1)
    return Normal(location, functional.softplus(scale) + _LEAST_SCALE).to_event(1)
