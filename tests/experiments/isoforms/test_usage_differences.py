"""Differences in isoform usage: against plain sums, the jackknife and the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells, summarise
from exvae.experiments.isoforms.usage_differences import GeneBlock, usage_differences

GENES = np.array([0, 0, 1, 1, 1, 2, 2])
CELLS = 40


def counts(seed: int = 0, level: float = 6.0) -> np.ndarray:
    """Draw reads of cells whose coverage varies; some cells do not express some genes."""
    rng = np.random.default_rng(seed)
    rate = level * rng.gamma(0.7, 1.0, (CELLS, len(GENES)))
    return rng.poisson(rate) * rng.uniform(0.5, 1.5, (CELLS, len(GENES)))


def groups(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two groups of cells, and some in neither."""
    side = np.random.default_rng(seed).choice(3, CELLS, p=[0.4, 0.4, 0.2])
    return side == 0, side == 1


def plain_difference(values: np.ndarray, strata: np.ndarray, sides: np.ndarray) -> float:
    """Compare usages of the first isoform of a gene, stratum by stratum."""
    total, information = 0.0, 0.0
    for stratum in np.unique(strata):
        own, other = (values[(strata == stratum) & (sides == side)] for side in (0, 1))
        reads = own.sum(), other.sum()
        if min(reads) > 0:
            weight = reads[0] * reads[1] / sum(reads)
            total += weight * (own[:, 0].sum() / reads[0] - other[:, 0].sum() / reads[1])
            information += weight
    return total / information


def plain_strata(totals: np.ndarray) -> np.ndarray:
    """Give strata that end at 1, 2, 4 ... reads; cells without reads are in none."""
    strata = np.array([sum(total >= 2.0**k for k in range(30)) for total in totals])
    return np.where(totals < 1 / 16, -1, strata)


def gene(values: np.ndarray, index: int) -> np.ndarray:
    return values[:, index == GENES]


@pytest.mark.parametrize("seed", range(3))
def test_differences_are_means_over_strata(seed: int) -> None:
    values, (own, other) = counts(seed), groups(seed)
    difference = GeneBlock(values, GENES).difference(values, own, other)
    for index in range(3):
        of_gene = gene(values, index)
        strata, used = plain_strata(of_gene.sum(1)), own | other
        sides = np.where(own, 0, 1)
        used &= strata >= 0
        expected = plain_difference(of_gene[used], strata[used], sides[used])
        assert difference.value[index == GENES][0] == pytest.approx(expected)
    # What one isoform of a gene gains the others lose.
    np.testing.assert_allclose(np.bincount(GENES, difference.value), 0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_uncertainty_is_the_jackknife(seed: int) -> None:
    values, (own, other) = counts(seed), groups(seed)
    block = GeneBlock(values, GENES)
    whole = block.difference(values, own, other).value
    squares = np.zeros(len(GENES))
    for cell in np.flatnonzero(own | other):
        without = np.arange(CELLS) != cell
        left = block.difference(values, own & without, other & without).value
        known = gene_is_known(values, cell)
        squares += np.where(known, (left - whole) ** 2, 0)
    uncertainty = block.uncertainty(values, own, other)
    np.testing.assert_allclose(uncertainty.variance, squares, rtol=1e-9)
    assert (uncertainty.degrees_of_freedom >= 1).all()
    assert (uncertainty.degrees_of_freedom < (own | other).sum()).all()


def test_uncertainty_of_replicates_is_their_jackknife() -> None:
    values, (own, other) = counts(1), groups(1)
    replicates = np.random.default_rng(2).choice(["x", "y", "z"], CELLS)
    block = GeneBlock(values, GENES)
    expected = np.zeros(len(GENES))
    for side in (own, other):
        left = [
            block.difference(
                values,
                own & ~(side & own & (replicates == name)),
                other & ~(side & other & (replicates == name)),
            ).value
            for name in "xyz"
        ]
        expected += 2 / 3 * ((left - np.mean(left, 0)) ** 2).sum(0)
    uncertainty = block.replicate_uncertainty(values, own, other, replicates)
    np.testing.assert_allclose(uncertainty.variance, expected, rtol=1e-9)
    assert (uncertainty.degrees_of_freedom >= 1).all()
    assert (uncertainty.degrees_of_freedom <= 4 + 1e-9).all()


def gene_is_known(values: np.ndarray, cell: int) -> np.ndarray:
    return np.bincount(GENES, values[cell])[GENES] >= 1 / 16


def test_what_the_quantifier_does_to_cells_of_little_coverage_is_no_difference() -> None:
    # Usage depends on coverage alone, and the groups differ in coverage alone.
    rng = np.random.default_rng(3)
    totals = np.concatenate([rng.integers(1, 20, 300), rng.integers(8, 60, 300)])
    usage = np.exp2(np.floor(np.log2(totals))) / 64
    values = np.stack([usage, 1 - usage], 1) * totals[:, None]
    own = np.arange(600) < 300
    genes = np.zeros(2, np.int64)
    pooled = values[own].sum(0) / values[own].sum() - values[~own].sum(0) / values[~own].sum()
    assert abs(pooled[0]) > 0.2
    block = GeneBlock(values, genes)
    np.testing.assert_allclose(block.difference(values, own, ~own).value, 0, atol=1e-12)


def cells(
    usage: np.ndarray, seed: int = 0, number: int = 120, scatter: float = 0.3
) -> tuple[Cells, np.ndarray]:
    """Cells of three groups with these usages, (groups, isoforms), seen through six bootstraps."""
    rng = np.random.default_rng(seed)
    side = np.arange(number) % 3
    total = rng.gamma(2.0, 10.0, (number, GENES.max() + 1))
    y = rng.poisson(total[:, GENES] * usage[side])
    error = scatter * np.sqrt(y)
    estimate = np.maximum(y + error * rng.normal(size=y.shape), 0)
    draws = np.maximum(estimate + error * rng.normal(size=(6, *y.shape)), 0).astype(np.float32)
    bootstraps = tuple(csr_matrix(draw) for draw in draws)
    names = np.array([f"cell{n}" for n in range(number)])
    return (
        Cells(
            names=names,
            isoforms=np.array([f"isoform{i}" for i in range(len(GENES))]),
            genes=np.array([f"gene{g}" for g in GENES]),
            counts=csr_matrix(estimate.astype(np.float32)),
            bootstraps=bootstraps,
            summary=summarise(bootstraps),
            num_bootstraps=np.full(number, 6),
            obs=pd.DataFrame(index=names),
            batches=np.zeros(number, np.int64),
        ),
        np.array(["a", "b", "c"])[side],
    )


USAGE = np.array([[0.3, 0.7, 0.2, 0.3, 0.5, 0.6, 0.4]] * 3)
SWITCHED = USAGE.copy()
SWITCHED[2, :2] = 0.8, 0.2


def test_the_truth_is_found() -> None:
    table = usage_differences(*cells(SWITCHED, number=600), None)
    assert len(table) == 21
    truth = SWITCHED - (SWITCHED.sum(0) - SWITCHED) / 2
    row = table["group"].map({"a": 0, "b": 1, "c": 2}).to_numpy()
    column = table["isoform"].str.removeprefix("isoform").astype(int).to_numpy()
    expected = truth[row, column]
    assert ((table["low"] <= expected) & (expected <= table["high"])).mean() > 0.8
    np.testing.assert_allclose(table["difference"], expected, atol=0.06)


def test_intervals_hold_the_truth() -> None:
    held = [
        (table["low"] <= 0) & (table["high"] >= 0)
        for table in (usage_differences(*cells(USAGE, seed), None) for seed in range(40))
    ]
    assert np.concatenate(held).mean() == pytest.approx(0.965, abs=0.025)


def test_bootstraps_that_scatter_widen_the_intervals() -> None:
    widths = []
    for scatter in (0.0, 1.0):
        table = usage_differences(*cells(USAGE, scatter=scatter), None)
        widths.append(table["standard_error"].mean())
    assert widths[1] > 1.2 * widths[0]


def test_variance_between_bootstraps_is_unbiased() -> None:
    data, labels = cells(USAGE)
    labels = np.where(labels == "c", "", labels)
    block = GeneBlock(data.mean_bootstraps.toarray().astype(np.float64), GENES)
    values = [
        block.difference(layer.toarray().astype(np.float64), labels == "b", labels == "a").value
        for layer in data.bootstraps
    ]
    between = ((values - np.mean(values, 0)) ** 2).sum(0) / (len(values) - 1)
    # The same means, but bootstraps that do not differ.
    still = replace(data, bootstraps=data.bootstraps[:1] * len(values))
    table, without = (usage_differences(own, labels, None) for own in (data, still))
    added = table["standard_error"] ** 2 - without["standard_error"] ** 2
    np.testing.assert_allclose(added, between, rtol=1e-6)


def test_order_of_cells_and_isoforms_does_not_matter() -> None:
    data, labels = cells(SWITCHED)
    order = np.random.default_rng(1).permutation(data.num_cells)
    columns = np.random.default_rng(2).permutation(len(GENES))
    moved = replace(
        data,
        names=data.names[order],
        isoforms=data.isoforms[columns],
        genes=data.genes[columns],
        counts=data.counts[order][:, columns],
        bootstraps=(moved_layers := tuple(b[order][:, columns] for b in data.bootstraps)),
        summary=summarise(moved_layers),
    )
    keys = ["gene", "isoform", "group"]
    expected = usage_differences(data, labels, None).sort_values(keys, ignore_index=True)
    actual = usage_differences(moved, labels[order], None).sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(actual, expected)


def test_cells_with_fewer_bootstraps_use_theirs_again() -> None:
    data, labels = cells(SWITCHED)
    few = np.where(np.arange(data.num_cells) % 2, 6, 3)
    full = [layer.toarray() for layer in data.bootstraps]
    missing = [(few <= b)[:, None] for b in range(6)]
    cut = tuple(csr_matrix(np.where(missing[b], 0, full[b])) for b in range(6))
    again = tuple(csr_matrix(np.where(missing[b], full[b % 3], full[b])) for b in range(6))
    summary = summarise(again)
    expected = usage_differences(replace(data, bootstraps=again, summary=summary), labels, None)
    # The statistics are the same but for their numbers: each bootstrap stands for two.
    ragged = replace(data, bootstraps=cut, num_bootstraps=few, summary=summary)
    ragged.__dict__["mean_bootstraps"] = replace(
        data, bootstraps=again, summary=summary
    ).mean_bootstraps
    pd.testing.assert_frame_equal(usage_differences(ragged, labels, None), expected)


def test_groups_and_their_references() -> None:
    data, labels = cells(SWITCHED)
    table = usage_differences(data, labels, "b")
    assert set(zip(table["group"], table["reference"], strict=True)) == {("a", "b"), ("c", "b")}
    two = np.where(labels == "c", "", labels)
    table = usage_differences(data, two, None)
    assert set(zip(table["group"], table["reference"], strict=True)) == {("b", "a")}
    without = usage_differences(data, labels, "a").query("group == 'b'").reset_index(drop=True)
    pd.testing.assert_frame_equal(table, without)


def test_genes_of_one_isoform_and_those_without_reads_have_no_row() -> None:
    data, labels = cells(USAGE)
    genes = np.array(["one", "two", "three", "three", "four", "five", "five"])
    counts = [layer.toarray() for layer in data.bootstraps]
    for layer in counts:
        layer[:, 5:] = 0
    layers = tuple(csr_matrix(layer) for layer in counts)
    changed = replace(data, genes=genes, bootstraps=layers, summary=summarise(layers))
    assert set(usage_differences(changed, labels, None)["gene"]) == {"three"}


def test_many_genes_are_compared_in_blocks(monkeypatch) -> None:
    data, labels = cells(SWITCHED)
    expected = usage_differences(data, labels, None)
    keys = ["gene", "isoform", "group"]
    for size in (1, 3 * data.num_cells):
        monkeypatch.setattr("exvae.experiments.isoforms.gene_blocks.BLOCK", size)
        actual = usage_differences(data, labels, None)
        pd.testing.assert_frame_equal(
            actual.sort_values(keys, ignore_index=True),
            expected.sort_values(keys, ignore_index=True),
        )
