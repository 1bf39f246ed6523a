"""Isoform counts seen through bootstraps (Chan, Spence & Song, section 4).

z_n, l_n, y_ng, u_ng as in :mod:`exvae.models.scvi`; u is now latent too
a_n     ~ Normal(0, I)                           quality of cell n's quantification
x_ng1.. ~ noise of scale f_sigma(a_n, s_n) around u_ng, each zero with probability f_h'(a_n, s_n)

The bootstraps x of one isoform in one cell share u, which is summed out, and, if they have one in
common, the error of the estimate, which is integrated out: they are exchangeable and not
independent. The options of the noise are explained with
:class:`~exvae.models.distributions.bootstrap_zinb.BootstrapZINB`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

import pyro
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.nn import functional

from ..data.bootstraps import BootstrapSummary
from .decoders import BatchedNetwork, inverse_softplus
from .distributions.bootstrap_zinb import BootstrapSetting, BootstrapZINB, CountPosterior
from .scvi import SCVI

# Least noise scale: bootstraps that agree to all digits would otherwise have an infinite density.
_LEAST_NOISE = 1e-2
# Logit of the probability that a bootstrap is zero whatever u is, before anything is learned.
_FIRST_BOOTSTRAP_DROPOUT = -4.0


class NoiseParameters(NamedTuple):
    """Parameters of the bootstraps given u, each broadcasting with (..., cells, isoforms).

    Attributes
    ----------
    noise_scale
        f_sigma (reads for absolute noise).
    bootstrap_dropout_logits
        Logit of the probability that a bootstrap is zero whatever u is.
    """

    noise_scale: Tensor
    bootstrap_dropout_logits: Tensor


class BootstrapIsoforms(SCVI):
    """The model of bootstraps; latent variables as in :class:`~exvae.models.scvi.SCVI`, and a.

    Parameters
    ----------
    num_isoforms, num_batches, **options
        Of :class:`~exvae.models.scvi.SCVI`.
    noise_latent_size
        A, the dimensions of a.
    noise_hidden_sizes
        Sizes of the hidden layers behind a.
    error, noise
        Of :class:`~exvae.models.distributions.bootstrap_zinb.BootstrapZINB`.
    """

    def __init__(
        self,
        num_isoforms: int,
        num_batches: int = 1,
        *,
        noise_latent_size: int = 5,
        noise_hidden_sizes: Sequence[int] = (32,),
        error: str = "independent",
        noise: str = "absolute",
        **options,
    ) -> None:
        super().__init__(num_isoforms, num_batches, **options)
        self.noise_latent_size = noise_latent_size
        self.likelihood = asdict(BootstrapSetting(error, noise))
        self.noise_decoder = BatchedNetwork(
            noise_latent_size, num_batches, 2 * num_isoforms, hidden_sizes=noise_hidden_sizes
        )

    @torch.no_grad()
    def initialise_noise(self, variances: Tensor) -> None:
        """Start from the mean variance of each isoform's bootstraps.

        Parameters
        ----------
        variances
            Of :func:`~exvae.data.cells.noise_variances`, relative unless the noise is absolute,
            shape (isoforms,).
        """
        scales = variances.sqrt().clamp(min=2 * _LEAST_NOISE) - _LEAST_NOISE
        dropout = torch.full_like(scales, _FIRST_BOOTSTRAP_DROPOUT)
        self.noise_decoder.output.bias.copy_(torch.cat([inverse_softplus(scales), dropout]))

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

        Parameters
        ----------
        bootstraps, offsets
            What the guide reads, see :class:`~exvae.data.cells.CellBatch`; as many as it reads of
            any cell are generated.
        batches, indices, num_cells
            As for :class:`~exvae.models.scvi.SCVI`.
        obs
            Bootstraps observed, a summary with entries of shape (cells, isoforms) or a tensor of
            shape (cells, isoforms, bootstraps); None generates them.

        Returns
        -------
        Tensor or BootstrapSummary
            The bootstraps (reads), shape (cells, isoforms, bootstraps), or what was observed.
        """
        num_bootstraps = obs.shape[-1] if isinstance(obs, Tensor) else int(offsets.diff().max())
        with pyro.plate("cells", num_cells, subsample=indices, dim=-2):
            z = pyro.sample("z", self.z_prior())
            library = pyro.sample("library", self.library_prior(batches))
            a = pyro.sample("a", self.a_prior())
            with pyro.plate("isoforms", self.num_isoforms, dim=-1):
                distribution = self.bootstraps(z, library, a, batches, num_bootstraps)
                return pyro.sample("bootstraps", distribution, obs=obs)

    def priors(self, batches: Tensor) -> dict[str, TorchDistribution]:
        """Distributions of the latent variables of cells of these batches, by site."""
        return {**super().priors(batches), "a": self.a_prior()}

    def a_prior(self) -> TorchDistribution:
        """Distribution of a, event shape (noise_latent_size,)."""
        return self.standard_normal(self.noise_latent_size)

    def bootstraps(
        self, z: Tensor, library: Tensor, a: Tensor, batches: Tensor, num_bootstraps: int
    ) -> BootstrapZINB:
        """Distribution of x (reads), batch shape (..., cells, isoforms), event (bootstraps,)."""
        counts = self.decode(z, library, batches)
        noise = self.decode_noise(a, batches)
        return BootstrapZINB(
            *counts,
            noise.noise_scale,
            noise.bootstrap_dropout_logits,
            num_bootstraps=num_bootstraps,
            **self.likelihood,
        )

    def log_prob_of_counts(
        self, latents: dict[str, Tensor], batches: Tensor, counts: Tensor
    ) -> Tensor:
        """Log probability (nats) of estimates that round to whole counts, shape (..., cells).

        An estimate scatters as one bootstrap does; arguments as for
        :meth:`~exvae.models.scvi.SCVI.log_prob_of_counts`.
        """
        distribution = self.bootstraps(batches=batches, num_bootstraps=1, **latents)
        return distribution.log_prob_of_bin(counts).sum(-1)

    def expression(
        self,
        samples: Sequence[dict[str, Tensor]],
        batches: Tensor,
        obs: BootstrapSummary,
        *,
        of: str = "y",
    ) -> CountPosterior:
        """Posterior of the counts y or u (reads), batch shape (cells, isoforms).

        Parameters
        ----------
        samples
            Values of the latent variables, drawn from q.
        batches
            Shape (cells,), int64.
        obs
            Summary of the bootstraps, entries of shape (cells, isoforms).
        of
            ``y``, before dropout, or ``u``, after it.
        """
        return CountPosterior.mixture(
            [
                self.bootstraps(batches=batches, num_bootstraps=1, **latents).posterior(obs, of=of)
                for latents in samples
            ]
        )

    def decode_noise(self, a: Tensor, batches: Tensor) -> NoiseParameters:
        """Turn a, shape (..., cells, 1, noise_latent_size), into the parameters of the noise."""
        scale, dropout = self.noise_decoder(a.squeeze(-2), batches).chunk(2, -1)
        return NoiseParameters(functional.softplus(scale) + _LEAST_NOISE, dropout)
