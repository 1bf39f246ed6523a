"""Options of an export: levels, units, batches, draws, chosen genes and other formats."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse

from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.experiments.isoform_model import IsoformModel
from exvae.experiments.isoforms import exporting

CELLS, ISOFORMS = 30, 6


@pytest.fixture(scope="module")
def model(folder: Path, fit_folder: Callable[[str], Path]) -> IsoformModel:
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    cells.var["effective_length"] = np.linspace(300.0, 2000.0, ISOFORMS)
    cells.var["gene_name"] = [f"NAME{g // 2}" for g in range(ISOFORMS)]
    return IsoformModel.load(fit_folder("effective"), cells, device="cpu")


@pytest.fixture
def export(model: IsoformModel, tmp_path: Path) -> Callable[..., anndata.AnnData]:
    """Export in Python and read the result."""

    def run(adata: anndata.AnnData | None = None, **options: object) -> anndata.AnnData:
        model.export(tmp_path / "out.h5ad", adata, **options)
        return anndata.read_h5ad(tmp_path / "out.h5ad")

    return run


def assert_rounded(written: anndata.AnnData, name: str, expected: anndata.AnnData) -> None:
    """Compare a layer with what get_expression gives from the same draws."""
    values = written.layers[name].toarray()
    error = np.maximum(expected.layers["expression_sd"] / 20, 1 / 8)
    assert (np.abs(values - expected.X) <= error)[values > 0].all()
    assert (expected.X[values == 0] < 1).all()


def test_the_command_and_python_write_the_same(
    exvae, model: IsoformModel, folder: Path, fit_folder, tmp_path: Path
) -> None:
    options = ["--seed", 3, "--samples", 2, "--library-size", 500, "--quantiles", 0.1, 0.9]
    source = folder / "cells.h5ad"
    done = exvae(
        *["isoforms", "export", fit_folder("effective"), source, "--out", tmp_path / "one.h5ad"],
        *options,
    )
    assert done.status == 0, done.err
    chosen = {"seed": 3, "num_samples": 2, "library_size": 500.0, "quantiles": [0.1, 0.9]}
    model.export(tmp_path / "two.h5ad", **chosen)
    noted = anndata.read_h5ad(source)[:, ::-1].copy()
    model.annotate(noted, **chosen)
    one, two = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("one", "two"))
    layers = [name for name in one.layers if name.startswith("expression")]
    assert len(layers) == 8
    for other in (two, noted[:, one.var_names]):
        np.testing.assert_array_equal(other.obsm["X_exvae"], one.obsm["X_exvae"])
        assert other.uns["exvae"] == one.uns["exvae"]
        for name in layers:
            assert (other.layers[name] != one.layers[name]).nnz == 0, name


def test_genes_are_sums_of_the_same_draws(model: IsoformModel, export) -> None:
    written = export(level="gene", seed=2)
    own = model._adata
    assert written.var_names.tolist() == ["gene0", "gene1", "gene2"]
    assert written.var["n_isoforms"].tolist() == [2, 2, 2]
    assert written.var["gene_name"].tolist() == ["NAME0", "NAME1", "NAME2"]
    for name in ("infRep1", None):
        found = (written.layers[name] if name else written.X).toarray()
        isoforms = (own.layers[name] if name else own.X).toarray()
        np.testing.assert_allclose(found, isoforms.reshape(CELLS, 3, 2).sum(-1), rtol=1e-6)
    expected = model.get_expression(level="gene", seed=2, return_sd=True)
    assert_rounded(written, "expression", expected)
    normalised = model.get_expression(level="gene", seed=2, return_sd=True, library_size=1e4)
    assert_rounded(written, "expression_normalised", normalised)


@pytest.mark.parametrize("library_size", ["tpm", 300.0])
def test_normalised_expression_has_the_library_size(
    model: IsoformModel, export, library_size: str | float
) -> None:
    written = export(library_size=library_size, seed=1)
    expected = model.get_expression(library_size=library_size, seed=1, return_sd=True)
    assert_rounded(written, "expression_normalised", expected)
    sums = written.layers["expression_normalised"].sum(1)
    np.testing.assert_allclose(sums, 1e6 if library_size == "tpm" else 300.0, rtol=0.02)
    assert written.uns["exvae"]["library_size"] == str(library_size)


def test_draws_take_the_place_of_bootstraps(
    model: IsoformModel, export: Callable, tmp_path: Path
) -> None:
    written = export(draws=40, seed=1)
    replicates = [name for name in written.layers if name.startswith("infRep")]
    assert replicates == sorted(f"infRep{number + 1}" for number in range(40))
    drawn = np.stack([written.layers[name].toarray() for name in replicates])
    assert not np.array_equal(drawn[0], drawn[1])
    sd = written.layers["expression_sd"].toarray()
    mean = written.layers["expression"].toarray()
    scores = (drawn.mean(0) - mean) / (sd / np.sqrt(40))
    assert np.abs(scores).max() < 5
    np.testing.assert_allclose((drawn.std(0) / sd).mean(), 1.0, atol=0.1)
    assert written.uns["exvae"]["inferential_replicates"] == "posterior draws"
    with pytest.raises(DataError, match="draws from the posterior of a fit"):
        read_cells(tmp_path / "out.h5ad")


def test_bootstraps_and_their_statistics_can_be_left_out(model: IsoformModel, export) -> None:
    cells = model._adata.copy()
    summary = read_cells(cells).summary
    statistics = {
        "bootstrap_mean": summary.matrix("mean", ISOFORMS).toarray(),
        "bootstrap_zeros": 5 - summary.matrix("positives", ISOFORMS).toarray(),
        "bootstrap_ss": summary.matrix("sum_of_squares", ISOFORMS).toarray(),
    }
    for name, values in statistics.items():
        cells.layers[name] = values.astype(np.float32)
    assert set(statistics) <= set(export(cells).layers)
    assert not set(statistics) & set(export(cells, level="gene").layers)
    written = export(cells, bootstraps=False)
    assert all(name.startswith("expression") for name in written.layers)
    assert written.uns["exvae"]["inferential_replicates"] == "none"


@pytest.mark.parametrize("names", ["gene2 gene0", "NAME0\ngene2\n"])
@pytest.mark.parametrize("level", ["isoform", "gene"])
def test_chosen_genes_are_normalised_by_the_whole_cell(
    exvae, model: IsoformModel, fit_folder, tmp_path: Path, names: str, level: str
) -> None:
    (tmp_path / "genes.txt").write_text(names)
    model._adata.write_h5ad(tmp_path / "cells.h5ad")
    arguments = ["isoforms", "export", fit_folder("effective"), tmp_path / "cells.h5ad"]
    arguments += ["--level", level, "--out"]
    assert exvae(*arguments, tmp_path / "all.h5ad").status == 0
    chosen = exvae(*arguments, tmp_path / "some.h5ad", "--genes", tmp_path / "genes.txt", "--json")
    whole, some = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("all", "some"))
    kept = ["iso0", "iso1", "iso4", "iso5"] if level == "isoform" else ["gene0", "gene2"]
    assert some.var_names.tolist() == kept
    assert chosen.json[f"{level}s"] == len(kept)
    assert (some.X != whole[:, kept].X).nnz == 0
    for name in whole.layers:
        assert (some.layers[name] != whole[:, kept].layers[name]).nnz == 0
    (tmp_path / "genes.txt").write_text("gene0 gene9")
    failed = exvae(*arguments, tmp_path / "none.h5ad", "--genes", tmp_path / "genes.txt")
    assert failed.status == 2
    assert "no gene 'gene9'" in failed.err
    assert not (tmp_path / "none.h5ad").exists()


def test_csv_and_zarr_hold_the_same(exvae, folder: Path, fit_folder, tmp_path: Path) -> None:
    arguments = ["isoforms", "export", fit_folder("effective"), folder / "cells.h5ad", "--out"]
    assert exvae(*arguments, tmp_path / "out.h5ad", "--csv", tmp_path / "r").status == 0
    assert exvae(*arguments, tmp_path / "out.zarr").status == 0
    expected = anndata.read_h5ad(tmp_path / "out.h5ad")
    found = anndata.read_zarr(tmp_path / "out.zarr")
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    pd.testing.assert_frame_equal(found.var, expected.var)
    assert found.uns["exvae"] == expected.uns["exvae"]
    names = {file.stem for file in (tmp_path / "r").glob("*.mtx")}
    assert names == {"X", *expected.layers} == {"X", *found.layers}
    for name in names:
        own = expected.X if name == "X" else expected.layers[name]
        read = scipy.io.mmread(tmp_path / "r" / f"{name}.mtx")
        np.testing.assert_allclose(read.toarray(), own.toarray(), rtol=1e-6)
        assert ((found.X if name == "X" else found.layers[name]) != own).nnz == 0
    states = pd.read_csv(tmp_path / "r" / "X_exvae.csv", index_col=0)
    assert states.index.tolist() == expected.obs_names.tolist()
    np.testing.assert_allclose(states, expected.obsm["X_exvae"], rtol=1e-5)
    assert pd.read_csv(tmp_path / "r" / "obs.csv").shape[0] == CELLS
    assert pd.read_csv(tmp_path / "r" / "var.csv")["gene"].tolist() == expected.var["gene"].tolist()
    before = sorted(tmp_path.iterdir())
    for place in (["out.zarr"], ["other.h5ad", "--csv", tmp_path / "r"]):
        failed = exvae(*arguments, tmp_path / place[0], *place[1:])
        assert failed.status == 2
        assert "exists already" in failed.err
    assert sorted(tmp_path.iterdir()) == before


def test_zarr_that_is_missing_is_named(
    exvae, folder: Path, fit_folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    arguments = ["isoforms", "export", fit_folder("effective"), folder / "cells.h5ad", "--out"]
    failed = exvae(*arguments, tmp_path / "out.zarr")
    assert failed.status == 2
    assert "pip install 'exvae[zarr]'" in failed.err
    assert len(failed.err.splitlines()) == 1


# New cells


def test_an_unknown_batch_is_named_or_averaged(model: IsoformModel, export) -> None:
    new = model._adata.copy()
    new.obs["donor"] = np.where(new.obs["donor"] == "ada", "ada", "cyd")
    with pytest.raises(DataError, match="batch 'cyd' is not in the fit"):
        export(new)
    averaged = export(new, new_batches="average", num_samples=20)
    expected = model.get_expression(
        new, new_batches="average", num_samples=20, return_sd=True, seed=0
    )
    assert_rounded(averaged, "expression", expected)


def test_expression_is_converted_to_a_batch(model: IsoformModel, export) -> None:
    for table in model.module.decoder.batches:
        table.weight.data.normal_(std=0.3)
    there = export(transform_batch="bea", seed=4)
    expected = model.get_expression(transform_batch="bea", seed=4, return_sd=True)
    assert_rounded(there, "expression", expected)
    assert there.uns["exvae"]["transform_batch"] == "bea"
    here = export(seed=4)
    own = (model._adata.obs["donor"] == "bea").to_numpy()
    same = (here.layers["expression"] != there.layers["expression"]).toarray().mean(1)
    assert (same[own] == 0).all()
    assert (same[~own] > 0).all()
    with pytest.raises(DataError, match="transform_batch is 'cyd'"):
        export(transform_batch="cyd")


def test_a_missing_isoform_is_named(model: IsoformModel, export) -> None:
    with pytest.raises(DataError, match="lacks 1 of the 6 isoforms of the fit, among them iso2"):
        export(model._adata[:, [0, 1, 3, 4, 5]].copy())


def test_wrong_options_are_named(model: IsoformModel, tmp_path: Path) -> None:
    out = tmp_path / "out.h5ad"
    for options, named in (({"library_size": -1}, "-1"), ({"genes": []}, "no gene to export")):
        with pytest.raises(DataError, match=named):
            exporting.export(model._trained(), model._adata, out, **options)
    with pytest.raises(ValueError, match="level is 'exon'"):
        exporting.export(model._trained(), model._adata, out, level="exon")
    assert list(tmp_path.iterdir()) == []


def test_cells_of_other_programs_are_exported_in_standard_types(
    export, model: IsoformModel, folder: Path, tmp_path: Path
) -> None:
    """Bootstraps as pytximport stores them, long unsigned indices, and strings with gaps."""
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    cells.obs["note"] = pd.array(["x", None] * (CELLS // 2), dtype="string")
    cells.obsm["other"] = scipy.sparse.csr_matrix(np.eye(CELLS, 3))
    layers = [cells.layers.pop(f"infRep{number}").toarray() for number in range(1, 6)]
    cells.uns["inferential_replicates"] = np.stack(layers, axis=-1)
    del cells.obs["n_bootstraps"]
    path = tmp_path / "foreign.h5ad"
    with anndata.settings.override(allow_write_nullable_strings=True):
        cells.write_h5ad(path)
    with h5py.File(path, "a") as file:
        for place in ("X", "obsm/other"):
            for part in ("indices", "indptr"):
                values = file[place][part][:]
                del file[place][part]
                file[place][part] = values.astype(np.uint64)
    model.export(tmp_path / "out.h5ad", path, num_samples=2)
    found = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert "inferential_replicates" not in found.uns
    for number, own in enumerate(layers, start=1):
        np.testing.assert_array_equal(found.layers[f"infRep{number}"].toarray(), own)
    for matrix in (found.X, found.obsm["other"]):
        assert {matrix.indices.dtype.kind, matrix.indptr.dtype.kind} == {"i"}
        assert (matrix.T @ matrix).shape == (matrix.shape[1],) * 2
    assert found.obs["note"].isna().sum() == CELLS // 2
    expected = export(num_samples=2)
    np.testing.assert_array_equal(
        found.layers["expression"].toarray(), expected.layers["expression"].toarray()
    )
