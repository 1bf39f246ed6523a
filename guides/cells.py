"""Guide of cell models: q(z, l) of a cell from a permutation-invariant encoder of count vectors.

q(z_n) = Normal, q(l_n) = LogNormal, both amortised. The guide reads one vector of counts or any
number of bootstraps. It scales them to one library size, as sequencing depth is no part of a cell's
state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyro
import torch
from pyro.distributions import LogNormal, Normal, TorchDistribution
from torch import Tensor
from torch.nn import functional

from ..data.special_functions import inverse_softplus
from ..models.cells import CellModel
from .base import Guide
from .cell_inputs import hidden, log1p_at, mean_log1p
from .sets import Pooling, SetEncoder, pool

if TYPE_CHECKING:
    from ..data.initial_values import InitialValues

# Least standard deviation of q.
_LEAST_SCALE = 1e-3
# Initial standard deviation of the log library size.
_FIRST_LIBRARY_SCALE = 0.1
# Reads to which cells are scaled before ``initialise``.
_FIRST_READS = 1e4


class CellGuide(Guide):
    """Guide of any :class:`~exvae.models.cells.CellModel` with latent variables z and library.

    The input is centred, so that a hidden isoform has the input of its mean.

    Parameters
    ----------
    model
        The model.
    pooling
        A name in :data:`~exvae.guides.sets.POOLINGS`, or a class of your own.
    element_sizes, readout_sizes
        Layer sizes of f and hidden layer sizes of h, see :class:`~exvae.guides.sets.SetEncoder`.
    input_dropout
        Share of the isoforms of a cell that are hidden from the encoders in a training step, which
        keeps them from overfitting.
    """

    reads: Tensor
    log1p_means: Tensor

    def __init__(
        self,
        model: CellModel,
        *,
        pooling: str | type[Pooling] = "mean",
        element_sizes: Sequence[int] = (64,),
        readout_sizes: Sequence[int] = (),
        input_dropout: float = 0.7,
    ) -> None:
        super().__init__(model)
        if not 0 <= input_dropout < 1:
            raise ValueError(f"input_dropout is {input_dropout}; give at least 0 and less than 1")
        self.input_dropout = input_dropout
        self.register_buffer("reads", torch.tensor(_FIRST_READS))
        self.register_buffer("log1p_means", torch.zeros(model.num_isoforms))
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

    @torch.no_grad()
    def initialise(self, values: InitialValues) -> None:
        """Centre the input on the mean expression of the training cells."""
        self.reads.copy_(values.inputs.reads)
        self.log1p_means.copy_(values.inputs.log1p_means)

    def build_encoder(self, output_size: int) -> SetEncoder:
        """Build an encoder of the vectors of a cell, each joined by the one-hot batch."""
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
        """Sample the latent variables of a minibatch of cells, shapes (cells, 1, latent_size), ....

        Arguments as for :meth:`exvae.models.cells.CellModel.forward`; ``obs`` is not used.
        """
        with pyro.plate("cells", num_cells, subsample=indices, dim=-2):
            for name, distribution in self.posteriors(bootstraps, offsets, batches).items():
                pyro.sample(name, distribution)

    def posteriors(
        self, bootstraps: Tensor, offsets: Tensor, batches: Tensor
    ) -> dict[str, TorchDistribution]:
        """Distributions of the latent variables of cells by site, batch shapes (cells, 1).

        The library size starts at the mean number of reads in the vectors of the cell.

        Parameters
        ----------
        bootstraps
            The vectors of all cells (reads), shape (elements, isoforms).
        offsets
            Bounds of the cells' vectors, shape (cells + 1,), int64.
        batches
            Batch of each cell, shape (cells,), int64.

        Raises
        ------
        ValueError
            If bootstraps are negative.
        """
        if bootstraps.numel() and bootstraps.amin() < 0:
            raise ValueError("bootstraps hold negative numbers; give reads, at least 0")
        encoded = self.encode(self.z_encoder, bootstraps, offsets, batches, self.reads)
        z, shift, scale = encoded.tensor_split([-2, -1], -1)
        rows = torch.arange(len(bootstraps), device=bootstraps.device)
        observed = pool(bootstraps.sum(-1, keepdim=True), rows, offsets, "mean")
        library = LogNormal(
            observed.clamp(min=1.0).log() + shift, functional.softplus(scale) + _LEAST_SCALE
        )
        return {"z": normal(z), "library": library}

    def encode(
        self,
        encoder: SetEncoder,
        bootstraps: Tensor,
        offsets: Tensor,
        batches: Tensor,
        reads: Tensor | None = None,
    ) -> Tensor:
        """Encode log1p of the vectors of cells, shape (cells, output_size of the encoder).

        Parameters
        ----------
        encoder
            From :meth:`build_encoder`.
        bootstraps, offsets, batches
            As for :meth:`posteriors`.
        reads
            Library size to which vectors are scaled; their logarithms are then centred. None leaves
            both out.
        """
        centre = 0.0 if reads is None else self.log1p_means
        if encoder.reads_means:
            means = mean_log1p(bootstraps, offsets, reads) - centre
            return encoder.forward_means(self._joined(self.hide(means), batches), offsets.diff())
        values = log1p_at(bootstraps, reads) - centre
        return encoder(self.elements(values, offsets, batches), offsets)

    def centred(self, bootstraps: Tensor) -> Tensor:
        """Centred log1p of vectors (reads) scaled to one library size, (elements, isoforms)."""
        return log1p_at(bootstraps, self.reads) - self.log1p_means

    def elements(self, values: Tensor, offsets: Tensor, batches: Tensor) -> Tensor:
        """Join values of isoforms and the one-hot batch, shape (elements, isoforms + batches).

        Values have shape (elements, isoforms), batches (cells,). In training a random part of the
        values is hidden (zero).
        """
        # Hide an isoform in all vectors of a cell at once: other vectors would reveal it.
        kept = values.new_ones(len(batches), self.model.num_isoforms)
        of_cells = self._joined(self.hide(kept), batches)
        of_elements = of_cells.repeat_interleave(offsets.diff(), 0, output_size=len(values))
        of_elements[:, : self.model.num_isoforms] *= values
        return of_elements

    def _joined(self, values: Tensor, batches: Tensor) -> Tensor:
        """Join values of cells, (cells, isoforms), and the one-hot batch."""
        one_hot = functional.one_hot(batches, self.model.num_batches).to(values.dtype)
        return torch.cat([values, one_hot], -1)

    def hide(self, values: Tensor) -> Tensor:
        """Hide a random part of the values of cells, shape (cells, isoforms), in training."""
        if not self.training or not self.input_dropout:
            return values
        return hidden(values, self.input_dropout)


def normal(encoded: Tensor) -> TorchDistribution:
    """Split locations and raw scales, (cells, 2 size), into a Normal, batch shape (cells, 1)."""
    location, scale = encoded.unsqueeze(-2).chunk(2, -1)
    return Normal(location, functional.softplus(scale) + _LEAST_SCALE).to_event(1)
