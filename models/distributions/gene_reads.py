"""Bootstraps of the isoforms of genes: reads of genes, and their split between isoforms.

Both scatter like counts of effective reads, each with an overdispersion of its own. With a gamma
prior of a gene's rate and a Dirichlet prior of its usage everything is in closed form.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor
from torch.distributions.utils import lazy_property

from ...data.bootstraps import BootstrapMean
from ...data.compiled_loops import suits_loops
from ...data.genes import Genes
from ...data.random_draws import divide, draw_dirichlet, draw_shares
from ...data.rate_posterior import RatePosterior
from .gamma_poisson import (
    BootstrapGammaPoisson,
    draw_around,
    log_gamma_poisson,
    refuse_learning,
)

# Added to Dirichlet parameters, so that tiny ones have gradients too.
ADDED_SHAPE = 1e-6
# Tolerated rounding of the sum of usage over a gene.
_USAGE_TOLERANCE = 1e-3
# Least effective reads of a gene that can be split.
_LEAST_READS = 1e-6
# Upper bound of 1 / (concentration + 1), which is one if all reads go to one isoform.
_MOST_CORRELATED = 0.999
# Probabilities of factors by which a gene's ambiguity in a cell differs from its mean over cells.
AMBIGUITIES = {0.25: 0.25, 1.0: 0.5, 4.0: 0.25}


class Division(NamedTuple):
    """Parameters of the split of gene reads between isoforms.

    Attributes
    ----------
    usage
        Mean share of each isoform in the reads of its gene, shape (..., isoforms).
    concentration
        kappa > 0; Var[usage] = usage (1 - usage) / (kappa + 1), shape (..., genes).
    error_dispersion
        Overdispersion phi' > 0 of an estimate's split, in reads per effective read, shape (genes,).
    bootstrap_dispersion
        Overdispersion phi > 0 of a bootstrap's split around the estimate, shape (genes,).
    """

    usage: Tensor
    concentration: Tensor
    error_dispersion: Tensor
    bootstrap_dispersion: Tensor


class GeneRates(NamedTuple):
    """Draws of gene rates and isoform usage.

    Attributes
    ----------
    totals
        Rates of genes (reads), shape (..., genes).
    usage
        Shares of their isoforms, shape (..., isoforms).
    """

    totals: Tensor
    usage: Tensor


class BootstrapGeneReads(TorchDistribution):
    r"""B bootstraps of the estimates of all isoforms of a cell.

    .. math::
        t_j \sim Gamma(\mu_j, \theta_j), \quad p_j \sim Dirichlet(\kappa_j \pi_j), \quad
        e_j \mid t \sim \phi' Poisson(t_j / \phi'), \quad
        e_{jg} = e_j n_g / \sum n, \; n_g \mid e_j, p \sim Poisson(e_j p_{jg} / \phi'_s)

    for the isoforms g of each gene j, and likewise bootstraps around the estimates e. ``log_prob``
    is the quasi-likelihood of the mean of the bootstraps. It is the product of two parts: the sums
    over genes (:class:`~exvae.models.distributions.gamma_poisson.BootstrapGammaPoisson`) and the
    split of each sum, a Dirichlet-multinomial of effective reads, continued to real counts. Genes
    of one isoform have only the first part. Compare losses only between fits of this model.

    Parameters
    ----------
    totals
        Distribution of the bootstraps of genes, batch shape (..., genes).
    division
        Parameters of the split between isoforms; broadcasts with the batch shape.
    genes
        The gene of each isoform.
    validate_args
        Whether to check parameters and values.

    Raises
    ------
    ValueError
        If an overdispersion requires a gradient, or validation is on and a parameter is out of
        range or usage does not sum to one in every gene.
    """

    arg_constraints = {}
    support = constraints.independent(constraints.nonnegative, 2)
    statistics = BootstrapMean

    def __init__(
        self,
        totals: BootstrapGammaPoisson,
        division: Division,
        genes: Genes,
        *,
        validate_args: bool | None = None,
    ) -> None:
        refuse_learning(*division[2:])
        self.totals = totals
        self.genes = genes
        of_genes, of_isoforms = totals.batch_shape, (*totals.batch_shape[:-1], len(genes.codes))
        self.division = Division(
            division.usage.expand(of_isoforms), *(part.expand(of_genes) for part in division[1:])
        )
        super().__init__(
            of_genes[:-1],
            torch.Size([len(genes.codes), totals.num_bootstraps]),
            validate_args=validate_args,
        )
        if self._validate_args:
            for name, value in division._asdict().items():  # not yet repeated over the batch
                if not value.amin() > 0:
                    raise ValueError(f"{name} must be positive")
            sums = genes.sums(self.division.usage)
            if not (sums - 1).abs().lt(_USAGE_TOLERANCE).all():
                raise ValueError("usage must sum to one in every gene")

    @property
    def num_bootstraps(self) -> int:
        """B."""
        return self.totals.num_bootstraps

    def expand(
        self, batch_shape: torch.Size, _instance: BootstrapGeneReads | None = None
    ) -> BootstrapGeneReads:
        """Repeat the distribution over a larger batch."""
        new = self._get_checked_instance(BootstrapGeneReads, _instance)
        totals = self.totals.expand(torch.Size([*batch_shape, self.genes.number]))
        BootstrapGeneReads.__init__(new, totals, self.division, self.genes, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor | BootstrapMean) -> Tensor:
        """Log quasi-likelihood (nats) of the mean of bootstraps, shape batch_shape.

        Parameters
        ----------
        value
            Bootstraps (reads), shape (..., isoforms, B), or their statistics, each of shape
            (..., isoforms), whose numbers of bootstraps may differ between cells.
        """
        statistics = self._statistics(value)
        of_genes = self.totals.log_prob(self._sums(statistics)).sum(-1)
        if self.genes.alone:
            return of_genes
        usage, concentration = self.division[:2]
        count = self._divided(statistics)
        division = log_dirichlet_multinomial(count, usage, concentration, self.genes)
        return of_genes + division.sum(-1)

    def draw_rates(self, value: Tensor | BootstrapMean, number: int) -> GeneRates:
        """Draw rates of genes and usage of isoforms given bootstraps.

        ``value`` as for :meth:`log_prob`; shapes (number, ..., genes) and (number, ...,
        isoforms).
        """
        statistics = self._statistics(value)
        totals = self.totals.draw_rates(self._sums(statistics), number)
        shape = self._prior_shape + self._divided(statistics)
        return GeneRates(totals, draw_dirichlet(shape.expand(number, *shape.shape), self.genes))

    def rate_posterior(self, value: Tensor | BootstrapMean) -> RatePosterior:
        """Posterior of rates and usage given bootstraps, batch_shape + (genes,) and (isoforms,).

        ``value`` as for :meth:`log_prob`.
        """
        statistics = self._statistics(value)
        of_genes = self.totals.rate_posterior(self._sums(statistics))
        return RatePosterior(*of_genes, self._prior_shape + self._divided(statistics))

    def log_prob_of_whole(self, counts: Tensor) -> Tensor:
        """Log probability (nats) of estimates that are rounded to whole counts.

        BootstrapGammaPoisson scores the sums over genes. The split of a sum is a
        Dirichlet-multinomial of whole counts with the mean and variance of one bootstrap's split,
        mixed over :data:`AMBIGUITIES`, as a gene is not equally ambiguous in all cells.

        Parameters
        ----------
        counts
            Whole reads, shape (..., isoforms).

        Returns
        -------
        Tensor
            Shape batch_shape; the masses of all counts sum to one.
        """
        sums = self.genes.sums(counts)
        of_genes = self.totals.log_prob_of_bin(sums).sum(-1)
        if self.genes.alone:
            return of_genes
        usage, concentration, _, dispersion = self.division
        least = 1 / (concentration + 1)
        added = (dispersion - 1).clamp(min=0.0) / (sums - 1).clamp(min=1.0)
        parts = []
        for factor, probability in AMBIGUITIES.items():
            correlation = (least + factor * added).clamp(max=_MOST_CORRELATED)
            part = log_dirichlet_multinomial(counts, usage, 1 / correlation - 1, self.genes)
            parts.append(part + math.log(probability))
        division = torch.stack(parts).logsumexp(0)
        return of_genes + division.sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw bootstraps (reads), shape sample_shape + batch_shape + (isoforms, B)."""
        estimates = self.totals.sample_estimates(sample_shape)
        division, prior = self.division, self._prior_shape
        usage = draw_dirichlet(prior.expand(*sample_shape, *prior.shape), self.genes)
        usage = draw_shares(estimates, usage, division.error_dispersion, self.genes)
        return self._sample_around(estimates, usage)

    def _sample_around(self, estimates: Tensor, usage: Tensor) -> Tensor:
        """Draw bootstraps (reads), shape (..., isoforms, B).

        Most estimates are zero, and so are their bootstraps: only the others are drawn.

        Parameters
        ----------
        estimates
            Estimates of genes (reads), shape (..., genes).
        usage
            Shares of their isoforms, shape (..., isoforms).
        """
        present = estimates > 0
        own, of_division = (
            part.expand(estimates.shape)[present]
            for part in (self.totals.bootstrap_dispersion, self.division.bootstrap_dispersion)
        )
        totals = draw_around(estimates[present], own, self.num_bootstraps)
        number = present.flatten().cumsum(0).view(estimates.shape) - 1
        drawn = self.genes.spread(present) & (usage > 0)
        owner = self.genes.spread(number)[drawn]
        shares = divide(totals / of_division.unsqueeze(-1), usage[drawn], owner)
        bootstraps = usage.new_zeros(*usage.shape, self.num_bootstraps)
        bootstraps[drawn] = shares.mul_(totals[owner])
        return bootstraps

    @lazy_property
    def mean(self) -> Tensor:
        """Mean of each bootstrap (reads), shape batch_shape + (isoforms, B)."""
        means = self.genes.spread(self.totals.mean[..., 0]) * self.division.usage
        return means.unsqueeze(-1).expand(self.batch_shape + self.event_shape)

    @property
    def _prior_shape(self) -> Tensor:
        """Parameters of the Dirichlets of usage, shape batch_shape + (isoforms,)."""
        return self.genes.spread(self.division.concentration) * self.division.usage

    def _statistics(self, value: Tensor | BootstrapMean) -> BootstrapMean:
        if isinstance(value, BootstrapMean):
            return value
        if self._validate_args:
            self._validate_sample(value)
        return BootstrapMean.of(value)

    def _sums(self, statistics: BootstrapMean) -> BootstrapMean:
        """Add up the mean bootstraps of isoforms to those of genes, shape (..., genes)."""
        sums = self.genes.sums(statistics.mean)
        return BootstrapMean(statistics.number[..., :1].expand(sums.shape), sums)

    def _divided(self, statistics: BootstrapMean) -> Tensor:
        """Effective reads of isoforms for the division of their genes, shape (..., isoforms)."""
        division, number = self.division, statistics.number[..., :1]
        scatter = division.error_dispersion + division.bootstrap_dispersion / number
        return statistics.mean / self.genes.spread(scatter)


def log_dirichlet_multinomial(
    count: Tensor, usage: Tensor, concentration: Tensor, genes: Genes
) -> Tensor:
    """Log probability (nats) of the split of each gene's counts, continued to real counts >= 0.

    Given their sum, gamma-Poisson counts of one scale are Dirichlet-multinomial: the result is the
    product of their probabilities divided by the probability of the sum.

    Parameters
    ----------
    count
        Effective reads, shape (..., isoforms).
    usage
        Mean usage, which sums to one in each gene, shape (..., isoforms).
    concentration
        kappa > 0, shape (..., genes).
    genes
        The gene of each isoform.

    Returns
    -------
    Tensor
        Shape (..., genes).
    """
    if usage.dtype == torch.float32 and suits_loops(usage):
        from .compiled_division import LogDirichletMultinomial  # loads numba

        return LogDirichletMultinomial.apply(count, usage, concentration, genes)
    return product_of_parts(count, usage, concentration, genes)


def product_of_parts(count: Tensor, usage: Tensor, concentration: Tensor, genes: Genes) -> Tensor:
    """Compute :func:`log_dirichlet_multinomial` by its definition, on any device."""
    total = genes.sums(count)
    mean = total.clamp(min=_LEAST_READS)
    shape = genes.spread(concentration) * usage + ADDED_SHAPE
    concentration = genes.sums(shape)  # includes the added shapes, so that the parts agree
    parts = log_gamma_poisson(count, genes.spread(mean / concentration) * shape, shape)
    return genes.sums(parts) - log_gamma_poisson(total, mean, concentration)
