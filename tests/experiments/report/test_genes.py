"""Choice of genes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from exvae.data.errors import DataError
from exvae.experiments.report import genes
from exvae.experiments.report.genes import choose_genes, normalised_estimates

# Gene b has two isoforms, c none with reads.
NAMES = ["a", "b", "c", "d"]
CODES = torch.tensor([1, 0, 1, 2, 3])
FIT = SimpleNamespace(gene_names=NAMES, model=SimpleNamespace(gene_codes=CODES))
ESTIMATES = csr_matrix(np.array([[1.0, 5, 9, 0, 0], [2.0, 5, 900, 0, 9], [3.0, 6, 9, 0, 0]]))


def test_genes_that_vary_most_come_first_and_silent_ones_never() -> None:
    chosen = choose_genes(FIT, ESTIMATES, (), 100)
    assert [NAMES[own] for own in chosen.codes] == ["b", "d", "a"]
    assert [own.tolist() for own in chosen.isoforms] == [[2, 0], [4], [1]]
    assert chosen.left_out.tolist() == [2]
    assert chosen.columns.tolist() == [2, 0, 4, 1]


@pytest.mark.parametrize(("most", "names"), [(2, []), (3, ["b"]), (5, ["b", "d"]), (6, ["b", "d"])])
def test_genes_are_as_many_as_there_is_room_for(most: int, names: list[str]) -> None:
    chosen = choose_genes(FIT, ESTIMATES, (), most)
    assert [NAMES[own] for own in chosen.codes] == names
    assert sorted([*chosen.codes, *chosen.left_out]) == [0, 1, 2, 3]


def test_genes_that_are_asked_for_come_first_even_without_room() -> None:
    chosen = choose_genes(FIT, ESTIMATES, ["a", "c", "a"], 2)
    assert [NAMES[own] for own in chosen.codes] == ["a", "c"]


def test_an_unknown_gene_is_an_error_that_names_near_ones() -> None:
    near = SimpleNamespace(gene_names=["Actb", "Gapdh", "x", "y"], model=FIT.model)
    with pytest.raises(DataError, match="no gene 'Actc'; the nearest: Actb"):
        choose_genes(near, ESTIMATES, ["Actc"], 9)


def test_only_the_most_expressed_isoforms_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(genes, "MOST_ISOFORMS", 1)
    chosen = choose_genes(FIT, ESTIMATES, ["b"], 2)
    assert [own.tolist() for own in chosen.isoforms] == [[2]]


def test_estimates_are_normalised_to_ten_thousand_reads() -> None:
    counts = csr_matrix(np.array([[1.0, 3.0], [0.0, 0.0]]))
    found = normalised_estimates(counts).toarray()
    np.testing.assert_allclose(found, [[2500.0, 7500.0], [0.0, 0.0]])
