"""Names in an AnnData, and what is told of names that are not in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from exvae.data.errors import DataError
from exvae.data.h5ad.reading import DRAWS
from exvae.experiments import pl
from exvae.experiments.pl.choosing import (
    bootstrap_layers,
    column_of,
    dense_layer,
    expression_of,
    groups_of,
    interval_layers,
    isoforms_of,
    widest_interval,
)


def test_isoforms_are_found_by_gene_gene_name_and_isoform(adata: AnnData) -> None:
    adata.var["gene_name"] = pd.Categorical(adata.var["gene"].str.upper())
    for name in ("gene2", "GENE2"):
        assert isoforms_of(adata.var, name).tolist() == [6, 7, 8]
    assert isoforms_of(adata.var, "isoform7").tolist() == [7]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Gene22", "adata: has no gene or isoform 'Gene22'; the nearest: gene2"),
        ("soform23", "has no gene or isoform 'soform23'; the nearest: isoform23"),
        ("zzz", "has no gene or isoform 'zzz'$"),
    ],
)
def test_a_missing_gene_is_named_with_the_nearest(adata: AnnData, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        isoforms_of(adata.var, name)


def test_a_missing_column_is_named_with_the_nearest(adata: AnnData) -> None:
    with pytest.raises(DataError, match="obs has no column 'celltype'; the nearest: cell_type"):
        column_of(adata.obs, "celltype")


def test_groups_are_in_the_order_of_their_numbers_or_categories() -> None:
    obs = pd.DataFrame({"a": ["c10", "c2", "c1"], "b": pd.Categorical(list("xyx"), list("zyx"))})
    assert groups_of(obs, "a").cat.categories.tolist() == ["c1", "c2", "c10"]
    assert groups_of(obs, "b").cat.categories.tolist() == ["y", "x"]
    assert groups_of(obs, None).tolist() == ["all cells"] * 3


def test_cells_without_a_group_are_a_group_of_their_own() -> None:
    obs = pd.DataFrame({"type": ["b", None, "a", ""]})
    assert groups_of(obs, "type").tolist() == ["b", "no type", "a", "no type"]


def test_layers_may_be_sparse(adata: AnnData) -> None:
    dense = dense_layer(adata, "expression", np.array([3, 1]))
    adata.layers["expression"] = csr_matrix(adata.layers["expression"])
    np.testing.assert_array_equal(dense_layer(adata, "expression", np.array([3, 1])), dense)


def test_a_missing_layer_is_named_with_the_nearest(adata: AnnData) -> None:
    with pytest.raises(DataError, match="no layer 'expresion'; the nearest: expression"):
        dense_layer(adata, "expresion")


def test_the_result_of_get_expression_has_its_means_in_x(adata: AnnData) -> None:
    layers = {name: adata.layers[f"expression{name[10:]}"] for name in ["expression_sd"]}
    layers["expression_log1p"] = np.log1p(adata.layers["expression"])
    found = AnnData(adata.layers["expression"], var=adata.var, layers=layers)
    np.testing.assert_array_equal(dense_layer(found, "expression"), adata.layers["expression"])


def test_quantiles_that_are_missing_are_named(adata: AnnData) -> None:
    with pytest.raises(
        DataError, match=r"no layer 'expression_q0.1'; .* \(0.025, 0.25, 0.75, 0.975"
    ):
        interval_layers(adata.layers, "expression", (0.1, 0.9))
    assert widest_interval(list(adata.layers), "expression", "adata") == (0.025, 0.975)
    with pytest.raises(DataError, match="both sides"):
        widest_interval(["expression_q0.1", "expression_normalised_q0.9"], "expression", "adata")


def test_the_most_expressed_isoforms_come_first(adata: AnnData) -> None:
    found = expression_of(adata, "gene1", "expression", (0.25, 0.75), 2)
    own = adata[:, adata.var["gene"] == "gene1"]
    means = pd.Series(own.layers["expression"].mean(0), own.var_names).sort_values(ascending=False)
    assert found.isoforms == means.index[:2].tolist()
    assert found.left_out == 1
    np.testing.assert_array_equal(found.total, own.layers["expression"].sum(1))
    for end, level in zip(found.ends, (0.25, 0.75), strict=True):
        layer = adata[:, found.isoforms].layers[f"expression_q{level}"]
        np.testing.assert_array_equal(end, layer)
    with pytest.raises(ValueError, match="max_isoforms is 0"):
        expression_of(adata, "gene1", "expression", max_isoforms=0)


def test_posterior_draws_are_no_bootstraps(adata: AnnData) -> None:
    adata.layers["infRep1"] = adata.layers["expression"]
    assert "infRep1" in bootstrap_layers(adata)
    adata.uns["exvae"] = {"inferential_replicates": DRAWS}
    assert bootstrap_layers(adata) == []


def test_layers_without_quantiles_are_told(adata: AnnData) -> None:
    adata.layers["expression_normalised"] = adata.layers["expression"]
    told = (
        r"adata: has no quantiles of expression_normalised \(layer 'expression_normalised_q0.025'\)"
        r".*pl.gene draws expression_normalised without them \(interval=None\)"
    )
    for draw in (pl.gene, pl.intervals):
        with pytest.raises(DataError, match=told):
            draw(adata, "gene0", layer="expression_normalised")
    assert pl.gene(adata, "gene0", layer="expression_normalised", interval=None).axes
    for interval in ((0.3,), 0.95, None):
        with pytest.raises(ValueError, match="give the probabilities of its two ends"):
            pl.intervals(adata, "gene0", interval=interval)
