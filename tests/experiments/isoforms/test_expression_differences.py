"""Log fold changes: against plain means, the bootstrap over cells, and the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from exvae.data.cells import summarise
from exvae.data.errors import DataError
from exvae.experiments.isoforms import gene_blocks
from exvae.experiments.isoforms.expression_differences import expression_differences

from .group_cells import draw_group_cells, groups_of

GENES = np.repeat(np.arange(20), [1, 2, 3, 2] * 5)
RATES = np.random.default_rng(7).gamma(1.0, 20.0, len(GENES)) + 2.0
CHANGED = RATES * np.where(np.arange(len(GENES)) < 6, 4.0, 1.0)
KEYS = ["gene", "isoform", "group"]


def normalised_means(cells, groups: np.ndarray) -> list[np.ndarray]:
    values = np.mean([layer.toarray() for layer in cells.bootstraps], 0)
    values = 1e4 * values / values.sum(1, keepdims=True)
    return [values[groups == name] for name in np.unique(groups)]


def test_changes_are_ratios_of_normalised_means() -> None:
    cells = draw_group_cells(np.stack([RATES, CHANGED]), GENES)
    table = expression_differences(cells, groups_of(cells), None).set_index("isoform")
    other, own = normalised_means(cells, groups_of(cells))
    rows = table.loc[cells.isoforms]
    np.testing.assert_allclose(rows["mean"], own.mean(0), rtol=1e-5)
    np.testing.assert_allclose(rows["reference_mean"], other.mean(0), rtol=1e-5)
    plain = np.log2(own.mean(0) / other.mean(0))
    np.testing.assert_allclose(rows["log2_fold_change"], plain, atol=0.05)
    # A fold change is the one of the gene and the one of the share.
    parts = rows["gene_change"] + rows["share_change"]
    np.testing.assert_allclose(parts, rows["log2_fold_change"], atol=1e-12)
    alone = np.bincount(GENES)[GENES] == 1
    assert (rows["share_error"][alone] == 0).all()
    assert (rows["share_error"][~alone] > 0).all()


def test_errors_are_those_of_resampled_cells() -> None:
    cells = draw_group_cells(np.stack([RATES, CHANGED]), GENES, 80, scatter=0.0)
    table = expression_differences(cells, groups_of(cells), None).set_index("isoform")
    rng = np.random.default_rng(0)
    other, own = normalised_means(cells, groups_of(cells))
    sums = np.eye(20)[GENES]
    changes = []
    for _ in range(400):
        means = [part[rng.integers(len(part), size=len(part))].mean(0) for part in (own, other)]
        isoform, gene = (np.log2(a / b) for a, b in (means, [m @ sums for m in means]))
        changes.append([isoform, gene[GENES], isoform - gene[GENES]])
    spread = np.std(changes, axis=0)
    rows = table.loc[cells.isoforms]
    for number, name in enumerate(("standard_error", "gene_error", "share_error")):
        known = spread[number] > 1e-5  # the shares of genes of one isoform are not
        ratio = rows[name].to_numpy()[known] / spread[number][known]
        assert np.median(ratio) == pytest.approx(1, abs=0.07), name
        assert ((ratio > 0.7) & (ratio < 1.6)).mean() > 0.95, name


@pytest.mark.parametrize("number", [12, 60])
def test_intervals_hold_zero_where_nothing_changes(number: int) -> None:
    held = []
    for seed in range(8):
        cells = draw_group_cells(np.stack([RATES, RATES]) / 5, GENES, number, seed=seed)
        table = expression_differences(cells, groups_of(cells), None)
        held.append((table["low"] <= 0) & (table["high"] >= 0))
    # The errors between bootstraps come on top of the variation between cells.
    assert 0.93 < np.concatenate(held).mean() < 0.995


@pytest.mark.parametrize("level", ["isoform", "gene"])
def test_intervals_hold_the_truth(level: str) -> None:
    held = []
    for seed in range(6):
        cells = draw_group_cells(np.stack([RATES, CHANGED]), GENES, 40, seed=seed)
        table = expression_differences(cells, groups_of(cells), None, level)
        # Varying genes take their reads from the others, so fold changes are of shares.
        rng = np.random.default_rng(1)
        many = rng.gamma(1 / 0.3, 0.3, (4000, 20))[:, GENES]
        means = [
            (rates * many / (rates * many).sum(1, keepdims=True)).mean(0)
            for rates in (CHANGED, RATES)
        ]
        if level == "gene":
            means = [np.bincount(GENES, mean) for mean in means]
        names = cells.isoforms if level == "isoform" else [f"gene{g}" for g in range(20)]
        truth = pd.Series(np.log2(means[0] / means[1]), index=names)[table[level]].to_numpy()
        held.append((table["low"] <= truth) & (table["high"] >= truth))
    assert 0.92 < np.concatenate(held).mean() < 0.995


def test_replicates_are_the_units() -> None:
    """Donors differ, and cells taken for replicates make nothing seem something."""
    outside, of_cells = [], []
    for seed in range(10):
        cells = draw_group_cells(
            np.stack([RATES, RATES]), GENES, 60, seed=seed, replicates=4, variation=0.1
        )
        groups, donors = groups_of(cells), cells.obs["donor"].to_numpy(str)
        for found, units in ((outside, donors), (of_cells, None)):
            table = expression_differences(cells, groups, None, "gene", units)
            found.append((table["low"] > 0) | (table["high"] < 0))
    assert np.concatenate(of_cells).mean() > 0.2
    assert np.concatenate(outside).mean() == pytest.approx(0.05, abs=0.04)


def test_means_of_replicates_weigh_alike() -> None:
    cells = draw_group_cells(np.stack([RATES, RATES]), GENES, 12, replicates=3)
    groups = groups_of(cells)
    donors = np.where((groups == "b") & (np.arange(24) > 13), "d9", cells.obs["donor"])
    table = expression_differences(cells, groups, None, replicates=donors.astype(str))
    units = np.char.add(groups, donors.astype(str))
    values = dict(zip(np.unique(units), normalised_means(cells, units), strict=True))
    own = np.mean([own.mean(0) for name, own in values.items() if name.startswith("b")], 0)
    expected = pd.Series(own, index=cells.isoforms)[table["isoform"]]
    np.testing.assert_allclose(table["mean"], expected, rtol=1e-5)


def test_bootstraps_that_scatter_widen_intervals_of_shares() -> None:
    wide, narrow = (
        expression_differences(cells, groups_of(cells), None)
        for cells in (
            draw_group_cells(np.stack([RATES, RATES]), GENES, scatter=s) for s in (3.0, 0.0)
        )
    )
    several = narrow["share_error"].to_numpy() > 0
    assert np.median(wide["share_error"][several] / narrow["share_error"][several]) > 1.5


def test_isoforms_without_reads() -> None:
    rates = np.stack([RATES, RATES])
    rates[:, 3] = 0  # nowhere
    rates[0, 4] = 0  # in one group alone
    cells = draw_group_cells(rates, GENES)
    table = expression_differences(cells, groups_of(cells), None).set_index("isoform")
    assert "isoform3" not in table.index
    assert np.isfinite(table.drop(columns=["gene", "group", "reference"])).all(axis=None)
    assert table.loc["isoform4", "low"] > 2


def test_genes_are_sums_of_isoforms_and_blocks_do_not_matter(monkeypatch) -> None:
    cells = draw_group_cells(np.stack([RATES, CHANGED, RATES]), GENES, 20)
    whole = {
        level: expression_differences(cells, groups_of(cells), "a", level)
        for level in ("isoform", "gene")
    }
    summed = whole["isoform"].groupby(["gene", "group"])["mean"].sum()
    genes = whole["gene"].set_index(["gene", "group"])["mean"]
    pd.testing.assert_series_equal(genes, summed[genes.index], check_exact=False)
    monkeypatch.setattr(gene_blocks, "BLOCK", 1)
    for level, expected in whole.items():
        keys = [key for key in KEYS if key in expected]
        again = expression_differences(cells, groups_of(cells), "a", level)
        pd.testing.assert_frame_equal(
            again.sort_values(keys, ignore_index=True),
            expected.sort_values(keys, ignore_index=True),
        )


def test_order_and_depth_of_cells_do_not_matter() -> None:
    cells = draw_group_cells(np.stack([RATES, CHANGED]), GENES, 20)
    expected = expression_differences(cells, groups_of(cells), None)
    order = np.random.default_rng(1).permutation(cells.num_cells)
    factor = np.where(np.arange(cells.num_cells) % 2, 8.0, 1.0)
    layers = tuple(
        (layer.multiply(factor[:, None])).tocsr()[order].astype(np.float32)
        for layer in cells.bootstraps
    )
    moved = replace(
        cells,
        names=cells.names[order],
        counts=cells.counts[order],
        bootstraps=layers,
        summary=summarise(layers),
        obs=cells.obs.iloc[order],
    )
    found = expression_differences(moved, groups_of(moved), None)
    for column in ("mean", "reference_mean", "log2_fold_change", "gene_change"):
        np.testing.assert_allclose(found[column], expected[column], rtol=0.02, atol=0.02)


def test_cells_without_reads_in_their_bootstraps() -> None:
    cells = draw_group_cells(np.stack([RATES, RATES]), GENES, 5)
    layers = []
    for layer in cells.bootstraps:
        dense = layer.toarray()
        dense[3] = 0
        layers.append(type(layer)(dense))
    empty = replace(cells, bootstraps=tuple(layers), summary=summarise(layers))
    with pytest.raises(DataError, match="cell cell3 has no reads in its bootstraps"):
        expression_differences(empty, groups_of(cells), None)
