"""Choice of the genes of a page, and of their isoforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from ...data.errors import DataError
from ..isoforms.settings import LIBRARY_SIZE
from ..pl.choosing import nearest
from .settings import MOST_ISOFORMS

if TYPE_CHECKING:
    from ..isoforms.fitting import IsoformFit


class ChosenGenes(NamedTuple):
    """Genes of a page.

    Attributes
    ----------
    codes
        Positions of the genes among the genes of the fit, shape (genes,), in the order of choice.
    isoforms
        Positions of the isoforms of each gene, the most expressed first, each of shape (isoforms,).
    left_out
        Positions of the other genes of the fit, shape (others,), in the order of choice.
    """

    codes: np.ndarray
    isoforms: list[np.ndarray]
    left_out: np.ndarray

    @property
    def columns(self) -> np.ndarray:
        """Positions of all isoforms, gene after gene, shape (isoforms,)."""
        return np.concatenate(self.isoforms)


def normalised_estimates(counts: csr_matrix) -> csr_matrix:
    """Normalise estimates (reads) to reads of 10 000, shape (cells, isoforms)."""
    totals = np.maximum(np.asarray(counts.sum(1)).ravel(), 1.0)
    return csr_matrix(diags_array(LIBRARY_SIZE / totals) @ counts)


def choose_genes(
    fit: IsoformFit, estimates: csr_matrix, asked: Sequence[str], most_features: int
) -> ChosenGenes:
    """Choose the genes that vary most between cells, after the genes that are asked for.

    The measure is the variance over cells of log(1 + estimate of the gene). Genes without reads are
    never chosen.

    Parameters
    ----------
    fit
        The fit.
    estimates
        Estimates (reads of 10 000), shape (cells, isoforms).
    asked
        Names of genes that come first.
    most_features
        Number of genes and isoforms that a page has room for; the genes that are asked for may be
        more.

    Raises
    ------
    DataError
        If the fit has no such gene.
    """
    codes = fit.model.gene_codes.cpu().numpy()
    variances = _variances(estimates, codes, len(fit.gene_names))
    wanted = _positions(fit.gene_names, asked)
    others = np.setdiff1d(np.flatnonzero(variances > 0), wanted)
    order = np.concatenate([wanted, others[np.argsort(-variances[others], kind="stable")]])
    means = np.asarray(estimates.mean(0)).ravel()
    by_gene = np.lexsort((-means, codes))
    starts = np.searchsorted(codes[by_gene], np.arange(len(fit.gene_names) + 1))
    sizes = 1 + np.minimum(np.diff(starts), MOST_ISOFORMS)[order]
    number = max(len(wanted), int(np.searchsorted(np.cumsum(sizes), most_features, side="right")))
    chosen = order[:number]
    isoforms = [by_gene[starts[own] : starts[own + 1]][:MOST_ISOFORMS] for own in chosen]
    silent = np.setdiff1d(np.arange(len(fit.gene_names)), order)
    return ChosenGenes(chosen, isoforms, np.concatenate([order[number:], silent]))


def _positions(known: Sequence[str], asked: Sequence[str]) -> np.ndarray:
    """Positions of genes by name, each once."""
    places = {name: place for place, name in enumerate(known)}
    for name in asked:
        if name not in places:
            raise DataError(f"genes: the fit has no gene {name!r}{nearest(name, known)}")
    return np.array([places[name] for name in dict.fromkeys(asked)], int)


def _variances(estimates: csr_matrix, codes: np.ndarray, number: int) -> np.ndarray:
    """Variance over cells of log(1 + estimate) of each gene, shape (genes,)."""
    places = np.arange(len(codes))
    membership = csr_matrix((np.ones(len(codes)), (places, codes)), shape=(len(codes), number))
    logs = (estimates @ membership).log1p()
    return np.asarray(logs.power(2).mean(0) - np.square(logs.mean(0))).ravel().clip(min=0.0)
