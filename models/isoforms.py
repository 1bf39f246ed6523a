"""Rates of genes and usage of their isoforms, seen through bootstraps as effective reads.

Beyond Chan, Spence & Song.

z_n  ~ Normal(0, I), l_n ~ LogNormal             as in :mod:`exvae.models.scvi`
t_nj ~ Gamma(mean l_n F_mu(z_n, s_n), theta_j)   rate of gene j, F_mu summed over its isoforms,
       or 0 with probability f_h(z_n, s_n)       where the gene is off
p_nj ~ Dirichlet(kappa_j f_mu / F_mu)            its usage of isoforms g
e_nj ~ phi'_j Poisson(t_nj / phi'_j)             the quantifier's estimate of the gene,
e_ng = e_nj times the shares of effective reads  divided among isoforms: one for each phi'_sj reads
x_ngb likewise around e_ng, with phi for phi'    its bootstraps, x_ng1, ..., x_ngB
y_ng                                             the expression that is asked for:
       T_nj ~ Gamma(mean t_nj, variance c (phi_j - 1) t_nj), divided by
       q_nj ~ Dirichlet(T_nj p_nj / (c (phi_sj - 1)) + 1 / isoforms of j)
c    ~ Beta(1/2, 1/4)                            share of the ambiguity that cells have in common

The bootstraps repeat the drawing of reads, so that they are estimates of a rate and not of a count
drawn with it. phi, the inferential dispersion, is the variance of bootstraps over that of counts: 1
where only reads are drawn, and its excess over 1 is ambiguity. A gene's reads have little of it;
their division has much, as what one isoform is given in error another lacks.

Reads are drawn for each cell anew, but sequences that cannot be told apart are the same in all
cells, and other cells do not help: a share of the ambiguity is an error that cells have in common
and that no cell shows. It is Berkson's: the truth scatters around what is estimated. Its 1 /
isoforms is Perks' prior of usage (1947): a quantifier that cannot tell isoforms apart gives all
reads to one, and one that is given nothing may have some. Nothing observed tells the share; that
two thirds are common is what intervals hold with. The rest is each cell's own error, phi' = phi -
E[c] (phi - 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyro
import torch
from pyro.distributions import Beta, TorchDistribution
from torch import Tensor, nn

from ..data.bootstraps import BootstrapMean
from .cells import gene_codes_of
from .distributions.gamma_draws import standard_gamma
from .distributions.gamma_poisson import LEAST_DISPERSION, BootstrapGammaPoisson
from .distributions.gene_reads import BootstrapGeneReads, Division, GeneRates, draw_dirichlet
from .distributions.statistics import StatisticsOfBootstraps
from .scvi import RATES_PER_SAMPLE, ZeroInflatedCells

if TYPE_CHECKING:
    from ..data.initial_values import InitialValues

# Variance over mean (reads) below which a common error is as good as none.
_LEAST_COMMON_DISPERSION = 1e-3
# Logarithm of kappa before anything is learned, and where it is kept.
_FIRST_LOG_CONCENTRATION = 2.0
_LOG_CONCENTRATION_RANGE = (-2.0, 12.0)


class EffectiveReadIsoforms(ZeroInflatedCells):
    """The model of effective reads.

    Parameters
    ----------
    genes, num_batches, **options
        Of :class:`~exvae.models.scvi.ZeroInflatedCells`; dispersion and dropout are of genes.
    weight_scale
        Standard deviation of the normal prior of the weights from the decoder's last hidden layer,
        which keeps the few cells of a rare state from being believed.
    """

    observes = "bootstrap_mean"
    independent_isoforms = False
    isoform_parameters = (*ZeroInflatedCells.isoform_parameters, "log_concentration")
    total_dispersion: Tensor
    division_dispersion: Tensor

    def __init__(
        self,
        genes: Tensor | int,
        num_batches: int = 1,
        *,
        weight_scale: float = 0.2,
        **options,
    ) -> None:
        super().__init__(genes, num_batches, **options)
        self.weight_scale = weight_scale
        first = torch.full((self.num_genes,), _FIRST_LOG_CONCENTRATION)
        self.log_concentration = nn.Parameter(first)
        self.register_buffer("total_dispersion", torch.ones(self.num_genes))
        self.register_buffer("division_dispersion", torch.ones(self.num_genes))

    @staticmethod
    def num_counted(genes: Tensor | int) -> int:
        """Count the genes, whose reads have a dispersion and dropout each."""
        return int(gene_codes_of(genes).max()) + 1

    @torch.no_grad()
    def initialise(self, values: InitialValues) -> None:
        """Start from the training cells; overdispersion is measured here and never learned."""
        super().initialise(values)
        measured = values.overdispersion(self.gene_codes)
        self.total_dispersion.copy_(measured.totals.clamp(min=LEAST_DISPERSION))
        self.division_dispersion.copy_(measured.divisions.clamp(min=LEAST_DISPERSION))

    def forward(
        self,
        bootstraps: Tensor,
        offsets: Tensor,
        batches: Tensor,
        indices: Tensor,
        num_cells: int,
        obs: Tensor | None = None,
    ) -> Tensor:
        """Generate bootstraps of a minibatch of cells, or score their observed means.

        Arguments and result as for :class:`~exvae.models.cells.CellModel`, but that the site
        ``bootstraps`` has a value for each cell, shape (cells, 1, isoforms, bootstraps): isoforms
        of a gene are not independent.
        """
        if self.training:
            pyro.factor("decoder_weights", self.log_prob_of_weights())
        each = None if obs is None else obs.unsqueeze(-3)
        return super().forward(bootstraps, offsets, batches, indices, num_cells, each).squeeze(-3)

    def log_prob_of_weights(self) -> Tensor:
        """Log density in nats of the decoder's weights under their prior, but for a constant."""
        return -(self.decoder.output.weight / self.weight_scale).square().sum() / 2

    def likelihood(
        self, latents: dict[str, Tensor], batches: Tensor, num_bootstraps: int = 1
    ) -> BootstrapGeneReads:
        """Distribution of x (reads), batch shape (..., cells, 1), event (isoforms, bootstraps)."""
        mean, *of_genes = (part.unsqueeze(-2) for part in self.count_parameters(latents, batches))
        totals = BootstrapGammaPoisson(
            self.genes.sums(mean),
            *of_genes,
            self.own_error(self.total_dispersion),
            self.total_dispersion,
            num_bootstraps=num_bootstraps,
        )
        division = Division(
            self.genes.shares(mean),
            self.log_concentration.clamp(*_LOG_CONCENTRATION_RANGE).exp(),
            self.own_error(self.division_dispersion),
            self.division_dispersion,
        )
        return BootstrapGeneReads(totals, division, self.genes)

    def observed(self, likelihood: BootstrapGeneReads) -> StatisticsOfBootstraps:
        """Distribution of number and mean of bootstraps, event shape (isoforms, 2)."""
        return StatisticsOfBootstraps(likelihood)

    def own_error(self, dispersion: Tensor) -> Tensor:
        """Overdispersion phi' of a cell's own error: ambiguity less the expected common share."""
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
        """Draw y (reads) behind number and mean of bootstraps, shape (draws, cells, isoforms)."""
        likelihood = self.likelihood(latents, batches)
        statistics = BootstrapMean.unstacked(obs.unsqueeze(-3))
        rates = likelihood.draw_rates(statistics, RATES_PER_SAMPLE)
        share = self.common_share_prior().sample((RATES_PER_SAMPLE, 1, 1, 1))
        return self.draw_common_error(rates, share).squeeze(-2)

    def draw_common_error(self, rates: GeneRates, share: Tensor) -> Tensor:
        """Draw y (reads) behind rates, shape (..., isoforms); ``share``, c, broadcasts."""
        scatter = (share * _ambiguity(self.total_dispersion)).clamp(min=_LEAST_COMMON_DISPERSION)
        tiny = torch.finfo(scatter.dtype).tiny
        totals = standard_gamma((rates.totals / scatter).clamp(min=tiny)) * scatter
        scatter = (share * _ambiguity(self.division_dispersion)).clamp(min=_LEAST_COMMON_DISPERSION)
        perks = 1 / self.genes.sums(scatter.new_ones(self.num_isoforms))
        shape = self.genes.spread(totals / scatter) * rates.usage + self.genes.spread(perks)
        return self.genes.spread(totals) * draw_dirichlet(shape, self.genes)


def _ambiguity(dispersion: Tensor) -> Tensor:
    """Excess of an overdispersion over that of counts."""
    return (dispersion - 1).clamp(min=0.0)
