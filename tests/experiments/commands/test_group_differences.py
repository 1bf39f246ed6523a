"""``exvae isoforms usage`` and ``de`` from simulated cells to the table."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from exvae.data.h5ad.reading import read_cells
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoform_model import IsoformModel
from exvae.experiments.isoforms import fitting
from exvae.experiments.isoforms.read_usage import read_usage_differences
from exvae.experiments.isoforms.settings import IsoformConfig


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Simulate cells whose genes use their isoforms differently, and fit them."""
    from exvae.experiments.commands import simulate_isoforms

    folder = tmp_path_factory.mktemp("usage")
    simulate_isoforms.simulate(
        folder / "cells.h5ad", cells=200, isoforms=300, bootstraps=8, expression="simple", seed=1
    )
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    cells.obs["donor"] = [f"{own}{n % 3}" for n, own in enumerate(cells.obs["cell_type"])]
    cells.obs["alone"] = cells.obs["cell_type"]
    cells.write_h5ad(folder / "cells.h5ad")
    fit_of(folder / "cells.h5ad", folder / "fit")
    return folder


def fit_of(cells: Path, out: Path, model: str = "effective-reads") -> None:
    training = TrainingConfig(1, 64, 5e-3, 0, "cpu", 0)
    fitting.fit(
        read_cells(cells),
        IsoformConfig(model, options={} if model != "reads" else {"members": 0}),
        training,
        out,
        train_fraction=0.9,
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


@pytest.fixture(scope="module")
def of_reads(tmp_path_factory) -> Path:
    """Simulate cells with reads by class, and fit the model of reads to them."""
    from exvae.experiments.commands import simulate_isoforms

    folder = tmp_path_factory.mktemp("reads")
    simulate_isoforms.simulate(
        folder / "cells.h5ad",
        **{"cells": 80, "isoforms": 120, "bootstraps": 4, "expression": "simple"},
        **{"reads": True, "seed": 1, "switching": 0.5},
    )
    fit_of(folder / "cells.h5ad", folder / "fit", "reads")
    return folder


def test_a_model_of_reads_compares_reads(exvae, of_reads: Path, tmp_path: Path) -> None:
    cells = anndata.read_h5ad(of_reads / "cells.h5ad")
    without_bootstraps(cells)  # nothing of them is used
    cells.write_h5ad(tmp_path / "cells.h5ad")
    out = tmp_path / "usage.csv"
    done = exvae(
        *("isoforms", "usage", of_reads / "fit", tmp_path / "cells.h5ad"),
        *("--groupby", "cell_type", "--out", out),
    )
    assert done.status == 0, done.err
    genes = pd.read_csv(out).drop_duplicates("gene").set_index("gene")
    found = genes.index[genes["expected_fdr"] <= 0.05]
    switching = cells.var.groupby("gene", observed=True)["switching"].any()
    assert len(found) >= 4
    assert switching[found].mean() > 0.8
    expected = read_usage_differences(
        read_cells(cells), cells.obs["cell_type"].astype(str).to_numpy(), None
    )
    assert genes["difference"].abs().max() <= expected["difference"].abs().max() + 1e-6
    model = IsoformModel.load(of_reads / "fit")
    table = model.differential_usage("cell_type", adata=cells)
    pd.testing.assert_frame_equal(table, pd.read_csv(out), rtol=1e-4, atol=1e-5)


def test_cells_without_reads_are_one_line(exvae, of_reads: Path, tmp_path: Path) -> None:
    cells = anndata.read_h5ad(of_reads / "cells.h5ad")
    del cells.obsm["reads"], cells.uns["reads"]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    done = exvae(
        *("isoforms", "usage", of_reads / "fit", tmp_path / "cells.h5ad"),
        *("--groupby", "cell_type", "--out", tmp_path / "usage.csv"),
    )
    assert done.status == 2
    assert "holds no reads by class" in done.err
    assert done.err.count("\n") == 1


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


@pytest.mark.parametrize("level", ["isoform", "gene"])
def test_expression_that_differs_is_found(exvae, place: Path, tmp_path: Path, level: str) -> None:
    out, cells = tmp_path / "de.csv", place / "cells.h5ad"
    done = exvae(
        *("isoforms", "de", place / "fit", cells, "--groupby", "cell_type", "--out", out),
        *("--level", level, "--json"),
    )
    assert done.status == 0, done.err
    table = pd.read_csv(out)
    found = table[table["expected_fdr"] <= 0.05]
    assert done.json["changes"] == len(found) > 20
    assert done.json["comparisons"] == len(table)
    assert done.json[f"{level}s_changed"] == found[level].nunique()
    assert table["probability"].is_monotonic_decreasing
    truth = anndata.read_h5ad(cells)
    expected = pd.DataFrame(np.asarray(truth.layers["expected_counts"]), columns=truth.var_names)
    shares = expected.div(expected.sum(axis=1), axis=0).T
    if level == "gene":
        shares = shares.groupby(truth.var["gene"].astype(str)).sum()
    types = truth.obs["cell_type"].astype(str).to_numpy()
    own = [shares.loc[row[level], types == row["group"]].mean() for _, row in found.iterrows()]
    rest = [shares.loc[row[level], types != row["group"]].mean() for _, row in found.iterrows()]
    change = np.log2(np.array(own) / np.array(rest))
    assert (np.sign(change) == np.sign(found["log2_fold_change"])).mean() > 0.97
    assert (np.abs(change) > 0.25).mean() > 0.88


@pytest.mark.parametrize("command", ["usage", "de"])
def test_replicates_and_a_reference(exvae, place: Path, tmp_path: Path, command: str) -> None:
    tables = []
    for number, more in enumerate(((), ("--replicate-key", "donor"))):
        out = tmp_path / f"{number}.csv"
        done = exvae(
            *("isoforms", command, place / "fit", place / "cells.h5ad", "--groupby", "cell_type"),
            *("--reference", "type_1", "--out", out, *more),
        )
        assert done.status == 0, done.err
        tables.append(pd.read_csv(out))
    assert all(set(table["reference"]) == {"type_1"} for table in tables)
    freedom = [table["degrees_of_freedom"].median() for table in tables]
    assert freedom[0] > 1.5 * freedom[1]


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


OF_USAGE_ALONE = (without_genes, with_one_gene_each)


@pytest.mark.parametrize("command", ["usage", "de"])
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (None, ("--groupby", "type"), "obs has no column 'type'; --groupby must be one of"),
        (
            None,
            ("--groupby", "n_bootstraps"),
            "has no two groups of several cells; choose another column",
        ),
        (None, ("--reference", "nobody"), "has no group 'nobody'; --reference must be one of"),
        (None, ("--out", "nowhere/usage.csv"), "its folder does not exist"),
        (None, ("--replicate-key", "no"), "no column 'no'; --replicate-key must be one of"),
        (None, ("--replicate-key", "alone"), "has 1 replicates, but at least 2 are needed"),
        (without_genes, (), "var has no column 'gene'; import the cells with --t2g"),
        (without_bootstraps, (), "at least two bootstraps must be in the file"),
        (with_one_gene_each, (), "no gene has two isoforms"),
        (with_few_bootstraps, (), "has fewer than two bootstraps; quantify it with more"),
    ],
)
def test_bad_input_is_one_line(
    exvae, place: Path, tmp_path: Path, monkeypatch, command: str, change, options, message: str
) -> None:
    if command == "de" and change in OF_USAGE_ALONE:
        return  # isoforms are compared without genes too
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
    done = exvae("isoforms", command, place / "fit", source, *flat)
    assert done.status == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not list(tmp_path.glob("*.csv"))
