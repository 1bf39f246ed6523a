"""The paper's bootstrap model of isoforms (Chan, Spence & Song, section 4).

::

    z_n, l_n, y_ng, u_ng as in exvae.models.scvi; u is now latent too
    a_n     ~ Normal(0, I)                           quality of cell n's quantification
    x_ng1.. ~ noise of scale f_sigma(a_n, s_n) around u_ng, each zero with probability
              f_h'(a_n, s_n)

The bootstraps x of one isoform in one cell share u, so they are exchangeable and not independent;
the likelihood sums u out. :class:`~exvae.models.distributions.bootstrap_zinb.BootstrapZINB`
explains the options of the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.nn import functional

from ..data.arguments import require
from ..data.bootstraps import BootstrapSummary
from ..data.count_posterior import CountPosterior
from ..data.posteriors import SampledPosterior
from ..data.special_functions import inverse_softplus
from .decoders import NetworkDecoder
from .distributions.bootstrap_zinb import ERRORS, NOISES, BootstrapZINB
from .scvi import RATES_PER_SAMPLE, ZeroInflatedCells

if TYPE_CHECKING:
    from ..data.initial_values import InitialValues

# Least noise scale: bootstraps that agree to all digits would otherwise have an infinite density.
_LEAST_NOISE = 1e-2
# Initial logit of the probability that a bootstrap is zero for any u.
_FIRST_BOOTSTRAP_DROPOUT = -4.0


class BootstrapIsoforms(ZeroInflatedCells):
    """The paper's model; latent variables z, library and a.

    Parameters
    ----------
    genes, num_batches, **options
        Arguments of :class:`~exvae.models.scvi.ZeroInflatedCells`. The default has no dropout:
        noise hides it, and it takes isoforms that are hard to tell apart for absent.
    noise_latent_size
        A, the number of dimensions of a.
    noise_hidden_sizes
        Sizes of the hidden layers that decode a.
    error, noise
        Options of :class:`~exvae.models.distributions.bootstrap_zinb.BootstrapZINB`.
    """

    observes = "bootstrap_summary"
    default_guide = "paper"

    def __init__(
        self,
        genes: Tensor | int,
        num_batches: int = 1,
        *,
        dropout: str = "none",
        noise_latent_size: int = 5,
        noise_hidden_sizes: Sequence[int] = (32,),
        error: str = "independent",
        noise: str = "absolute",
        **options,
    ) -> None:
        super().__init__(genes, num_batches, dropout=dropout, **options)
        if noise_latent_size < 1:
            raise ValueError(f"noise_latent_size is {noise_latent_size}; give at least 1")
        require("error", error, ERRORS)
        require("noise", noise, NOISES)
        self.noise_latent_size = noise_latent_size
        self.error, self.noise = error, noise
        self.noise_decoder = NetworkDecoder(
            noise_latent_size, num_batches, 2 * self.num_isoforms, hidden_sizes=noise_hidden_sizes
        )

    @torch.no_grad()
    def initialise(self, values: InitialValues) -> None:
        """Set parameters from the training cells, the noise from their bootstraps' variance."""
        super().initialise(values)
        variances = values.noise_variances(relative=self.noise == "relative")
        scales = variances.sqrt().clamp(min=2 * _LEAST_NOISE) - _LEAST_NOISE
        dropout = torch.full_like(scales, _FIRST_BOOTSTRAP_DROPOUT)
        self.noise_decoder.output.bias.copy_(torch.cat([inverse_softplus(scales), dropout]))

    def priors(self, batches: Tensor) -> dict[str, TorchDistribution]:
        """Distributions of the latent variables by site, of cells of batches of shape (cells,)."""
        return {**super().priors(batches), "a": self.standard_normal(self.noise_latent_size)}

    def likelihood(
        self, latents: dict[str, Tensor], batches: Tensor, num_bootstraps: int = 1
    ) -> BootstrapZINB:
        """Distribution of x (reads), batch shape (..., cells, isoforms), event (bootstraps,)."""
        return BootstrapZINB(
            *self.count_parameters(latents, batches),
            *self.decode_noise(latents["a"], batches),
            num_bootstraps=num_bootstraps,
            error=self.error,
            noise=self.noise,
        )

    def decode_noise(self, a: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a, shape (..., cells, 1, noise_latent_size), into the parameters of the noise."""
        scale, dropout = self.noise_decoder(a.squeeze(-2), batches).chunk(2, -1)
        return functional.softplus(scale) + _LEAST_NOISE, dropout

    def log_prob_of_counts(
        self, latents: dict[str, Tensor], batches: Tensor, counts: Tensor
    ) -> Tensor:
        """Log probability (nats) of estimates that round to whole counts, shape (..., cells).

        An estimate scatters as one bootstrap does.
        """
        return self.likelihood(latents, batches).log_prob_of_bin(counts).sum(-1)

    @torch.no_grad()
    def expression(
        self,
        samples: Sequence[dict[str, Tensor]],
        batches: Tensor,
        obs: Tensor,
        level: str = "isoform",
    ) -> CountPosterior | SampledPosterior:
        """Posterior of y (reads), the count before dropout: exact for isoforms, drawn for genes.

        Arguments as for :meth:`~exvae.models.cells.CellModel.expression`.
        """
        if level != "isoform":
            return super().expression(samples, batches, obs, level)
        return CountPosterior.mixture([self.posterior(own, batches, obs) for own in samples])

    def draw_expression(self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor) -> Tensor:
        """Draw y (reads), shape (draws, cells, isoforms)."""
        return self.posterior(latents, batches, obs).sample(RATES_PER_SAMPLE)

    def posterior(self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor) -> CountPosterior:
        """Posterior of y (reads) given latent variables, batch shape (cells, isoforms)."""
        summary = BootstrapSummary.unstacked(obs)
        return self.likelihood(latents, batches).posterior(summary, of="y")
