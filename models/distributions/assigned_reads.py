"""Reads of isoforms, given the moments of the rates of genes and of the usage of isoforms."""

from __future__ import annotations

import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor
from torch.distributions.utils import lazy_property

from ...data.genes import Genes
from ...data.random_draws import draw_dirichlet, draw_shares
from .gamma_poisson import EffectiveReads, draw_rates, log_gamma_poisson
from .gene_reads import GeneRates, log_dirichlet_multinomial
from .negative_binomial import ZINB, zero_inflated


class AssignedReads(TorchDistribution):
    r"""Reads n of all isoforms of a cell, each read assigned to an isoform.

    .. math::
        t_j \sim Gamma(\mu_j, \theta_j) \text{ or } 0, \quad
        p_j \sim Dirichlet(\kappa_j \pi_j), \quad n_{jg} \sim Poisson(t_j p_{jg})

    for the isoforms g of each gene j. Rates and usage are integrated out: the reads of genes are
    zero-inflated negative binomial, and their division is Dirichlet-multinomial.

    Parameters
    ----------
    totals
        Distribution of the reads of genes: mean mu, inverse dispersion theta, and the probability
        that a gene is off; batch shape (..., genes).
    usage
        pi > 0, mean share of each isoform in its gene, shape (..., isoforms).
    concentration
        kappa > 0, broadcasting with (..., genes).
    genes
        The gene of each isoform.
    validate_args
        Whether to check parameters and values.

    Examples
    --------
    >>> from exvae.data.genes import Genes
    >>> from exvae.models.distributions.negative_binomial import ZINB
    >>> genes = Genes(torch.tensor([0, 0, 1]), 2)
    >>> one, usage = torch.ones(2), torch.tensor([0.5, 0.5, 1.0])
    >>> reads = AssignedReads(ZINB(4 * one, one, -50 * one), usage, one, genes)
    >>> reads.mean
    tensor([2., 2., 4.])
    >>> reads.log_prob(torch.tensor([1.0, 2.0, 5.0])).shape
    torch.Size([])
    """

    arg_constraints = {
        "usage": constraints.independent(constraints.positive, 1),
        "concentration": constraints.independent(constraints.positive, 1),
    }
    support = constraints.independent(constraints.nonnegative, 1)

    def __init__(
        self,
        totals: ZINB,
        usage: Tensor,
        concentration: Tensor,
        genes: Genes,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.totals, self.genes = totals, genes
        self.concentration = concentration.expand(totals.batch_shape)
        batch_shape = totals.batch_shape[:-1]
        self.usage = usage.expand(*batch_shape, len(genes.codes))
        super().__init__(batch_shape, self.usage.shape[-1:], validate_args=validate_args)

    def expand(
        self, batch_shape: torch.Size, _instance: AssignedReads | None = None
    ) -> AssignedReads:
        """Repeat the distribution over a larger batch."""
        new = self._get_checked_instance(AssignedReads, _instance)
        totals = self.totals.expand(torch.Size([*batch_shape, self.genes.number]))
        own = totals, self.usage, self.concentration, self.genes
        AssignedReads.__init__(new, *own, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability (nats) of reads, shape (..., isoforms), continued to real numbers."""
        if self._validate_args:
            self._validate_sample(value)
        totals = self.genes.sums(value)
        mean, inverse_dispersion, dropout_logits = self.totals.parameters
        kept = log_gamma_poisson(totals, mean, inverse_dispersion)
        of_genes = zero_inflated(kept, totals, dropout_logits).sum(-1)
        if self.genes.alone:
            return of_genes
        division = log_dirichlet_multinomial(value, self.usage, self.concentration, self.genes)
        return of_genes + division.sum(-1)

    def draw_rates(self, value: Tensor, number: int) -> GeneRates:
        """Draw rates of genes and usage of isoforms given reads, shape (..., isoforms).

        Their shapes are (number, ..., genes) and (number, ..., isoforms).
        """
        totals = self.genes.sums(value)
        reads = EffectiveReads(totals, torch.ones_like(totals))
        rates, dropped = draw_rates(*self.totals.parameters, reads, number)
        shape = self._prior_shape + value
        usage = draw_dirichlet(shape.expand(number, *shape.shape), self.genes)
        return GeneRates(rates * (1 - dropped), usage)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw reads, whole numbers, shape sample_shape + batch_shape + (isoforms,)."""
        totals, prior = self.totals.sample(sample_shape), self._prior_shape
        usage = draw_dirichlet(prior.expand(*sample_shape, *prior.shape), self.genes)
        shares = draw_shares(totals, usage, torch.ones_like(totals), self.genes)
        return (self.genes.spread(totals) * shares).round()

    @lazy_property
    def mean(self) -> Tensor:
        """Mean (reads), shape batch_shape + (isoforms,)."""
        return self.genes.spread(self.totals.mean) * self.usage

    @property
    def variance(self) -> Tensor:
        """Variance (reads squared), shape batch_shape + (isoforms,)."""
        totals = self.totals
        square = totals.variance - totals.mean + totals.mean.square()  # of the rate
        spread = self.genes.spread(1 / (self.concentration + 1))
        of_usage = self.usage.square() + self.usage * (1 - self.usage) * spread
        return self.mean + self.genes.spread(square) * of_usage - self.mean.square()

    @property
    def _prior_shape(self) -> Tensor:
        """Parameters of the Dirichlets of usage, shape batch_shape + (isoforms,)."""
        return self.genes.spread(self.concentration) * self.usage
