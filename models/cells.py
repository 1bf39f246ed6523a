"""Base class of models of cells: a latent state and library size, decoded to expression.

::

    z_n  ~ Normal(0, I)                              state of cell n
    l_n  ~ LogNormal(mean and sd of its batch)       library size (reads)
    x_n  ~ likelihood(z_n, l_n, s_n)                 observations of its isoforms; s_n its batch

A model of your own subclasses :class:`CellModel`; docs/models.md lists the methods to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import pyro
import torch
from pyro.distributions import LogNormal, Normal, TorchDistribution
from torch import Tensor, nn

from ..data.arguments import chosen, require
from ..data.genes import Genes, gene_codes_of
from ..data.posteriors import SampledPosterior
from .base import UniquelyNamedModule
from .decoders import DECODERS
from .distributions.statistics import StatisticsOfBootstraps

if TYPE_CHECKING:
    from ..data.initial_values import InitialValues
    from ..data.rate_posterior import CommonError, RatePosterior

# Least mean (reads): the softmax of an isoform that is never seen underflows float32.
_LEAST_MEAN = 1e-5
# Learning-rate multiplier of per-isoform parameters, which have far to go.
_ISOFORM_LEARNING = 5.0


class CellModel(UniquelyNamedModule):
    """A model of cells: a latent state and library size, decoded to the expression of isoforms.

    A subclass sets ``observes`` and writes ``likelihood``; everything else has a default. Latent
    variables have the cells in dimension -2 and size 1 in dimension -1, the dimension of the
    isoforms: z has shape (..., cells, 1, latent_size), the library size (..., cells, 1).

    Parameters
    ----------
    genes
        Position of the gene of each isoform, shape (isoforms,), int64; or the number of isoforms,
        each then a gene of its own.
    num_batches
        Number of batches of cells.
    latent_size
        Z, the number of dimensions of a cell's state.
    decoder
        A name in :data:`~exvae.models.decoders.DECODERS`, or a class of your own.
    heads
        Further outputs of the decoder: size by name.
    **decoder_options
        Keyword arguments of the decoder.

    Attributes
    ----------
    observes
        ``counts`` (rounded estimates), ``estimates`` (mean bootstraps), each of shape (cells,
        isoforms); ``bootstrap_mean`` or ``bootstrap_summary``, their statistics, stacked in a last
        dimension (:mod:`exvae.data.bootstraps`); ``reads``, the reads of each isoform, shape
        (cells, isoforms) (:mod:`exvae.data.read_batches`).
    site
        Name of the observed site.
    independent_isoforms
        Whether isoforms are independent given the latent variables; they then have a plate.
    default_guide
        Name of the guide in :data:`exvae.guides.CELL_GUIDES`.
    isoform_parameters
        Ends of the names of parameters with one value for each isoform or gene, which learn faster.
    head_starts
        Initial values of heads of the decoder, 0 for those not named.
    """

    observes = "estimates"
    site = "bootstraps"
    independent_isoforms = True
    default_guide = "cells"
    isoform_parameters: tuple[str, ...] = ("output.bias",)
    head_starts: dict[str, float] = {}
    log_library_mean: Tensor
    log_library_sd: Tensor
    gene_codes: Tensor

    def __init__(
        self,
        genes: Tensor | int,
        num_batches: int = 1,
        *,
        latent_size: int = 10,
        decoder: str | type[nn.Module] = "network",
        heads: dict[str, int] | None = None,
        **decoder_options,
    ) -> None:
        super().__init__()
        if latent_size < 1:
            raise ValueError(f"latent_size is {latent_size}; give at least 1")
        codes = gene_codes_of(genes)
        self.num_isoforms, self.num_genes = len(codes), int(codes.max()) + 1
        self.num_batches = num_batches
        self.latent_size = latent_size
        self.heads = {"fractions": self.num_isoforms, **(heads or {})}
        self.decoder = chosen(decoder, DECODERS, "decoder")(
            latent_size, num_batches, sum(self.heads.values()), **decoder_options
        )
        self.register_buffer("gene_codes", codes)
        self.register_buffer("log_library_mean", torch.zeros(num_batches))
        self.register_buffer("log_library_sd", torch.ones(num_batches))

    @property
    def genes(self) -> Genes:
        """The gene of each isoform."""
        return Genes(self.gene_codes, self.num_genes)

    def learning_rate_factor(self, parameter: str) -> float:
        """Learning-rate multiplier for a parameter, by its name in the module."""
        return _ISOFORM_LEARNING if parameter.endswith(self.isoform_parameters) else 1.0

    @torch.no_grad()
    def initialise(self, values: InitialValues) -> None:
        """Set priors of library sizes and the decoder's bias from the training cells."""
        self.log_library_mean.copy_(values.expression.log_library_mean)
        self.log_library_sd.copy_(values.expression.log_library_sd)
        starts = [
            values.expression.fractions.log()
            if name == "fractions"
            else torch.full((size,), self.head_starts.get(name, 0.0))
            for name, size in self.heads.items()
        ]
        self.decoder.output.bias.copy_(torch.cat(starts))

    def forward(
        self,
        bootstraps: Tensor,
        offsets: Tensor,
        batches: Tensor,
        indices: Tensor,
        num_cells: int,
        obs: Tensor | None = None,
    ) -> Tensor:
        """Generate a minibatch of cells, or score the observed one.

        Parameters
        ----------
        bootstraps, offsets
            Input of the guide (reads), shapes (elements, isoforms) and (cells + 1,), see
            :class:`~exvae.data.cell_batches.CellBatch`. The model generates as many bootstraps as
            the largest set has elements.
        batches
            Batch of each cell, shape (cells,), int64.
        indices
            Positions of the minibatch's cells among all cells, shape (cells,), int64.
        num_cells
            Number of all cells; scales the minibatch.
        obs
            Observations (reads) of the kind ``observes``, shape (cells, isoforms), or (cells,
            isoforms, statistics) for statistics of bootstraps; None generates them.

        Returns
        -------
        Tensor
            The observations, or generated values: bootstraps (reads), shape (cells, isoforms,
            bootstraps), or counts and estimates, shape (cells, isoforms).
        """
        self.sample_parameters()
        if obs is not None and not self.independent_isoforms:
            obs = obs.unsqueeze(1)  # isoforms are in the event, dimension -1 of the batch is free
        with pyro.plate("cells", num_cells, subsample=indices, dim=-2):
            latents = {
                name: pyro.sample(name, prior) for name, prior in self.priors(batches).items()
            }
            likelihood = self.likelihood(latents, batches, int(offsets.diff().max()))
            with self.isoforms():
                if obs is not None and hasattr(likelihood, "statistics"):
                    likelihood = StatisticsOfBootstraps(likelihood)
                value = pyro.sample(self.site, likelihood, obs=obs)
        return value if self.independent_isoforms else value.squeeze(-1 - likelihood.event_dim)

    def sample_parameters(self) -> None:
        """Sample or score parameters that have a prior; there are none by default."""

    def isoforms(self) -> AbstractContextManager:
        """Plate of the isoforms if they are independent, else an empty context."""
        if self.independent_isoforms:
            return pyro.plate("isoforms", self.num_isoforms, dim=-1)
        return nullcontext()

    def priors(self, batches: Tensor) -> dict[str, TorchDistribution]:
        """Distributions of the latent variables by site, of cells of batches of shape (cells,)."""
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
        mean, sd = self.log_library_mean[batches], self.log_library_sd[batches]
        return LogNormal(mean.unsqueeze(-1), sd.unsqueeze(-1))

    def likelihood(
        self, latents: dict[str, Tensor], batches: Tensor, num_bootstraps: int = 1
    ) -> TorchDistribution:
        """Distribution of the observations.

        Parameters
        ----------
        latents
            A value for each site of :meth:`priors`: z of shape (..., cells, 1, latent_size) and
            library (reads) of shape (..., cells, 1).
        batches
            Batch of each cell, shape (cells,), int64.
        num_bootstraps
            Number of bootstraps of each isoform; models of counts and estimates ignore it.

        Returns
        -------
        TorchDistribution
            Batch shape (..., cells, isoforms), or (..., cells, 1) if isoforms are dependent.
        """
        raise NotImplementedError

    def log_prob_of_counts(
        self, latents: dict[str, Tensor], batches: Tensor, counts: Tensor
    ) -> Tensor:
        """Log probability (nats) of estimates that round to whole counts, shape (..., cells).

        By default F(k + 1/2) - F(k - 1/2) of the likelihood's cumulative distribution function F; a
        count of zero takes all mass below 1/2.

        Parameters
        ----------
        latents
            A value for each site of :meth:`priors`, as for :meth:`likelihood`.
        batches
            Batch of each cell, shape (cells,), int64.
        counts
            Whole reads, shape (cells, isoforms).
        """
        likelihood = self.likelihood(latents, batches)
        below = torch.where(counts > 0, likelihood.cdf((counts - 0.5).clamp(min=0.5)), 0.0)
        mass = likelihood.cdf(counts + 0.5) - below
        return mass.clamp(min=torch.finfo(mass.dtype).tiny).log().sum(-1)

    @torch.no_grad()
    def expression(
        self,
        samples: Sequence[dict[str, Tensor]],
        batches: Tensor,
        obs: Tensor,
        level: str = "isoform",
    ) -> SampledPosterior:
        """Posterior of the expression y (reads) at the depth of each cell.

        Parameters
        ----------
        samples
            Draws of the latent variables from q, each as for :meth:`likelihood`.
        batches
            Batch of each cell, shape (cells,), int64.
        obs
            Observations (reads), as for :meth:`forward`.
        level
            ``isoform`` for batch shape (cells, isoforms), ``gene`` for (cells, genes).
        """
        require("level", level, ("isoform", "gene"))
        draws = torch.cat([self.draw_expression(latents, batches, obs) for latents in samples])
        return SampledPosterior(self.genes.sums(draws) if level == "gene" else draws)

    def draw_expression(self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor) -> Tensor:
        """Draw y (reads) given latent variables and observations, shape (draws, cells, isoforms).

        By default one draw, the mean l f_mu given the latent variables.
        """
        return self.decode_mean(latents, batches).unsqueeze(0)

    def draw_own_expression(
        self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor
    ) -> Tensor:
        """Draw y (reads) without the errors that all cells share, (draws, cells, isoforms)."""
        return self.draw_expression(latents, batches, obs)

    def add_common_error(self, reads: Tensor) -> Tensor:
        """Add the errors that all cells share to independent draws of y (reads) without them.

        By default there are none. The shape is (draws, ..., isoforms).
        """
        return reads

    def rate_posterior(
        self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor
    ) -> RatePosterior | None:
        """Posterior of gene rates and usage given latent variables and observations, if known.

        Optional: a model that has it is exported in a fraction of the time. It must be the
        distribution of :meth:`draw_own_expression`, and with :meth:`common_error` the one of
        :meth:`draw_expression`. By default there is none.
        """
        return None

    def common_error(self) -> CommonError | None:
        """Errors that all cells share, added to :meth:`rate_posterior`; by default none."""
        return None

    def decode_mean(self, latents: dict[str, Tensor], batches: Tensor) -> Tensor:
        """Mean expression l f_mu (reads), shape (..., cells, isoforms)."""
        return self.mean_of(self.decode(latents["z"], batches), latents["library"])

    def mean_of(self, decoded: dict[str, Tensor], library: Tensor) -> Tensor:
        """Scale decoded fractions to library sizes (reads), shape (..., cells, isoforms)."""
        return (library * decoded["fractions"].softmax(-1)).clamp(min=_LEAST_MEAN)

    def decode(self, z: Tensor, batches: Tensor) -> dict[str, Tensor]:
        """Apply the decoder.

        Parameters
        ----------
        z
            Shape (..., cells, 1, latent_size).
        batches
            Shape (cells,), int64.

        Returns
        -------
        dict of Tensor
            An output for each head, shape (..., cells, size of the head).
        """
        decoded = self.decoder(z.squeeze(-2), batches).split(list(self.heads.values()), -1)
        return dict(zip(self.heads, decoded, strict=True))
