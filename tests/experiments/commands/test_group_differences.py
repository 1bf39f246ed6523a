"""``exvae isoforms usage`` from simulated cells to the table."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from exvae.data.h5ad.reading import read_cells
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting
from exvae.experiments.isoforms.settings import IsoformConfig


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Simulate cells whose genes use their isoforms differently, and fit them."""
    from exvae.experiments.commands import simulate_isoforms

    folder = tmp_path_factory.mktemp("usage")
    simulate_isoforms.simulate(
        folder / "cells.h5ad", cells=200, isoforms=300, bootstraps=8, expression="simple", seed=1
    )
    fit_of(folder / "cells.h5ad", folder / "fit")
    return folder


def fit_of(cells: Path, out: Path) -> None:
    training = TrainingConfig(1, 64, 5e-3, 0, "cpu", 0)
    fitting.fit(
        read_cells(cells),
        IsoformConfig(),
        training,
        out,
        train_fraction=0.9,
        batch_key=None,
        resume=False,
    )


def test_genes_that_switch_are_found(exvae, place: Path, tmp_path: Path) -> None:
    out = tmp_path / "usage.csv"
    cells = place / "cells.h5ad"
    done = exvae(
        *("isoforms", "usage", place / "fit", cells, "--groupby", "cell_type", "--out", out),
        "--json",
    )
    assert done.status == 0, done.err
    table = pd.read_csv(out)
    assert done.json["genes"] == table["gene"].nunique()
    var = anndata.read_h5ad(cells, backed="r").var
    switching = var.groupby("gene", observed=True)["switching"].any()
    genes = table.drop_duplicates("gene").set_index("gene")
    found = genes.index[genes["expected_fdr"] <= 0.05]
    assert done.json["genes_changed"] == len(found) >= 8
    assert switching[found].mean() > 0.8
    # The best evidence comes first, and all rows of a gene are together.
    assert table["gene_probability"].is_monotonic_decreasing
    assert (table["probability"] <= 1).all()
    assert (table["low"] <= table["difference"]).all()
    assert (table["difference"] <= table["high"]).all()


def test_groups_against_one_and_cells_without_a_group(exvae, place: Path, tmp_path: Path) -> None:
    cells = anndata.read_h5ad(place / "cells.h5ad")
    names = cells.obs["cell_type"].astype(str)
    kept = sorted(set(names))[:2]
    cells.obs["some"] = names.where(names.isin(kept))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    done = exvae(
        *("isoforms", "usage", place / "fit", tmp_path / "cells.h5ad", "--groupby", "some"),
        *("--reference", kept[1], "--out", tmp_path / "usage.csv", "--json"),
    )
    assert done.status == 0, done.err
    assert done.json["groups"] == 2
    table = pd.read_csv(tmp_path / "usage.csv")
    assert set(table["group"]) == {kept[0]}
    assert set(table["reference"]) == {kept[1]}


def without_genes(cells: anndata.AnnData) -> None:
    del cells.var["gene"]


def without_bootstraps(cells: anndata.AnnData) -> None:
    for name in [name for name in cells.layers if name.startswith("infRep")]:
        del cells.layers[name]


def with_one_gene_each(cells: anndata.AnnData) -> None:
    cells.var["gene"] = cells.var_names


def with_few_bootstraps(cells: anndata.AnnData) -> None:
    number = np.full(cells.n_obs, 8)
    number[3] = 1
    cells.obs["n_bootstraps"] = number
    for name in [name for name in cells.layers if name.startswith("infRep")]:
        if name != "infRep1":
            layer = cells.layers[name].tolil()
            layer[3] = 0
            cells.layers[name] = layer.tocsr()
    for name in [name for name in cells.layers if name.startswith("bootstrap_")]:
        del cells.layers[name]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (None, ("--groupby", "type"), "obs has no column 'type'; --groupby must be one of"),
        (None, ("--groupby", "n_bootstraps"), "has no two groups; choose another column"),
        (None, ("--reference", "nobody"), "has no group 'nobody'; --reference must be one of"),
        (None, ("--out", "nowhere/usage.csv"), "its folder does not exist"),
        (without_genes, (), "var has no column 'gene'; import the cells with --t2g"),
        (without_bootstraps, (), "at least two bootstraps must be in the file"),
        (with_one_gene_each, (), "no gene has two isoforms"),
        (with_few_bootstraps, (), "has fewer than two bootstraps; quantify it with more"),
    ],
)
def test_bad_input_is_one_line(
    exvae, place: Path, tmp_path: Path, monkeypatch, change, options, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = place / "cells.h5ad"
    if change:
        cells = anndata.read_h5ad(source)
        change(cells)
        source = tmp_path / "changed.h5ad"
        cells.write_h5ad(source)
    given = {"--groupby": "cell_type", "--out": "usage.csv"}
    given |= dict(zip(options[::2], options[1::2], strict=True))
    flat = [part for pair in given.items() for part in pair]
    done = exvae("isoforms", "usage", place / "fit", source, *flat)
    assert done.status == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not list(tmp_path.glob("*.csv"))
