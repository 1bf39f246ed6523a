"""Exports: what is written of every cell, against what is known of the posterior."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from exvae.data.cells import STATISTICS
from exvae.data.errors import DataError
from exvae.experiments.isoforms import export_writing, exporting, fitting, inference

CELLS, ISOFORMS, BOOTSTRAPS = 30, 6, 5
plain_kinds = pytest.mark.parametrize("kind", ["effective", "scvi"])


def test_export_adds_to_a_copy_of_the_cells(
    exvae, folder: Path, fit_folder, tmp_path: Path, kind: str
) -> None:
    source, out = folder / "cells.h5ad", tmp_path / "out.h5ad"
    result = exvae("isoforms", "export", fit_folder(kind), source, "--out", out, "--json")
    assert result.status == 0, result.err
    before, after = anndata.read_h5ad(source), anndata.read_h5ad(out)
    pd.testing.assert_frame_equal(before.obs, after.obs)
    pd.testing.assert_frame_equal(before.var, after.var)
    assert (before.X != after.X).nnz == 0
    for name in before.layers:
        assert (before.layers[name] != after.layers[name]).nnz == 0
    assert after.obsm["X_exvae"].shape == (CELLS, 10)
    config = json.loads(after.uns["exvae"]["config"])
    assert config["model"]["model"] == {"effective": "effective-reads"}.get(kind, kind)
    scales = ("expression", "expression_normalised")
    layers = {f"{name}{kind}" for name in scales for kind in ("", "_sd", "_log1p")}
    layers |= {f"expression_q{level}" for level in (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)}
    assert set(after.layers) - set(before.layers) == layers == set(result.json["layers"])
    first = after.layers["expression"]
    for name in layers:
        values = after.layers[name]
        assert values.shape == (CELLS, ISOFORMS)
        assert values.dtype == np.float32
        assert values.has_canonical_format
        np.testing.assert_array_equal(values.indices, first.indices)
        np.testing.assert_array_equal(values.indptr, first.indptr)
        assert np.isfinite(values.data).all()
        assert (values.data >= 0).all()
    dense = {name: after.layers[name].toarray() for name in layers}
    quantiles = [dense[f"expression_q{q}"] for q in (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)]
    pairs = zip(quantiles, quantiles[1:], strict=False)
    assert all((low <= high).all() for low, high in pairs)
    assert (np.log1p(dense["expression"]) >= dense["expression_log1p"] - 0.1).all()
    bootstraps = after.layers["infRep1"].toarray()
    assert np.corrcoef(dense["expression"].ravel(), bootstraps.ravel())[0, 1] > 0.9


def test_packed_matrices_are_copied_as_they_are(load: Callable, tmp_path: Path) -> None:
    loaded, source, out = load("scvi"), tmp_path / "cells.h5ad", tmp_path / "out.h5ad"
    cells = anndata.read_h5ad(loaded.source)
    cells.layers["dense"] = np.arange(CELLS * ISOFORMS, dtype=np.int16).reshape(CELLS, ISOFORMS)
    cells.write_h5ad(source, compression="gzip", compression_opts=3)
    exporting.export(loaded.fit, source, out, num_samples=2, part=10 * ISOFORMS)
    before, after = anndata.read_h5ad(source), anndata.read_h5ad(out)
    assert (before.X != after.X).nnz == 0
    assert set(before.layers) < set(after.layers)
    with h5py.File(source) as given, h5py.File(out) as written:
        for place in ("X/data", "X/indices", "layers/infRep2/data"):
            packed = [file[place].id.read_direct_chunk((0,)) for file in (given, written)]
            assert packed[0] == packed[1]
        assert written["layers/dense"].compression_opts == 3
        np.testing.assert_array_equal(written["layers/dense"], given["layers/dense"])
    # Isoforms that are chosen are written anew.
    exporting.export(loaded.fit, source, out, num_samples=2, genes=["gene1"])
    with h5py.File(out) as written:
        assert written["layers/dense"].shape == (CELLS, 2)


def test_an_export_can_be_exported_again(exvae, folder: Path, fit_folder, tmp_path: Path) -> None:
    source, fit = folder / "cells.h5ad", fit_folder("scvi")
    first, again = tmp_path / "first.h5ad", tmp_path / "again.h5ad"
    arguments = ["isoforms", "export", fit]
    assert exvae(*arguments, source, "--out", first, "--quantiles", 0.4, "--seed", 1).status == 0
    assert exvae(*arguments, first, "--out", again, "--quantiles", 0.6, "--seed", 1).status == 0
    layers = anndata.read_h5ad(again).layers
    assert "expression_q0.6" in layers
    assert "expression_q0.4" not in layers
    expected = anndata.read_h5ad(first).layers["expression_sd"]
    np.testing.assert_array_equal(layers["expression_sd"].toarray(), expected.toarray())


def test_an_export_that_fails_leaves_nothing(
    folder: Path, fit_folder, tmp_path: Path, monkeypatch
) -> None:
    def fail(*_: object, **options: object) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(export_writing, "compact_layers", fail)
    fit = fitting.load(fit_folder("scvi"), "cpu")
    with pytest.raises(RuntimeError, match="in the middle"):
        exporting.export(fit, folder / "cells.h5ad", tmp_path / "out.h5ad")
    assert list(tmp_path.iterdir()) == []


def test_statistics_alone_are_fitted_and_exported(exvae, simulate, tmp_path: Path) -> None:
    cells, _ = simulate()
    draws = np.stack([cells.layers[f"infRep{b + 1}"].toarray() for b in range(BOOTSTRAPS)])
    positives = (draws > 0).sum(0)
    mean = draws.sum(0) / np.maximum(positives, 1)
    squares = (np.where(draws > 0, draws - mean, 0.0) ** 2).sum(0)
    for name in list(cells.layers):
        del cells.layers[name]
    for name, values in zip(STATISTICS, (mean, BOOTSTRAPS - positives, squares), strict=True):
        cells.layers[name] = values.astype(np.float32)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    fit, source = tmp_path / "fit", tmp_path / "cells.h5ad"
    done = exvae("isoforms", "fit", source, "--out", fit, "--epochs", 2)
    assert done.status == 0
    # How isoforms scatter together is in no statistic, so that each is a gene of its own.
    assert "no two bootstraps are kept" in done.err
    assert (fit / "genes.txt").read_text() == (fit / "isoforms.txt").read_text()
    out = tmp_path / "out.h5ad"
    assert exvae("isoforms", "export", fit, source, "--out", out, "--samples", 1).status == 0
    assert "expression_q0.9" in anndata.read_h5ad(tmp_path / "out.h5ad").layers


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # of scanpy and of what it loads
def test_scanpy_works_on_an_export(exvae, folder: Path, fit_folder, tmp_path: Path) -> None:
    scanpy = pytest.importorskip("scanpy")
    out = tmp_path / "out.h5ad"
    assert (
        exvae("isoforms", "export", fit_folder("scvi"), folder / "cells.h5ad", "--out", out).status
        == 0
    )
    cells = scanpy.read_h5ad(out)
    scanpy.pp.neighbors(cells, use_rep="X_exvae", n_neighbors=5)
    scanpy.tl.umap(cells)
    assert cells.obsm["X_umap"].shape == (CELLS, 2)
    layer = "expression_normalised_log1p"
    scanpy.tl.rank_genes_groups(cells, "cell_type", layer=layer, use_raw=False)
    assert cells.uns["rank_genes_groups"]["names"].shape == (ISOFORMS,)
    scanpy.pl.umap(cells, color=["cell_type", "iso0"], layer="expression", show=False)
    joined = anndata.concat({"one": cells, "two": cells}, index_unique="-")
    assert joined.layers[layer].nnz == 2 * cells.layers[layer].nnz
    cells.write_h5ad(tmp_path / "again.h5ad")
    again = anndata.read_h5ad(tmp_path / "again.h5ad").layers[layer]
    np.testing.assert_array_equal(again.toarray(), cells.layers[layer].toarray())


# Against what is known of the posterior


def moments(name: str, draws: np.ndarray) -> dict[str, np.ndarray]:
    """Give three layers of draws, shape (draws, cells, isoforms)."""
    logs = np.log1p(draws).mean(0)
    return {name: draws.mean(0), f"{name}_sd": draws.std(0, ddof=1), f"{name}_log1p": logs}


@plain_kinds
@pytest.mark.parametrize(("part", "block"), [(10**6, 10**6), (8 * ISOFORMS, 3 * ISOFORMS)])
def test_layers_are_moments_and_quantiles_of_the_draws(
    load: Callable, tmp_path: Path, kind: str, part: int, block: int
) -> None:
    """The same in parts and blocks of which the last are not full."""
    loaded, out, levels = (
        load(kind).with_known_expression(),
        tmp_path / "out.h5ad",
        (0.9, 0.05, 0.5),
    )
    exporting.export(
        loaded.fit, loaded.source, out, quantiles=levels, num_samples=2, part=part, block=block
    )
    # Two draws of the latent variables for all cells, or for each block of at most three.
    assert loaded.drawn == ([CELLS] * 2 if part > 1000 else [3] * 20)
    written = anndata.read_h5ad(out)
    draws = np.concatenate([loaded.known_draws()] * 2)
    normalised = draws * (1e4 / draws.sum(-1, keepdims=True))
    expected = {
        **moments("expression", draws),
        **moments("expression_normalised", normalised),
        **{f"expression_q{q}": np.quantile(draws, q, axis=0) for q in levels},
    }
    assert expected.keys() == {name for name in written.layers if name.startswith("expression")}
    kept = np.mean(draws > 1, 0) >= 0.05
    assert kept.all()
    for name, values in expected.items():
        sd = expected["expression_normalised_sd" if "normal" in name else "expression_sd"]
        # Quantiles of so few draws are the least certain.
        error = sd / np.sqrt(len(draws)) * (2.2 if "_q" in name else 1.0)
        difference = np.abs(written.layers[name].toarray() - values)
        assert (difference <= np.maximum(error, 1 / 8) + 2e-3 * values).all(), name
    positions = np.arange(CELLS)
    states = inference.mean_states(loaded.guide, loaded.tensors, positions)
    np.testing.assert_allclose(written.obsm["X_exvae"], states, rtol=1e-4, atol=1e-5)


@plain_kinds
def test_an_export_in_parts_is_that_of_all_cells(load: Callable, tmp_path: Path, kind: str) -> None:
    """The size of the parts that are read changes nothing."""
    loaded, found = load(kind).with_batches(), []
    for number, size in enumerate((10**6, 7 * ISOFORMS, 1)):
        out = tmp_path / f"{number}.h5ad"
        exporting.export(loaded.fit, loaded.source, out, part=size, block=4 * ISOFORMS)
        found.append(anndata.read_h5ad(out))
    for other in found[1:]:
        assert_same_cells(other, found[0])


def assert_same_cells(one: anndata.AnnData, other: anndata.AnnData) -> None:
    """Compare names, estimates, states and all layers."""
    assert one.obs_names.equals(other.obs_names)
    assert one.var_names.equals(other.var_names)
    assert (one.X != other.X).nnz == 0
    np.testing.assert_allclose(one.obsm["X_exvae"], other.obsm["X_exvae"], rtol=1e-4, atol=1e-5)
    assert set(one.layers) == set(other.layers)
    for name in one.layers:
        assert (one.layers[name] != other.layers[name]).nnz == 0, name


@plain_kinds
def test_cells_with_more_isoforms_in_another_order(
    simulate, load: Callable, tmp_path: Path, kind: str
) -> None:
    loaded = load(kind)
    cells, _ = simulate()
    more = cells[:, [3, 0]].copy()
    more.var_names = ["new1", "new2"]
    both = anndata.concat([more, cells[:, ::-1]], axis=1, merge="first")
    both.write_h5ad(tmp_path / "more.h5ad")
    for name, source in (("own", loaded.source), ("other", tmp_path / "more.h5ad")):
        exporting.export(loaded.fit, source, tmp_path / f"{name}_out.h5ad", num_samples=2)
    own, other = (anndata.read_h5ad(tmp_path / f"{name}_out.h5ad") for name in ("own", "other"))
    assert_same_cells(other, own)
    assert other.var["gene"].tolist() == own.var["gene"].tolist()


@plain_kinds
def test_cells_of_one_batch_are_read_as_in_the_fit(
    load: Callable, tmp_path: Path, kind: str
) -> None:
    """A file of the second batch alone: its code is the fit's, and not the first."""
    loaded = load(kind).with_known_expression()
    cells = anndata.read_h5ad(loaded.source)
    chosen = (cells.obs["donor"] == "bea").to_numpy()
    assert loaded.cells.batches[chosen].all()
    cells[chosen].copy().write_h5ad(tmp_path / "some.h5ad")
    out = tmp_path / "out.h5ad"
    exporting.export(loaded.fit, tmp_path / "some.h5ad", out, num_samples=1)
    written = anndata.read_h5ad(out)
    expected = loaded.known_draws()[:, chosen].mean(0)
    # The draws of each cell have a standard deviation of half their mean.
    np.testing.assert_allclose(written.layers["expression"].toarray(), expected, rtol=0.2, atol=0.1)
    states = inference.mean_states(loaded.guide, loaded.tensors, np.flatnonzero(chosen))
    np.testing.assert_allclose(written.obsm["X_exvae"], states, rtol=1e-4, atol=1e-5)


def test_the_seed_is_that_of_all_draws(load: Callable, tmp_path: Path) -> None:
    loaded, layers = load("effective"), []
    for number, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{number}.h5ad"
        exporting.export(loaded.fit, loaded.source, out, seed=seed, num_samples=3, draws=3)
        written = anndata.read_h5ad(out)
        assert (written.uns["exvae"]["seed"], written.uns["exvae"]["num_samples"]) == (seed, 3)
        names = ("expression", "infRep1")
        layers.append(np.concatenate([written.layers[name].toarray() for name in names]))
    assert np.array_equal(layers[0], layers[1])
    assert (layers[0] != layers[2]).mean() > 0.5


def test_the_last_cell_is_checked_before_anything_is_written(
    load: Callable, tmp_path: Path
) -> None:
    loaded = load("effective").with_known_expression()
    cells = anndata.read_h5ad(loaded.source)
    cells.layers["infRep2"][CELLS - 1, 0] = np.nan
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(DataError, match="cell29"):
        exporting.export(
            loaded.fit, tmp_path / "cells.h5ad", tmp_path / "out.h5ad", part=4 * ISOFORMS
        )
    assert loaded.drawn == []
