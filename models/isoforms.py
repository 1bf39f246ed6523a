"""The default model of isoforms: gene rates and isoform usage, observed as effective reads.

This model goes beyond Chan, Spence & Song.

::

    z_n, l_n, t_nj, p_nj                             as in exvae.models.gene_rates
    e_nj ~ phi'_j Poisson(t_nj / phi'_j)             the quantifier's estimate of the gene
    e_ng = e_nj times the shares of effective reads  its split, one effective read for phi'_sj reads
    x_ngb likewise around e_ng, with phi for phi'    bootstraps x_ng1, ..., x_ngB of the isoform
    y_ng                                             expression, the result:
           T_nj ~ Gamma(mean t_nj, variance c (phi_j - 1) t_nj), times
           q_nj ~ Dirichlet(T_nj p_nj / (c (phi_sj - 1)) + 1 / isoforms of j)
    c    ~ Beta(1/2, 1/4)                            share of the ambiguity that all cells share

Bootstraps repeat the drawing of reads. They are therefore estimates of a rate, not of a count.

phi is the quantification overdispersion: the variance of the bootstraps divided by the variance of
counts of as many reads (Baldoni et al., 2024; Zhu et al., 2019; see
:mod:`exvae.data.overdispersion`). It is 1 if only the drawing of reads adds variance; its excess
over 1 is ambiguity. Reads wrongly assigned to one isoform are missing from its siblings. Gene
totals are therefore well determined and the split between isoforms is not, so the model treats the
two separately.

Each cell draws its reads anew, but the same look-alike sequences mislead the quantifier in every
cell. Other cells do not help there: a share c of the ambiguity is an error common to all cells. It
is a Berkson error, as the truth scatters around the estimated rate. 1 / isoforms is Perks' prior of
usage (1947): a quantifier that cannot tell isoforms apart gives all reads to one of them, and its
siblings may have some. No observation tells c. Two thirds of the ambiguity, E[c], is assumed to be
common; with this share intervals hold the truth on simulated cells. The rest is the cell's own
error, phi' = phi - E[c] (phi - 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pyro.distributions import Beta, TorchDistribution
from torch import Tensor

from ..data.bootstraps import BootstrapMean
from ..data.random_draws import draw_dirichlet, standard_gamma
from ..data.rate_posterior import CommonError, RatePosterior
from .distributions.gamma_poisson import LEAST_DISPERSION, BootstrapGammaPoisson
from .distributions.gene_reads import BootstrapGeneReads, Division, GeneRates
from .gene_rates import GeneRateCells
from .scvi import RATES_PER_SAMPLE

if TYPE_CHECKING:
    from ..data.initial_values import InitialValues

# Variance-to-mean ratio (reads) below which a common error is negligible.
_LEAST_COMMON_DISPERSION = 1e-3


class EffectiveReadIsoforms(GeneRateCells):
    """The model of effective reads; parameters as for :class:`~.gene_rates.GeneRateCells`."""

    observes = "bootstrap_mean"
    total_dispersion: Tensor
    division_dispersion: Tensor

    def __init__(self, genes: Tensor | int, num_batches: int = 1, **options) -> None:
        super().__init__(genes, num_batches, **options)
        self.register_buffer("total_dispersion", torch.ones(self.num_genes))
        self.register_buffer("division_dispersion", torch.ones(self.num_genes))

    @torch.no_grad()
    def initialise(self, values: InitialValues) -> None:
        """Set parameters from the training cells; overdispersion is measured, never learned."""
        super().initialise(values)
        measured = values.overdispersion(self.gene_codes)
        self.total_dispersion.copy_(measured.totals.clamp(min=LEAST_DISPERSION))
        self.division_dispersion.copy_(measured.divisions.clamp(min=LEAST_DISPERSION))

    def likelihood(
        self, latents: dict[str, Tensor], batches: Tensor, num_bootstraps: int = 1
    ) -> BootstrapGeneReads:
        """Distribution of x (reads), batch shape (..., cells, 1), event (isoforms, bootstraps)."""
        mean, *of_genes = (part.unsqueeze(-2) for part in self.count_parameters(latents, batches))
        mean_of_genes, usage = self.genes.sums_and_shares(mean)
        totals = BootstrapGammaPoisson(
            mean_of_genes,
            *of_genes,
            self.own_error(self.total_dispersion),
            self.total_dispersion,
            num_bootstraps=num_bootstraps,
        )
        division = Division(
            usage,
            self.concentration,
            self.own_error(self.division_dispersion),
            self.division_dispersion,
        )
        return BootstrapGeneReads(totals, division, self.genes)

    def own_error(self, dispersion: Tensor) -> Tensor:
        """Overdispersion phi' of a cell's own error, given phi; both of shape (genes,)."""
        return dispersion - self.common_share_prior().mean * _ambiguity(dispersion)

    def common_share_prior(self) -> TorchDistribution:
        """Distribution of c, batch shape ()."""
        return Beta(self.total_dispersion.new_tensor(0.5), self.total_dispersion.new_tensor(0.25))

    def log_prob_of_counts(
        self, latents: dict[str, Tensor], batches: Tensor, counts: Tensor
    ) -> Tensor:
        """Log probability (nats) of estimates that round to whole counts, shape (..., cells)."""
        likelihood = self.likelihood(latents, batches)
        return likelihood.log_prob_of_whole(counts.unsqueeze(-2)).squeeze(-1)

    def draw_expression(self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor) -> Tensor:
        """Draw y (reads) given number and mean of bootstraps, shape (draws, cells, isoforms)."""
        rates = self.draw_rates(latents, batches, obs)
        share = self.common_share_prior().sample((RATES_PER_SAMPLE, 1, 1, 1))
        return self.draw_common_error(rates, share).squeeze(-2)

    def draw_own_expression(
        self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor
    ) -> Tensor:
        """Draw t p (reads) given number and mean of bootstraps, (draws, cells, isoforms)."""
        rates = self.draw_rates(latents, batches, obs)
        return (self.genes.spread(rates.totals) * rates.usage).squeeze(-2)

    def draw_rates(self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor) -> GeneRates:
        """Draw t (reads) and p given number and mean of bootstraps, (draws, cells, 1, ...)."""
        statistics = BootstrapMean.unstacked(obs.unsqueeze(-3))
        return self.likelihood(latents, batches).draw_rates(statistics, RATES_PER_SAMPLE)

    def rate_posterior(
        self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor
    ) -> RatePosterior:
        """Posterior of t (reads) and p given number and mean of bootstraps, of cells."""
        statistics = BootstrapMean.unstacked(obs.unsqueeze(-3))
        found = self.likelihood(latents, batches).rate_posterior(statistics)
        return RatePosterior(*(part.squeeze(-2) for part in found))

    def common_error(self) -> CommonError:
        """Distribution of c, and the ambiguities (reads) of the totals and the split of genes."""
        dispersions = self.total_dispersion, self.division_dispersion
        return CommonError(self.common_share_prior(), *map(_ambiguity, dispersions))

    def add_common_error(self, reads: Tensor) -> Tensor:
        """Draw y (reads) around t p (reads), with a share c for each draw.

        Parameters
        ----------
        reads
            Shape (draws, ..., isoforms).
        """
        tiny = torch.finfo(reads.dtype).tiny
        reads = reads.clamp(min=tiny)
        rates = GeneRates(self.genes.sums(reads), self.genes.shares(reads))
        share = self.common_share_prior().sample((len(reads), *[1] * (reads.dim() - 1)))
        return self.draw_common_error(rates, share)

    def draw_common_error(self, rates: GeneRates, share: Tensor) -> Tensor:
        """Draw y (reads) given rates, shape (..., isoforms).

        Parameters
        ----------
        rates
            Rates of genes (reads), shape (..., genes), and usage, shape (..., isoforms).
        share
            c, broadcasting with (..., genes).
        """
        scatter = (share * _ambiguity(self.total_dispersion)).clamp(min=_LEAST_COMMON_DISPERSION)
        tiny = torch.finfo(scatter.dtype).tiny
        totals = standard_gamma((rates.totals / scatter).clamp(min=tiny)) * scatter
        scatter = (share * _ambiguity(self.division_dispersion)).clamp(min=_LEAST_COMMON_DISPERSION)
        perks = 1 / self.genes.sums(scatter.new_ones(self.num_isoforms))
        shape = self.genes.spread(totals / scatter) * rates.usage + self.genes.spread(perks)
        return self.genes.spread(totals) * draw_dirichlet(shape, self.genes)


def _ambiguity(dispersion: Tensor) -> Tensor:
    """Excess of an overdispersion over 1, the value for unambiguous reads; any shape."""
    return (dispersion - 1).clamp(min=0.0)
