"""Guide of the paper's model: q(z, l, a) of a cell from the set of its bootstraps."""

from __future__ import annotations

from pyro.distributions import TorchDistribution
from torch import Tensor

from ..models.paper_isoforms import BootstrapIsoforms
from .cells import CellGuide, normal


class PaperGuide(CellGuide):
    """Guide of :class:`~exvae.models.paper_isoforms.BootstrapIsoforms`.

    A second encoder gives a. The noise terms of the likelihood are large and would dominate z in a
    shared encoder. It reads log1p of the unscaled bootstraps.

    Parameters
    ----------
    model
        The model.
    **options
        Arguments of :class:`~exvae.guides.cells.CellGuide`.
    """

    def __init__(self, model: BootstrapIsoforms, **options) -> None:
        super().__init__(model, **options)
        self.a_encoder = self.build_encoder(2 * model.noise_latent_size)

    def posteriors(
        self, bootstraps: Tensor, offsets: Tensor, batches: Tensor
    ) -> dict[str, TorchDistribution]:
        """Distributions of the latent variables of cells by site, batch shapes (cells, 1).

        Arguments as for :meth:`~exvae.guides.cells.CellGuide.posteriors`.
        """
        a = self.encode(self.a_encoder, bootstraps, offsets, batches)
        return {**super().posteriors(bootstraps, offsets, batches), "a": normal(a)}
