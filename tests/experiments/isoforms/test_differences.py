"""Tables of differential expression and usage: what they find, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells, summarise
from exvae.data.errors import DataError, DataWarning
from exvae.experiments.isoforms.differences import differential_expression, differential_usage
from exvae.experiments.isoforms.groups import Grouping

from .group_cells import draw_group_cells

GENES = np.repeat(np.arange(40), 2)
RATES = np.random.default_rng(3).gamma(2.0, 8.0, len(GENES)) + 3.0
RATES[8:16] *= 3 * RATES[:8].sum() / RATES[8:16].sum()
# As many reads are gained as lost, so that normalised expression of the others stays.
FACTORS = np.where(GENES < 4, 3.0, np.where(GENES < 8, 1 / 3, 1.0))
CHANGED = RATES * FACTORS
SWITCHED = np.where((GENES < 10)[None], RATES.reshape(-1, 2)[:, ::-1].ravel(), RATES)[0]
BY_GROUP = Grouping("group")
BY_DONOR = Grouping("group", replicate_key="donor")


def changed(replicates: int = 0, seed: int = 0, other: np.ndarray = CHANGED) -> Cells:
    return draw_group_cells(
        np.stack([RATES, other]), GENES, 60, seed=seed, replicates=replicates, variation=0.1
    )


@pytest.mark.parametrize("level", ["isoform", "gene"])
@pytest.mark.parametrize("replicates", [0, 6])
def test_changes_are_found(level: str, replicates: int) -> None:
    grouping = BY_DONOR if replicates else BY_GROUP
    table = differential_expression(changed(replicates), grouping, level)
    assert table["probability"].is_monotonic_decreasing
    assert table["expected_fdr"].is_monotonic_increasing
    found = table[table["expected_fdr"] <= 0.05]
    true = found["gene"].str.removeprefix("gene").astype(int) < 8
    number = 16 if level == "isoform" else 8
    assert true.sum() >= 0.7 * number
    assert (~true).sum() <= max(1, 0.15 * len(found))
    error = np.abs(found["shrunken_log2_fold_change"] - found["log2_fold_change"])
    assert error.median() < 0.3
    assert set(table["group"]) == {"b"}
    assert ("isoform" in table) == (level == "isoform")


@pytest.mark.parametrize("grouping", [BY_GROUP, BY_DONOR])
@pytest.mark.parametrize("seed", range(3))
def test_permuted_groups_have_no_differences(grouping: Grouping, seed: int) -> None:
    """Cells, or donors, of one kind that are called two."""
    cells = changed(replicates=8, seed=seed, other=RATES)
    rng = np.random.default_rng(seed)
    units = cells.obs["donor"] if grouping.replicate_key else cells.names
    names, code = np.unique(units, return_inverse=True)
    side = np.array(["a", "b"])[rng.permutation(len(names)) % 2]
    shuffled = replace(cells, obs=cells.obs.assign(group=side[code]))
    expression = differential_expression(shuffled, grouping)
    assert (expression["expected_fdr"] <= 0.05).sum() <= 1
    usage = differential_usage(shuffled, grouping).table
    assert (usage["expected_fdr"] <= 0.05).sum() <= 2


@pytest.mark.parametrize("replicates", [0, 6])
def test_switching_genes_are_found(replicates: int) -> None:
    cells = draw_group_cells(np.stack([RATES, SWITCHED]) * 3, GENES, 60, replicates=replicates)
    found = differential_usage(cells, BY_DONOR if replicates else BY_GROUP)
    genes = found.table.drop_duplicates("gene").set_index("gene")
    true = genes.index.str.removeprefix("gene").astype(int) < 10
    shares = np.bincount(GENES, np.abs(RATES - SWITCHED)) / np.bincount(GENES, RATES) / 2
    clear = genes.index.isin([f"gene{g}" for g in np.flatnonzero(shares > 0.15)])
    called = genes["expected_fdr"] <= 0.05
    assert called[clear].mean() > 0.7
    assert called[~true].mean() < 0.1
    assert 0.05 < found.share_changed < 0.6


def test_donors_that_differ_need_replicates() -> None:
    """Donors vary, so cells taken for replicates find differences that are not there."""
    cells = draw_group_cells(np.stack([RATES, RATES]), GENES, 80, replicates=3, variation=0.15)
    by_cell, by_donor = (
        (differential_expression(cells, grouping, "gene")["expected_fdr"] <= 0.05).sum()
        for grouping in (BY_GROUP, BY_DONOR)
    )
    assert by_cell >= 8
    assert by_donor <= 1


def without_bootstraps(cells: Cells) -> Cells:
    return replace(cells, bootstraps=())


def with_one_bootstrap(cells: Cells) -> Cells:
    number = cells.num_bootstraps.copy()
    number[3] = 1
    return replace(cells, num_bootstraps=number)


def without_genes(cells: Cells) -> Cells:
    return replace(cells, genes=None)


def with_one_donor(cells: Cells) -> Cells:
    return replace(cells, obs=cells.obs.assign(donor=cells.obs["group"]))


def with_one_cell(cells: Cells) -> Cells:
    return replace(cells, obs=cells.obs.assign(group=["a"] * 119 + ["b"]))


def without_reads(cells: Cells) -> Cells:
    layers = [layer.toarray() for layer in cells.bootstraps]
    for layer in layers:
        layer[:60, 1:] = 0
        layer[:60, 0] = 1
        layer[60:, :2] = 0
    layers = tuple(map(csr_matrix, layers))
    return replace(cells, bootstraps=layers, summary=summarise(layers))


@pytest.mark.parametrize("compare", [differential_expression, differential_usage])
def test_groups_of_one_cell_are_left_out(compare: Callable) -> None:
    cells = changed()
    groups = ["alone", *cells.obs["group"][1:]]
    with pytest.warns(DataWarning, match="groups of one cell in obs.'group'. are left out: alone"):
        found = compare(replace(cells, obs=cells.obs.assign(group=groups)), BY_GROUP)
    table = getattr(found, "table", found)
    assert set(table["group"]) == {"b"}
    alone = with_one_cell(cells)
    with (
        pytest.warns(DataWarning, match="left out: b"),
        pytest.raises(DataError, match="obs.'group'. has no two groups of several cells"),
    ):
        compare(alone, BY_GROUP)


@pytest.mark.parametrize(
    ("change", "grouping", "what", "message"),
    [
        (without_bootstraps, BY_GROUP, "both", "has 0 layers infRep1"),
        (with_one_bootstrap, BY_GROUP, "both", "cell cell3 has fewer than two bootstraps"),
        (without_genes, BY_GROUP, "usage", "var has no column 'gene'"),
        (with_one_donor, BY_DONOR, "both", "has 1 replicates, but at least 2 are needed"),
        (without_reads, BY_GROUP, "usage", "no gene of several isoforms has reads in two groups"),
    ],
)
def test_what_is_missing_is_named(change, grouping: Grouping, what: str, message: str) -> None:
    cells = change(changed())
    functions = {"expression": differential_expression, "usage": differential_usage}
    for name in functions if what == "both" else [what]:
        with pytest.raises(DataError, match=message):
            functions[name](cells, grouping)


def test_wrong_arguments() -> None:
    cells = changed()
    with pytest.raises(ValueError, match="level is 'exon'; choose one of isoform, gene"):
        differential_expression(cells, BY_GROUP, "exon")
    for function in (differential_expression, differential_usage):
        with pytest.raises(ValueError, match="threshold is -1; give a number that is not neg"):
            function(cells, BY_GROUP, threshold=-1)


def test_cells_without_genes_have_isoforms_alone() -> None:
    table = differential_expression(without_genes(changed()), BY_GROUP)
    assert (table["gene"] == table["isoform"]).all()
    assert (table["expected_fdr"] <= 0.05).sum() >= 8
