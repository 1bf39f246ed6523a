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

from collections.abc import Sequence

import pyro
import torch
from pyro.distributions import Beta, TorchDistribution
from torch import Tensor, nn

from ..data.bootstraps import BootstrapSummary
from ..data.overdispersion import InferentialDispersions
from .distributions.gamma_draws import standard_gamma
from .distributions.gamma_poisson import LEAST_DISPERSION, BootstrapGammaPoisson
from .distributions.gene_reads import BootstrapGeneReads, Division, GeneRates, draw_dirichlet
from .distributions.genes import Genes
from .distributions.posteriors import SampledPosterior
from .scvi import RATES_PER_SAMPLE, SCVI

# Variance over mean (reads) below which a common error is as good as none.
_LEAST_COMMON_DISPERSION = 1e-3
# Logarithm of kappa before anything is learned, and where it is kept.
_FIRST_LOG_CONCENTRATION = 2.0
_LOG_CONCENTRATION_RANGE = (-2.0, 12.0)


class EffectiveReadIsoforms(SCVI):
    """The model of effective reads; latent variables as in :class:`~exvae.models.scvi.SCVI`.

    Parameters
    ----------
    genes
        Position of the gene of each isoform, shape (isoforms,), int64.
    num_batches, **options
        Of :class:`~exvae.models.scvi.SCVI`; what they say of isoforms is of genes here.
    weight_scale
        Standard deviation of the normal prior of the weights from the decoder's last hidden layer,
        so that what few cells tell of a gene is not believed.
    """

    total_dispersion: Tensor
    division_dispersion: Tensor
    isoform_parameters = (*SCVI.isoform_parameters, "log_concentration")

    def __init__(
        self, genes: Tensor, num_batches: int = 1, *, weight_scale: float = 0.2, **options
    ) -> None:
        num_genes = int(genes.max()) + 1
        super().__init__(len(genes), num_batches, num_dispersed=num_genes, **options)
        self.weight_scale = weight_scale
        self.log_concentration = nn.Parameter(torch.full((num_genes,), _FIRST_LOG_CONCENTRATION))
        self.register_buffer("gene_codes", genes)
        self.register_buffer("total_dispersion", torch.ones(num_genes))
        self.register_buffer("division_dispersion", torch.ones(num_genes))

    @property
    def genes(self) -> Genes:
        """Those of the isoforms."""
        return Genes(self.gene_codes, self.num_dispersed)

    @torch.no_grad()
    def initialise_noise(self, dispersions: InferentialDispersions) -> None:
        """Take the inferential dispersions from the bootstraps themselves; they are not learned."""
        self.total_dispersion.copy_(dispersions.totals.clamp(min=LEAST_DISPERSION))
        self.division_dispersion.copy_(dispersions.divisions.clamp(min=LEAST_DISPERSION))

    def common_share_prior(self) -> TorchDistribution:
        """Distribution of c, batch shape ()."""
        return Beta(self.total_dispersion.new_tensor(0.5), self.total_dispersion.new_tensor(0.25))

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

        Arguments and result as for :class:`~exvae.models.paper_isoforms.BootstrapIsoforms`, but
        that the site ``bootstraps`` has a value for each cell, shape (cells, 1, isoforms,
        bootstraps): what the isoforms of a gene are given is not independent.
        """
        num_bootstraps = obs.shape[-1] if isinstance(obs, Tensor) else int(offsets.diff().max())
        if self.training:
            pyro.factor("decoder_weights", self.log_prob_of_weights())
        with pyro.plate("cells", num_cells, subsample=indices, dim=-2):
            z = pyro.sample("z", self.z_prior())
            library = pyro.sample("library", self.library_prior(batches))
            distribution = self.bootstraps(z, library, batches, num_bootstraps)
            value = pyro.sample("bootstraps", distribution, obs=None if obs is None else _each(obs))
        return value.squeeze(-3) if obs is None else obs

    def log_prob_of_weights(self) -> Tensor:
        """Log density in nats of the decoder's weights under their prior, but for a constant."""
        return -(self.decoder.output.weight / self.weight_scale).square().sum() / 2

    def bootstraps(
        self, z: Tensor, library: Tensor, batches: Tensor, num_bootstraps: int
    ) -> BootstrapGeneReads:
        """Distribution of x (reads), batch shape (..., cells, 1), event (isoforms, bootstraps)."""
        mean, *of_genes = (part.unsqueeze(-2) for part in self.decode(z, library, batches))
        totals = BootstrapGammaPoisson(
            self.genes.sums(mean),
            *of_genes,
            self._own(self.total_dispersion),
            self.total_dispersion,
            num_bootstraps=num_bootstraps,
        )
        division = Division(
            self.genes.shares(mean),
            self.log_concentration.clamp(*_LOG_CONCENTRATION_RANGE).exp(),
            self._own(self.division_dispersion),
            self.division_dispersion,
        )
        return BootstrapGeneReads(totals, division, self.genes)

    def _own(self, dispersion: Tensor) -> Tensor:
        """Give what is a cell's own error of an inferential dispersion, phi'."""
        return dispersion - self.common_share_prior().mean * _ambiguity(dispersion)

    def log_prob_of_counts(
        self, latents: dict[str, Tensor], batches: Tensor, counts: Tensor
    ) -> Tensor:
        """Log probability (nats) of estimates that round to whole counts, shape (..., cells).

        Arguments as for :meth:`~exvae.models.scvi.SCVI.log_prob_of_counts`.
        """
        distribution = self.bootstraps(batches=batches, num_bootstraps=1, **latents)
        return distribution.log_prob_of_whole(counts.unsqueeze(-2)).squeeze(-1)

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
        draws = []
        for latents in samples:
            distribution = self.bootstraps(batches=batches, num_bootstraps=1, **latents)
            rates = distribution.draw_rates(_each(obs), RATES_PER_SAMPLE)
            share = self.common_share_prior().sample((RATES_PER_SAMPLE, 1, 1, 1))
            draws.append(self.draw_expression(rates, share).squeeze(-2))
        return SampledPosterior(torch.cat(draws))

    def draw_expression(self, rates: GeneRates, share: Tensor) -> Tensor:
        """Draw y (reads) behind rates, shape (..., isoforms); ``share``, c, broadcasts."""
        scatter = (share * _ambiguity(self.total_dispersion)).clamp(min=_LEAST_COMMON_DISPERSION)
        tiny = torch.finfo(scatter.dtype).tiny
        totals = standard_gamma((rates.totals / scatter).clamp(min=tiny)) * scatter
        scatter = (share * _ambiguity(self.division_dispersion)).clamp(min=_LEAST_COMMON_DISPERSION)
        perks = 1 / self.genes.sums(scatter.new_ones(self.num_isoforms))
        shape = self.genes.spread(totals / scatter) * rates.usage + self.genes.spread(perks)
        return self.genes.spread(totals) * draw_dirichlet(shape, self.genes)


def _ambiguity(dispersion: Tensor) -> Tensor:
    """Excess of an inferential dispersion over that of counts."""
    return (dispersion - 1).clamp(min=0.0)


def _each(obs: BootstrapSummary | Tensor) -> BootstrapSummary | Tensor:
    """Give bootstraps of cells a dimension of one for the plate that isoforms have elsewhere."""
    if isinstance(obs, Tensor):
        return obs.unsqueeze(-3)
    return BootstrapSummary(*(part.unsqueeze(-2) for part in obs))
