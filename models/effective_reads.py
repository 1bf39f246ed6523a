"""Rates of isoforms seen through bootstraps as effective reads, beyond Chan, Spence & Song.

z_n  ~ Normal(0, I), l_n ~ LogNormal             as in :mod:`exvae.models.scvi`
r_ng ~ Gamma(mean l_n f_mu(z_n, s_n), theta_g)   rate that estimates of the isoform scatter around
e_ng ~ phi'_g Poisson(r_ng / phi'_g)             the quantifier's estimate
x_ngb ~ phi_g Poisson(e_ng / phi_g)              its bootstraps, x_ng1, ..., x_ngB
y_ng ~ Gamma(mean r_ng, variance c_g (phi_g - 1) r_ng)     the expression that is asked for
c_g  ~ Beta(1/2, 1/2)                            share of the ambiguity that cells have in common

The bootstraps repeat the drawing of reads, so that they are estimates of scVI's rate and not of a
count drawn with it. phi_g, the inferential dispersion, is the variance of bootstraps over their
mean: 1 where only reads are drawn, and its excess over 1 is the ambiguity of the isoform. Reads are
drawn for each cell anew, but sequences that cannot be told apart are the same in all cells, and
other cells do not help: a share of the ambiguity is an error that cells have in common and that no
cell shows. It is Berkson's: the truth scatters around what is estimated. Nothing observed tells the
share, so that it has Jeffreys' prior. The rest is each cell's own error, phi'_g = phi_g - E[c_g]
(phi_g - 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import pyro
import torch
from pyro.distributions import Beta, TorchDistribution
from torch import Tensor

from ..data.bootstraps import BootstrapSummary
from .gamma_draws import standard_gamma
from .gamma_poisson import LEAST_DISPERSION, BootstrapGammaPoisson
from .sampled_posterior import SampledPosterior
from .scvi import RATES_PER_SAMPLE, SCVI

# Variance over mean (reads) below which a common error is as good as none.
_LEAST_COMMON_DISPERSION = 1e-3


class EffectiveReadIsoforms(SCVI):
    """The model of effective reads; latent variables as in :class:`~exvae.models.scvi.SCVI`.

    Parameters
    ----------
    num_isoforms, num_batches, **options
        Of :class:`~exvae.models.scvi.SCVI`.
    """

    inferential_dispersion: Tensor

    def __init__(self, num_isoforms: int, num_batches: int = 1, **options) -> None:
        super().__init__(num_isoforms, num_batches, **options)
        self.register_buffer("inferential_dispersion", torch.ones(num_isoforms))

    @torch.no_grad()
    def initialise_noise(self, dispersions: Tensor) -> None:
        """Take the inferential dispersions from the bootstraps themselves; they are not learned.

        Parameters
        ----------
        dispersions
            Of :func:`~exvae.data.inferential_dispersion.inferential_dispersions`, shape
            (isoforms,).
        """
        self.inferential_dispersion.copy_(dispersions.clamp(min=LEAST_DISPERSION))

    @property
    def ambiguity(self) -> Tensor:
        """Excess of phi over 1, variance over mean (reads), shape (isoforms,)."""
        return (self.inferential_dispersion - 1).clamp(min=0.0)

    def common_share_prior(self) -> TorchDistribution:
        """Distribution of c, batch shape (isoforms,)."""
        half = torch.full_like(self.inferential_dispersion, 0.5)
        return Beta(half, half)

    def draw_shares(self, like: Tensor) -> Tensor:
        """Draw c, of the shape of ``like``, (..., isoforms): its law is the arcsine's.

        Drawing it as a Dirichlet takes as long as all else that a posterior needs.
        """
        # In place, as is what follows: large arrays take longer to get than to fill.
        return torch.rand_like(like).mul_(torch.pi / 2).sin_().square_()

    def forward(
        self,
        bootstraps: Tensor,
        offsets: Tensor,
        batches: Tensor,
        indices: Tensor,
        num_cells: int,
        obs: BootstrapSummary | Tensor | None = None,
    ) -> Tensor | BootstrapSummary:
        """Generate bootstraps of a minibatch of cells, or score those observed.

        Arguments and result as for :class:`~exvae.models.isoforms.BootstrapIsoforms`.
        """
        num_bootstraps = obs.shape[-1] if isinstance(obs, Tensor) else int(offsets.diff().max())
        with pyro.plate("cells", num_cells, subsample=indices, dim=-2):
            z = pyro.sample("z", self.z_prior())
            library = pyro.sample("library", self.library_prior(batches))
            with pyro.plate("isoforms", self.num_isoforms, dim=-1):
                distribution = self.bootstraps(z, library, batches, num_bootstraps)
                return pyro.sample("bootstraps", distribution, obs=obs)

    def bootstraps(
        self, z: Tensor, library: Tensor, batches: Tensor, num_bootstraps: int
    ) -> BootstrapGammaPoisson:
        """Distribution of x (reads), batch shape (..., cells, isoforms), event (bootstraps,)."""
        own = self.inferential_dispersion - self.common_share_prior().mean * self.ambiguity
        return BootstrapGammaPoisson(
            *self.decode(z, library, batches),
            own,
            self.inferential_dispersion,
            num_bootstraps=num_bootstraps,
        )

    def draw_expression(self, rates: Tensor, share: Tensor) -> Tensor:
        """Draw y (reads) given r, shape (..., isoforms), of the same shape; c broadcasts."""
        dispersion = (share * self.ambiguity).clamp_(min=_LEAST_COMMON_DISPERSION)
        # A rate may have become zero in float32.
        concentration = (rates / dispersion).clamp_(min=torch.finfo(rates.dtype).tiny)
        return standard_gamma(concentration).mul_(dispersion)

    def log_prob_of_counts(
        self, latents: dict[str, Tensor], batches: Tensor, counts: Tensor
    ) -> Tensor:
        """Log probability (nats) of estimates that round to whole counts, shape (..., cells).

        Arguments as for :meth:`~exvae.models.scvi.SCVI.log_prob_of_counts`.
        """
        distribution = self.bootstraps(batches=batches, num_bootstraps=1, **latents)
        return distribution.log_prob_of_bin(counts).sum(-1)

    def expression(
        self, samples: Sequence[dict[str, Tensor]], batches: Tensor, obs: BootstrapSummary
    ) -> SampledPosterior:
        """Posterior of the expression y (reads), batch shape (cells, isoforms).

        Parameters
        ----------
        samples
            Values of the latent variables, drawn from q.
        batches
            Shape (cells,), int64.
        obs
            Summary of the bootstraps, entries of shape (cells, isoforms).
        """
        rates = torch.cat(
            [
                self.bootstraps(batches=batches, num_bootstraps=1, **latents).draw_rates(
                    obs, RATES_PER_SAMPLE
                )
                for latents in samples
            ]
        )
        return SampledPosterior(self.draw_expression(rates, self.draw_shares(rates)))
