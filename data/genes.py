"""Sums over the isoforms of each gene, and values of genes for each isoform."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .compiled_loops import suits_loops

# Fewest values for which compiled loops pay.
FEWEST = 1 << 16


class Genes(NamedTuple):
    """The gene of each isoform.

    Attributes
    ----------
    codes
        Position of the gene of each isoform, shape (isoforms,), int64.
    number
        Number of genes.

    Examples
    --------
    >>> genes = Genes(torch.tensor([0, 1, 0]), 2)
    >>> genes.sums(torch.tensor([1.0, 2.0, 3.0]))
    tensor([4., 2.])
    >>> genes.spread(torch.tensor([4.0, 2.0]))
    tensor([4., 2., 4.])
    """

    codes: Tensor
    number: int

    @property
    def alone(self) -> bool:
        """Whether each isoform is a gene of its own."""
        return self.number == len(self.codes)

    def sums(self, values: Tensor) -> Tensor:
        """Add up values of isoforms, shape (..., isoforms), to shape (..., genes)."""
        if _is_plain(values):
            from .compiled_genes import Sums  # loads numba

            return Sums.apply(values, self.codes, self.number)
        zeros = values.new_zeros(*values.shape[:-1], self.number)
        return zeros.scatter_add(-1, self.codes.expand(values.shape), values)

    def spread(self, values: Tensor) -> Tensor:
        """Repeat values of genes, shape (..., genes), for their isoforms, shape (..., isoforms)."""
        if _is_plain(values):
            from .compiled_genes import Spread  # loads numba

            return Spread.apply(values, self.codes)
        shape = (*values.shape[:-1], len(self.codes))
        return values.gather(-1, self.codes.expand(shape))

    def shares(self, values: Tensor) -> Tensor:
        """Divide positive values of isoforms by the sum over their gene, both (..., isoforms)."""
        return self.sums_and_shares(values)[1]

    def sums_and_shares(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Give :meth:`sums` and :meth:`shares` of positive values, made together."""
        if _is_plain(values):
            from .compiled_genes import SumsAndShares  # loads numba

            return SumsAndShares.apply(values, self.codes, self.number)
        sums = self.sums(values)
        return sums, values / self.spread(sums)


def _is_plain(values: Tensor) -> bool:
    """Whether compiled loops can take the place of torch's functions, and pay."""
    return values.numel() >= FEWEST and values.dtype == torch.float32 and suits_loops(values)


def gene_codes_of(genes: Tensor | int) -> Tensor:
    """Position of the gene of each isoform, shape (isoforms,); a number means distinct genes."""
    return torch.arange(genes) if isinstance(genes, int) else genes
