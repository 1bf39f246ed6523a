"""Sums over genes and back."""

from __future__ import annotations

import torch

from exvae.data.genes import Genes

GENES = Genes(torch.tensor([1, 0, 1, 1]), 2)


def test_sums_are_products_with_the_indicator() -> None:
    values = torch.rand(3, 5, 4)
    indicator = torch.eye(2)[GENES.codes]
    torch.testing.assert_close(GENES.sums(values), values @ indicator)
    torch.testing.assert_close(
        GENES.sums(values[:1].expand(3, -1, -1)), values[[0, 0, 0]] @ indicator
    )


def test_values_of_genes_go_to_their_isoforms() -> None:
    values = torch.rand(3, 2)
    torch.testing.assert_close(GENES.spread(values), values[:, [1, 0, 1, 1]])
    torch.testing.assert_close(GENES.spread(values[0]), values[0, [1, 0, 1, 1]])


def test_shares_sum_to_one_in_each_gene() -> None:
    shares = GENES.shares(torch.rand(3, 4) + 0.1)
    torch.testing.assert_close(GENES.sums(shares), torch.ones(3, 2))
