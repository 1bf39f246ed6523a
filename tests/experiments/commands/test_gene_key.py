"""Genes in a column of another name: named at the fit, and kept for all later commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import exvae as package
from exvae.data.errors import DataError

from ...small_data import draw_cells

SYMBOLS = [f"SYM{number // 6}" for number in range(24)]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write cells whose ``gene`` is not the column to take."""
    made = draw_cells()
    made.var["symbol"] = SYMBOLS
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    made.write_h5ad(path)
    return path


def test_a_fit_keeps_the_column_for_later_commands(
    exvae: Callable, cells: Path, tmp_path: Path
) -> None:
    fit, out = tmp_path / "fit", tmp_path / "out.h5ad"
    options = ["--epochs", 1, "--device", "cpu", "--gene-key", "symbol"]
    done = exvae("isoforms", "fit", cells, "--out", fit, *options)
    assert done.status == 0, done.err
    assert exvae("isoforms", "evaluate", fit, cells, "--device", "cpu").status == 0
    exported = exvae("isoforms", "export", fit, cells, "--out", out, "--json")
    assert exported.status == 0, exported.err
    assert anndata.read_h5ad(out).var["gene"].tolist() == SYMBOLS
    of_genes = tmp_path / "genes.h5ad"
    assert exvae("isoforms", "export", fit, out, "--out", of_genes, "--level", "gene").status == 0
    assert anndata.read_h5ad(of_genes).var_names.tolist() == sorted(set(SYMBOLS))
    compared = ["--groupby", "cell_type", "--out", tmp_path / "table.csv"]
    for command in ("usage", "de"):
        assert exvae("isoforms", command, fit, cells, *compared).status == 0
        assert set(pd.read_csv(tmp_path / "table.csv")["gene"]) <= set(SYMBOLS)
    report = exvae("report", fit, cells, "--out", tmp_path / "r.html", "--replicates", 0, "--json")
    assert report.json["genes"] == 4
    resumed = exvae("isoforms", "fit", cells, "--out", fit, *options[:4], "--resume")
    assert resumed.status == 2
    assert "was begun with gene_key symbol, not None" in resumed.err


def test_a_column_that_is_not_there(exvae: Callable, cells: Path, tmp_path: Path) -> None:
    done = exvae("isoforms", "fit", cells, "--out", tmp_path / "fit", "--gene-key", "name")
    assert done.status == 2
    assert done.err.splitlines() == [
        f"exvae: {cells}: var has no column 'name', which gene_key names; choose one of gene, "
        "symbol, or rename one"
    ]
    assert not (tmp_path / "fit").exists()


def test_the_column_in_notebooks(cells: Path, tmp_path: Path) -> None:
    adata = anndata.read_h5ad(cells)
    model = package.IsoformModel(adata, gene_key="symbol").train(1, progress=False)
    assert model.features()["gene"].tolist() == SYMBOLS
    model.save(tmp_path / "fit")
    again = package.load(tmp_path / "fit", adata)
    assert set(again.differential_usage("cell_type")["gene"]) <= set(SYMBOLS)
    other = adata[:, ::-1].copy()
    again.annotate(other)
    assert other.var["gene"].tolist() == SYMBOLS[::-1]
    with pytest.raises(DataError, match="adata: var has no column 'symbol'"):
        again.evaluate(draw_cells())
    data, module, _ = package.prepare(adata, gene_key="symbol", device="cpu")
    assert module.genes.number == 4
    assert len(data.batch(np.arange(3)).indices) == 3
