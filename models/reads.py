"""The model of the reads themselves; it goes beyond Chan, Spence & Song.

::

    z_n, l_n, t_nj, p_nj                             as in exvae.models.gene_rates
    n_ng ~ Poisson(t_nj p_ng)                        reads of isoform g of gene j
    X_nc                                             reads of class c: each fits the isoforms in c
    lambda_ng = t_nj p_ng                            expression, the result

A read tells its class c, the set of isoforms that it fits, and not its isoform. Given the rates it
is of isoform g in c with probability lambda_ng w_cg / sum_h lambda_nh w_ch; w_cg is the share of
g's reads that fall into c, the inverse of its effective length times a factor of the class. The
likelihood of the classes is exact::

    X_nc ~ Poisson(sum_g lambda_ng w_cg)

So nothing is assumed of errors that cells share, unlike in :mod:`exvae.models.isoforms`: how a
gene's ambiguous reads are divided is learned from all cells.

The site ``reads`` is n, the reads of each isoform. Which read is of which isoform is drawn anew
for each minibatch, see :mod:`exvae.data.read_batches`. The nearest relative is Polee (Jones &
Ruzzo 2021, NAR Genomics and Bioinformatics 3, lqab046), a regression of bulk samples.
"""

from __future__ import annotations

from torch import Tensor

from .distributions.assigned_reads import AssignedReads
from .distributions.negative_binomial import ZINB
from .gene_rates import GeneRateCells

# Draws of the rates for each division of the reads.
RATES_PER_DIVISION = 3


class ReadIsoforms(GeneRateCells):
    """The model of reads; parameters as for :class:`~.gene_rates.GeneRateCells`."""

    observes = "reads"
    site = "reads"

    def __init__(
        self,
        genes: Tensor | int,
        num_batches: int = 1,
        *,
        weight_scale: float = 0.1,
        members: int = 10,
        **options,
    ) -> None:
        options |= {"weight_scale": weight_scale, "members": members}
        super().__init__(genes, num_batches, **options)

    def likelihood(
        self, latents: dict[str, Tensor], batches: Tensor, num_bootstraps: int = 1
    ) -> AssignedReads:
        """Distribution of n (reads), batch shape (..., cells, 1), event shape (isoforms,)."""
        mean, *of_genes = (part.unsqueeze(-2) for part in self.count_parameters(latents, batches))
        totals = ZINB(self.genes.sums(mean), *of_genes)
        return AssignedReads(totals, self.genes.shares(mean), self.concentration, self.genes)

    def log_prob_of_counts(
        self, latents: dict[str, Tensor], batches: Tensor, counts: Tensor
    ) -> Tensor:
        """Log probability (nats) of whole reads of each isoform, shape (..., cells)."""
        return self.likelihood(latents, batches).log_prob(counts.unsqueeze(-2)).squeeze(-1)

    def draw_rates(
        self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor, number: int
    ) -> Tensor:
        """Draw lambda (reads) given n, shape (number, cells, isoforms)."""
        rates = self.likelihood(latents, batches).draw_rates(obs.unsqueeze(-2), number)
        return (self.genes.spread(rates.totals) * rates.usage).squeeze(-2)

    def draw_expression(self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor) -> Tensor:
        """Draw lambda (reads) given n, shape (draws, cells, isoforms)."""
        return self.draw_rates(latents, batches, obs, RATES_PER_DIVISION)
