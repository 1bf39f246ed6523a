"""What is known of gene rates and of usage given latent variables, in closed form."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.distributions import Distribution


class RatePosterior(NamedTuple):
    """Posterior of the rates of genes and the usage of their isoforms, given latent variables.

    A gene is on with some probability. Its rate then has a gamma distribution, and is zero
    otherwise; usage has a Dirichlet distribution for each gene. All are independent.

    Attributes
    ----------
    shape
        Of the gamma distributions, shape (cells, genes).
    scale
        Of the gamma distributions (reads), so that the mean is shape times scale, (cells, genes).
    present
        Probability that the gene is on, shape (cells, genes).
    usage
        Parameters of the Dirichlet distributions, shape (cells, isoforms).
    """

    shape: Tensor
    scale: Tensor
    present: Tensor
    usage: Tensor


class CommonError(NamedTuple):
    """Errors that all cells share: expression scatters around rates and usage.

    Given the rate t of a gene, usage p and a share c, its expression T is gamma with mean t and
    variance c a t, and usage is Dirichlet with parameters T p / (c b) + 1 / isoforms.

    Attributes
    ----------
    share
        Distribution of c, batch shape ().
    totals
        Ambiguity a of the totals of genes (reads), shape (genes,).
    division
        Ambiguity b of their split between isoforms (reads), shape (genes,).
    """

    share: Distribution
    totals: Tensor
    division: Tensor
