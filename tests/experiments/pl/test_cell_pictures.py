"""Pictures of all cells: embeddings, and densities that count every entry."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from matplotlib.collections import QuadMesh
from scipy.sparse import csr_matrix

import exvae
from exvae.data.errors import DataError
from exvae.experiments.drawing.densities import LEAST_EXPRESSION
from exvae.experiments.drawing.embeddings import principal_components
from exvae.experiments.drawing.style import new_figure


def test_states_are_principal_components_and_say_so(adata: AnnData) -> None:
    (axis,) = exvae.pl.states(adata).axes
    places = axis.collections[0].get_offsets()
    np.testing.assert_allclose(places, principal_components(adata.obsm["X_exvae"])[0])
    assert axis.get_xlabel().startswith("principal component 1 of X_exvae (")
    adata.obsm["X_umap"] = np.arange(48.0).reshape(24, 2)
    for basis in ("umap", "X_umap"):
        (axis,) = exvae.pl.states(adata, basis=basis).axes
        np.testing.assert_array_equal(axis.collections[0].get_offsets(), adata.obsm["X_umap"])
        assert axis.get_ylabel() == "umap 2"


def test_states_are_coloured_by_groups_or_numbers(adata: AnnData) -> None:
    axis = exvae.pl.states(adata, "batch").axes[0]
    assert [own.get_label() for own in axis.collections] == ["batch0", "batch1"]
    adata.obs["depth"] = np.arange(24)
    figure = exvae.pl.states(adata, "depth")
    assert figure.axes[1].get_ylabel() == "depth"
    assert sorted(figure.axes[0].collections[1].get_array()) == list(range(24))
    _, ((left, right),) = new_figure(1, 2)
    assert exvae.pl.states(adata, "batch", ax=left) is left
    assert not right.has_data()


def test_missing_embeddings_are_named(adata: AnnData) -> None:
    with pytest.raises(DataError, match=r"no obsm\['X_exva'\]; the nearest: X_exvae"):
        exvae.pl.states(adata, basis="X_exva")
    with pytest.raises(DataError, match="no obsm"):
        exvae.pl.uncertainty(adata, "gene0", basis="X_tsne")
    del adata.obsm["X_exvae"]
    with pytest.raises(DataError, match="annotate adds it"):
        exvae.pl.states(adata)


def mesh(axis) -> np.ndarray:
    """Give the counts that are drawn."""
    (found,) = (own for own in axis.collections if isinstance(own, QuadMesh))
    return found.get_array().filled(0)


def test_densities_count_every_entry(adata: AnnData) -> None:
    left, right = exvae.pl.uncertainty(adata).axes[:2]
    assert mesh(left).sum() == (adata.layers["expression"] >= LEAST_EXPRESSION).sum()
    bootstraps = np.stack([adata.layers[f"infRep{n + 1}"].toarray() for n in range(4)])
    assert mesh(right).sum() == (bootstraps.std(0) > 0).sum()


@pytest.mark.parametrize("summarised", [False, True])
def test_densities_are_of_the_relative_standard_deviation(adata: AnnData, summarised: bool) -> None:
    adata = adata[:, :1].copy()
    adata.layers["expression"][:], adata.layers["expression_sd"][:] = 20.0, 5.0
    adata.obs["n_bootstraps"] = 4
    for number, value in enumerate((1.0, 3.0, 0.0, 4.0), start=1):
        adata.layers[f"infRep{number}"] = csr_matrix(np.full(adata.shape, value))
    if summarised:
        positive = np.array([1.0, 3.0, 4.0])
        squares = ((positive - positive.mean()) ** 2).sum()
        values = {"mean": positive.mean(), "zeros": 1.0, "ss": squares}
        for name, value in values.items():
            adata.layers[f"bootstrap_{name}"] = np.full(adata.shape, value)
        del adata.layers["infRep4"]
    axes = exvae.pl.uncertainty(adata).axes[:2]
    known = (20.0, 5.0), (2.0, np.std([1, 3, 0, 4], ddof=1))
    for axis, (mean, sd) in zip(axes, known, strict=True):
        (image,) = (own for own in axis.collections if isinstance(own, QuadMesh))
        y, x = np.argwhere(mesh(axis))[0]
        corners = image.get_coordinates()[y : y + 2, x : x + 2].reshape(4, 2)
        assert corners[0, 0] <= mean <= corners[3, 0]
        assert corners[0, 1] <= sd / mean <= corners[3, 1]
        assert mesh(axis).sum() == 24


def test_bootstraps_are_left_out_where_there_are_none(adata: AnnData) -> None:
    for name in [name for name in adata.layers if name.startswith("infRep")]:
        del adata.layers[name]
    titles = [axis.get_title() for axis in exvae.pl.uncertainty(adata).axes]
    assert titles == ["posterior of expression", ""]


@pytest.mark.parametrize(("isoforms", "pairs"), [(3, 1), (5, 2), (13, 3)])
def test_many_isoforms_are_laid_out_in_a_grid(adata: AnnData, isoforms: int, pairs: int) -> None:
    adata.var["gene"] = ["many"] * isoforms + ["other"] * (adata.n_vars - isoforms)
    figure = exvae.pl.uncertainty(adata, "many")
    assert figure.get_figheight() < 1000 / 72  # inches of 1000 pixels in a notebook
    axes = [axis for axis in figure.axes if axis.get_title()]
    assert sorted({axis.get_title() for axis in axes}) == sorted(adata.var_names[:isoforms])
    rows = -(-isoforms // pairs)
    specs = [axis.get_subplotspec() for axis in axes]
    assert {spec.get_gridspec().get_geometry() for spec in specs} == {(rows, 2 * pairs)}
    # The lowest of each column has the label of its axis.
    labelled = [axis for axis in axes if axis.get_xlabel()]
    columns = [axis.get_subplotspec().colspan.start for axis in labelled]
    assert sorted(columns) == list(range(2 * pairs))


def test_a_gene_is_coloured_by_mean_and_uncertainty(adata: AnnData) -> None:
    figure = exvae.pl.uncertainty(adata, "gene0", max_isoforms=2)
    assert "2 isoforms most expressed, 1 more left out" in figure.get_suptitle()
    axes = [axis for axis in figure.axes if axis.get_title()]
    assert len(axes) == 4
    for mean, spread in zip(axes[::2], axes[1::2], strict=True):
        own = adata[:, mean.get_title()]
        expression = own.layers["expression"][:, 0]
        np.testing.assert_array_equal(mean.collections[1].get_array(), np.sort(expression))
        relative = np.sort(own.layers["expression_sd"][:, 0] / expression)
        np.testing.assert_allclose(spread.collections[1].get_array(), relative)
    assert axes[2].get_xlabel().startswith("principal component 1 of X_exvae")
    adata.obsm["X_umap"] = np.arange(48.0).reshape(24, 2)
    umap = exvae.pl.uncertainty(adata, "isoform0")
    assert umap.axes[0].get_xlabel() == "umap 1"
