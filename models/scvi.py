"""scVI (Lopez et al., 2018; Chan, Spence & Song, appendix B), of isoforms.

z_n  ~ Normal(0, I)                              state of cell n
l_n  ~ LogNormal(mean and sd of its batch)       library size (reads)
y_ng ~ NB(l_n f_mu(z_n, s_n), theta_g)           transcripts of isoform g, captured and sequenced
u_ng = y_ng, or 0 with probability f_h(z_n, s_n)

The inverse dispersion theta says how far y is from a Poisson: Var[y] = mu + mu^2 / theta.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyro
import torch
from pyro.distributions import LogNormal, Normal, TorchDistribution
from torch import Tensor, nn

from ..data.initial_values import ExpressionScales
from .base import UniquelyNamedModule
from .decoders import BatchedNetwork
from .distributions.gamma_poisson import EffectiveReads, draw_rates
from .distributions.negative_binomial import ZINB
from .distributions.posteriors import SampledPosterior

DISPERSIONS = ("isoform", "isoform-batch", "isoform-cell")
DROPOUTS = ("network", "isoform", "none")

# Where the logarithm of theta is kept: a negative binomial is a Poisson well before the upper end.
_LOG_DISPERSION_RANGE = (-5.0, 12.0)
# Least mean (reads): what a softmax gives isoforms that are never seen is no positive float32.
_LEAST_MEAN = 1e-5
# Logit of a probability that is zero for every purpose.
_NEVER = -50.0
# Draws of the rates for each draw of the latent variables.
RATES_PER_SAMPLE = 40
# Dropout before anything is learned: about one count in twenty.
_FIRST_DROPOUT = -3.0
# How many times as fast as the networks what belongs to one isoform alone learns.
_ISOFORM_LEARNING = 5.0


class CountParameters(NamedTuple):
    """Parameters of the counts.

    Attributes
    ----------
    mean
        mu (reads), shape (..., cells, isoforms).
    inverse_dispersion
        theta, of isoforms or of what else is dispersed; broadcasts with (..., cells, isoforms).
    dropout_logits
        Logit of the probability that a count is set to zero; of the same.
    """

    mean: Tensor
    inverse_dispersion: Tensor
    dropout_logits: Tensor


class SCVI(UniquelyNamedModule):
    """Zero-inflated negative binomial counts of cells whose state is latent.

    Latent variables have one value for each cell in dimension -2 and none for isoforms in
    dimension -1: z has shape (..., cells, 1, latent_size), the library size (..., cells, 1).

    Parameters
    ----------
    num_isoforms
        G.
    num_batches
        Batches of cells.
    latent_size
        Z, the dimensions of a cell's state.
    hidden_sizes
        Sizes of the decoder's hidden layers.
    dispersion
        What theta is learned for: each ``isoform``, ``isoform-batch``, or ``isoform-cell`` (by the
        network).
    dropout
        What the probability of dropout is learned for: by the ``network``, each ``isoform``, or
        ``none``.
    num_dispersed
        How many have a dispersion and a dropout of their own: all isoforms unless it is told, or
        groups of them, which then stand for isoforms in these options.
    """

    log_library_mean: Tensor
    log_library_sd: Tensor
    # Ends of the names of parameters that have a value of their own for each isoform.
    isoform_parameters = ("output.bias", "log_inverse_dispersion", "dropout_logits")

    def __init__(
        self,
        num_isoforms: int,
        num_batches: int = 1,
        *,
        latent_size: int = 10,
        hidden_sizes: Sequence[int] = (32,),
        dispersion: str = "isoform",
        dropout: str = "network",
        num_dispersed: int | None = None,
    ) -> None:
        super().__init__()
        for name, value, choices in (
            ("dispersion", dispersion, DISPERSIONS),
            ("dropout", dropout, DROPOUTS),
        ):
            if value not in choices:
                raise ValueError(f"{name} is {value!r}; choose one of {', '.join(choices)}")
        self.num_isoforms = num_isoforms
        self.num_batches = num_batches
        self.latent_size = latent_size
        self.dispersion = dispersion
        self.dropout = dropout
        self.num_dispersed = num_dispersed or num_isoforms
        # What the network gives, and of how many: logits of the fractions first.
        self.outputs = {"fractions": num_isoforms}
        if dropout == "network":
            self.outputs["dropout"] = self.num_dispersed
        if dispersion == "isoform-cell":
            self.outputs["dispersion"] = self.num_dispersed
        self.decoder = BatchedNetwork(
            latent_size, num_batches, sum(self.outputs.values()), hidden_sizes=hidden_sizes
        )
        if dispersion != "isoform-cell":
            rows = num_batches if dispersion == "isoform-batch" else 1
            self.log_inverse_dispersion = nn.Parameter(torch.zeros(rows, self.num_dispersed))
        if dropout == "isoform":
            self.dropout_logits = nn.Parameter(torch.full((self.num_dispersed,), _FIRST_DROPOUT))
        self.register_buffer("log_library_mean", torch.zeros(num_batches))
        self.register_buffer("log_library_sd", torch.ones(num_batches))

    def learning_rate_factor(self, parameter: str) -> float:
        """Let what belongs to one isoform alone, which has far to go, learn faster."""
        return _ISOFORM_LEARNING if parameter.endswith(self.isoform_parameters) else 1.0

    @torch.no_grad()
    def initialise(self, scales: ExpressionScales) -> None:
        """Start from what the counts themselves tell of library sizes and mean expression."""
        self.log_library_mean.copy_(scales.log_library_mean)
        self.log_library_sd.copy_(scales.log_library_sd)
        first = {
            "fractions": scales.fractions.log(),
            "dropout": torch.full((self.num_dispersed,), _FIRST_DROPOUT),
            "dispersion": torch.zeros(self.num_dispersed),
        }
        bias = torch.cat([first[name] for name in self.outputs])
        self.decoder.output.bias.copy_(bias)

    def forward(
        self,
        bootstraps: Tensor,
        offsets: Tensor,
        batches: Tensor,
        indices: Tensor,
        num_cells: int,
        obs: Tensor | None = None,
    ) -> Tensor:
        """Generate counts of a minibatch of cells, or score the counts observed.

        Parameters
        ----------
        bootstraps, offsets
            What the guide reads, see :class:`~exvae.data.cell_batches.CellBatch`, unused here.
        batches
            Batch of each cell, shape (cells,), int64.
        indices
            Positions of the minibatch's cells among all cells, shape (cells,), int64.
        num_cells
            Number of all cells; scales the minibatch.
        obs
            Counts observed, shape (cells, isoforms); None generates them.

        Returns
        -------
        Tensor
            The counts, shape (cells, isoforms).
        """
        with pyro.plate("cells", num_cells, subsample=indices, dim=-2):
            z = pyro.sample("z", self.z_prior())
            library = pyro.sample("library", self.library_prior(batches))
            with pyro.plate("isoforms", self.num_isoforms, dim=-1):
                return pyro.sample("counts", self.counts(z, library, batches), obs=obs)

    def priors(self, batches: Tensor) -> dict[str, TorchDistribution]:
        """Distributions of the latent variables of cells of these batches, by site."""
        return {"z": self.z_prior(), "library": self.library_prior(batches)}

    def z_prior(self) -> TorchDistribution:
        """Distribution of a cell's state, event shape (latent_size,)."""
        return self.standard_normal(self.latent_size)

    def standard_normal(self, size: int) -> TorchDistribution:
        """Normal(0, I) on the model's device, event shape (size,)."""
        zeros = self.log_library_mean.new_zeros(size)
        return Normal(zeros, torch.ones_like(zeros)).to_event(1)

    def library_prior(self, batches: Tensor) -> LogNormal:
        """Distribution of library sizes (reads), batch shape (cells, 1)."""
        return LogNormal(
            self.log_library_mean[batches].unsqueeze(-1),
            self.log_library_sd[batches].unsqueeze(-1),
        )

    def counts(self, z: Tensor, library: Tensor, batches: Tensor) -> ZINB:
        """Distribution of u (reads), batch shape (..., cells, isoforms)."""
        return ZINB(*self.decode(z, library, batches))

    def log_prob_of_counts(
        self, latents: dict[str, Tensor], batches: Tensor, counts: Tensor
    ) -> Tensor:
        """Log probability (nats) of whole counts as a quantifier gives them, shape (..., cells).

        Parameters
        ----------
        latents
            A value for each site of :meth:`priors`.
        batches
            Shape (cells,), int64.
        counts
            Whole reads, shape (cells, isoforms).
        """
        return self.counts(batches=batches, **latents).log_prob(counts).sum(-1)

    def expression(
        self, samples: Sequence[dict[str, Tensor]], batches: Tensor, obs: Tensor
    ) -> SampledPosterior:
        """Posterior of the rate l w behind the counts (reads), batch shape (cells, isoforms).

        Parameters
        ----------
        samples
            Values of the latent variables, drawn from q.
        batches
            Shape (cells,), int64.
        obs
            The counts, shape (cells, isoforms).
        """
        reads = EffectiveReads(obs, torch.ones_like(obs))
        draws = [
            draw_rates(*self.decode(batches=batches, **latents), reads, RATES_PER_SAMPLE)[0]
            for latents in samples
        ]
        return SampledPosterior(torch.cat(draws))

    def decode(self, z: Tensor, library: Tensor, batches: Tensor) -> CountParameters:
        """Turn latent variables into the parameters of the counts.

        Parameters
        ----------
        z
            Shape (..., cells, 1, latent_size).
        library
            Library sizes (reads), shape (..., cells, 1).
        batches
            Shape (cells,), int64.
        """
        decoded = self.decoder(z.squeeze(-2), batches).split(list(self.outputs.values()), -1)
        by_network = dict(zip(self.outputs, decoded, strict=True))
        mean = library * by_network["fractions"].softmax(-1)
        if self.dispersion == "isoform-cell":
            log_inverse_dispersion = by_network["dispersion"]
        elif self.dispersion == "isoform-batch":
            log_inverse_dispersion = self.log_inverse_dispersion[batches]
        else:
            log_inverse_dispersion = self.log_inverse_dispersion
        return CountParameters(
            mean.clamp(min=_LEAST_MEAN),
            log_inverse_dispersion.clamp(*_LOG_DISPERSION_RANGE).exp(),
            self._dropout_logits(by_network),
        )

    def _dropout_logits(self, by_network: dict[str, Tensor]) -> Tensor:
        if self.dropout == "network":
            return by_network["dropout"]
        if self.dropout == "isoform":
            return self.dropout_logits
        return torch.full_like(self.log_library_mean[:1], _NEVER)
