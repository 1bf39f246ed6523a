"""Models of isoforms in which a gene has a rate, and its isoforms have shares of it.

::

    z_n  ~ Normal(0, I), l_n ~ LogNormal             as in exvae.models.scvi
    t_nj ~ Gamma(mean l_n F_mu(z_n, s_n), theta_j)   rate of gene j; F_mu: sum of its isoforms' f_mu
           or 0 with probability f_h(z_n, s_n)       if the gene is off
    p_nj ~ Dirichlet(kappa_j f_mu / F_mu)            usage of its isoforms g
"""

from __future__ import annotations

import pyro
import torch
from torch import Tensor, nn

from .ensemble import Ensemble
from .scvi import ZeroInflatedCells

# Initial log kappa, and its bounds.
_FIRST_LOG_CONCENTRATION = 2.0
_LOG_CONCENTRATION_RANGE = (-2.0, 12.0)


class GeneRateCells(ZeroInflatedCells):
    """Cells whose genes have rates, and whose isoforms have shares of them.

    Parameters
    ----------
    genes, num_batches, **options
        Arguments of :class:`~exvae.models.scvi.ZeroInflatedCells`; genes, not isoforms, have
        dispersion and dropout.
    weight_scale
        Standard deviation of the normal prior of the decoder's last weights, which keeps it from
        overfitting the few cells of a rare state.
    members, member_epochs
        Number of members of the ensemble that tells how well the parameters of isoforms are known,
        and passes over the cells for each; without members a fit has none of this uncertainty.

    Attributes
    ----------
    ensemble
        The :class:`~exvae.models.ensemble.Ensemble`; None without members.
    """

    independent_isoforms = False
    isoform_parameters = (*ZeroInflatedCells.isoform_parameters, "log_concentration")

    def __init__(
        self,
        genes: Tensor | int,
        num_batches: int = 1,
        *,
        weight_scale: float = 0.2,
        members: int = 0,
        member_epochs: int = 6,
        **options,
    ) -> None:
        super().__init__(genes, num_batches, **options)
        self.weight_scale = weight_scale
        first = torch.full((self.num_genes,), _FIRST_LOG_CONCENTRATION)
        self.log_concentration = nn.Parameter(first)
        self.ensemble = None
        if members:
            ends = (*self.isoform_parameters, "output.weight")
            own = {name: own for name, own in self.named_parameters() if name.endswith(ends)}
            self.ensemble = Ensemble(own, members, member_epochs)

    @property
    def concentration(self) -> Tensor:
        """Kappa, shape (genes,)."""
        return self.log_concentration.clamp(*_LOG_CONCENTRATION_RANGE).exp()

    def sample_parameters(self) -> None:
        """Score the decoder's weights under their prior while they are learned."""
        if self.training:
            pyro.factor("decoder_weights", self.log_prob_of_weights())

    def log_prob_of_weights(self) -> Tensor:
        """Log prior density (nats) of the decoder's weights up to a constant, shape ()."""
        # By its norm, whose gradient takes fewer passes over the weights than a sum of squares.
        return -(self.decoder.output.weight.norm() / self.weight_scale).square() / 2
