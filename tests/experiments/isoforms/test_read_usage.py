"""Differences in usage by reads: against plain sums, an optimiser, the jackknife and the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells
from exvae.data.reads.classes import ClassCounts
from exvae.experiments.isoforms.read_usage import PRIOR, ReadUsage, read_usage_differences

# Isoforms 0 to 2 and 3 and 4 are of one gene each, 5 of another. Classes: sets of isoforms.
GENES = np.array([0, 0, 0, 1, 1, 2])
SETS = [[0], [0, 1], [1, 2], [0, 1, 2], [3], [4], [3, 4], [2, 3], [5]]
WEIGHTS = [
    [0.5],
    [0.2, 0.3],
    [0.4, 0.5],
    [0.3, 0.3, 0.5],
    [0.3],
    [0.2],
    [0.7, 0.5],
    [0.1, 0.2],
    [1],
]
USAGE = np.array([0.5, 0.2, 0.3, 0.6, 0.4, 1.0])
# Classes in which a gene is alone, and its isoforms.
OF_FIRST, FIRST = [0, 1, 2, 3], [0, 1, 2]
CELLS = 60


def classes_of(counts: np.ndarray) -> ClassCounts:
    """Give reads of the classes, shape (cells, classes)."""
    starts = np.cumsum([0, *map(len, SETS)])
    members = np.concatenate(SETS).astype(np.int32)
    return ClassCounts(csr_matrix(counts), starts, members, np.concatenate(WEIGHTS))


def probabilities() -> np.ndarray:
    """Give the probability of each class given an isoform, shape (classes, isoforms)."""
    found = np.zeros((len(SETS), len(GENES)))
    for row, (members, weights) in enumerate(zip(SETS, WEIGHTS, strict=True)):
        found[row, members] = weights
    return found


def draw(
    usage: np.ndarray, number: int, seed: int, depth: float = 12.0, scatter: float = 0.0
) -> np.ndarray:
    """Draw reads of classes; ``scatter`` is the variance of the logarithm of usage in a cell."""
    rng = np.random.default_rng(seed)
    totals = depth * rng.gamma(2.0, 0.5, (number, GENES.max() + 1))
    own = usage * np.exp(np.sqrt(scatter) * rng.normal(size=(number, len(GENES))))
    own /= np.stack([np.bincount(GENES, row) for row in own])[:, GENES]
    return rng.poisson((totals[:, GENES] * own) @ probabilities().T)


def estimator(counts: np.ndarray) -> ReadUsage:
    return ReadUsage(classes_of(counts), GENES, np.arange(len(counts)))


EVERYONE = np.ones(CELLS, bool)


def test_usage_of_reads_that_fit_one_isoform_is_their_share() -> None:
    counts = draw(USAGE, CELLS, 0) * np.array([0, 0, 0, 0, 1, 1, 0, 0, 1])
    found = estimator(counts).of_group(EVERYONE)
    own = counts[:, [4, 5]].sum(0)
    # The prior, one read, has the usage of all cells, which are those of the group.
    prior = (own + PRIOR / 2) / (own.sum() + PRIOR)
    np.testing.assert_allclose(found.usage[3:5], (own + PRIOR * prior) / (own.sum() + PRIOR))
    assert found.totals[3] == found.totals[4] == own.sum()
    of_cells = counts[:, [4, 5]].sum(1)
    assert found.sizes[3] == pytest.approx(own.sum() ** 2 / (of_cells**2).sum())
    # Genes without reads stay with the prior, and tell nothing.
    np.testing.assert_allclose(found.usage[:3], 1 / 3)
    assert found.totals[:3].tolist() == found.jackknife[:3].tolist() == [0, 0, 0]
    left = [np.delete(counts, cell, 0)[:, [4, 5]].sum(0) for cell in range(CELLS)]
    changes = [part[0] / part.sum() - own[0] / own.sum() for part in left]
    np.testing.assert_allclose(found.jackknife[3], np.square(changes).sum(), rtol=0.02)
    assert found.counting[3] == pytest.approx(np.prod(own) / own.sum() ** 3, rel=0.02)


def test_usage_is_the_most_probable() -> None:
    counts = draw(USAGE, CELLS, 1)
    chosen = np.arange(CELLS) < 25
    found = estimator(counts).of_group(chosen)
    alone = estimator(counts * np.isin(np.arange(len(SETS)), OF_FIRST))
    own, everyone = alone.of_group(chosen).usage[FIRST], alone.of_group(EVERYONE).usage[FIRST]
    reads, weights = counts[chosen][:, OF_FIRST].sum(0), probabilities()[OF_FIRST][:, FIRST]

    def loss(logits: np.ndarray) -> float:
        usage = np.exp(logits - np.logaddexp.reduce(logits))
        # The group's prior is nearly the usage of all cells.
        return -reads @ np.log(weights @ usage) - PRIOR * everyone @ np.log(usage)

    best = np.exp(minimize(loss, np.zeros(3), tol=1e-10).x)
    np.testing.assert_allclose(own, best / best.sum(), atol=2e-3)
    # Few reads are shared with the other gene.
    np.testing.assert_allclose(found.usage[FIRST], own, atol=0.1)


def test_jackknife_is_what_leaving_out_cells_changes() -> None:
    counts = draw(USAGE, CELLS, 2, scatter=0.5)
    whole = estimator(counts)
    found = whole.of_group(EVERYONE)
    changes = [
        whole.of_group(np.arange(CELLS) != cell).usage - found.usage for cell in range(CELLS)
    ]
    expected = np.square(changes).sum(0)
    np.testing.assert_allclose(found.jackknife[:5], expected[:5], rtol=0.25)
    assert found.jackknife[5] == 0


def test_replicates_are_left_out_together() -> None:
    counts = draw(USAGE, CELLS, 3, scatter=0.5)
    units = np.arange(CELLS) % 4
    merged = np.stack([counts[units == unit].sum(0) for unit in range(4)])
    found = ReadUsage(classes_of(counts), GENES, units).of_group(EVERYONE)
    expected = estimator(merged).of_group(np.ones(4, bool))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_counting_is_the_variance_between_groups_of_like_cells() -> None:
    found = [estimator(draw(USAGE, CELLS, seed)).of_group(EVERYONE) for seed in range(100, 180)]
    scatter = np.var([own.usage for own in found], axis=0, ddof=1)
    told = np.mean([own.counting for own in found], axis=0)
    np.testing.assert_allclose(told[:5], scatter[:5], rtol=0.4)


def test_isoforms_that_reads_do_not_tell_apart_stay_alike_and_unsure() -> None:
    counts = draw(USAGE, CELLS, 4) * np.array([0, 0, 0, 0, 0, 0, 1, 0, 1])
    classes = classes_of(counts)
    alike = ReadUsage(replace(classes, weights=np.ones(len(classes.weights))), GENES, counts[:, 8])
    found = alike.of_group(np.arange(CELLS) < 20)
    np.testing.assert_allclose(found.usage[3:5], 1 / 2)
    # What the prior, one read, leaves.
    np.testing.assert_allclose(found.counting[3:5], 1 / 4 / PRIOR)
    np.testing.assert_allclose(found.jackknife[3:5], 0, atol=1e-12)


def cells_of(counts: np.ndarray) -> Cells:
    number = len(counts)
    names = np.array([f"cell{n:03d}" for n in range(number)])
    return Cells(
        names=names,
        isoforms=np.array([f"isoform{i}" for i in range(len(GENES))]),
        genes=np.array([f"gene{g}" for g in GENES]),
        counts=csr_matrix((number, len(GENES)), dtype=np.float32),
        bootstraps=(),
        summary=None,
        num_bootstraps=np.zeros(number, np.int64),
        obs=pd.DataFrame(index=names),
        batches=np.zeros(number, np.int64),
        reads=classes_of(counts),
    )


def of_three_groups(usages: list[np.ndarray], seed: int, **options: float) -> tuple:
    """Draw cells of groups a, b, c."""
    parts = [draw(usage, CELLS, 3 * seed + n, **options) for n, usage in enumerate(usages)]
    return cells_of(np.concatenate(parts)), np.repeat(["a", "b", "c"], CELLS)


def test_the_truth_is_found() -> None:
    switched = USAGE.copy()
    switched[3:5] = 0.1, 0.9
    table = read_usage_differences(*of_three_groups([USAGE, USAGE, switched], 0), None)
    assert len(table) == 3 * 5
    of_last = table[table["group"] == "c"].set_index("isoform")
    assert of_last["difference"]["isoform4"] == pytest.approx(0.5, abs=0.06)
    assert of_last["low"]["isoform4"] > 0.35
    first = table[table["gene"] == "gene0"]
    assert ((first["low"] <= 0) & (first["high"] >= 0)).all()
    # What one isoform of a gene gains the others lose.
    sums = table.groupby(["gene", "group"])["difference"].sum()
    np.testing.assert_allclose(sums, 0, atol=1e-9)


@pytest.mark.parametrize("scatter", [0.0, 0.5])
def test_intervals_hold_the_truth(scatter: float) -> None:
    """Even if the groups express the genes at different levels."""
    held = []
    for seed in range(20):
        cells, groups = of_three_groups([USAGE] * 3, seed, scatter=scatter)
        deep = draw(USAGE, CELLS, 1000 + seed, depth=40.0, scatter=scatter)
        counts = np.concatenate([deep, cells.reads.counts.toarray()[CELLS:]])
        table = read_usage_differences(cells_of(counts), groups, None)
        held.append((table["low"] <= 0) & (table["high"] >= 0))
    assert 0.93 < np.concatenate(held).mean() < 0.995


def test_order_of_cells_does_not_matter() -> None:
    cells, groups = of_three_groups([USAGE, USAGE, USAGE[[1, 0, 2, 4, 3, 5]]], 5)
    order = np.random.default_rng(0).permutation(cells.num_cells)
    counts = cells.reads.counts.toarray()[order]
    moved = replace(cells_of(counts), names=cells.names[order])
    expected = read_usage_differences(cells, groups, "b")
    pd.testing.assert_frame_equal(read_usage_differences(moved, groups[order], "b"), expected)
    assert set(expected["group"]) == {"a", "c"}


def test_differences_between_replicates_count() -> None:
    """Cells of a donor are alike, so that cells alone seem too sure."""
    rng = np.random.default_rng(7)
    parts = []
    for number in range(9):
        own = USAGE * np.exp(0.5 * rng.normal(size=len(GENES)))
        parts.append(draw(own / np.bincount(GENES, own)[GENES], 20, 50 + number, depth=40.0))
    cells, groups = cells_of(np.concatenate(parts)), np.repeat(["a", "b", "c"], 60)
    donors = np.repeat(np.arange(9), 20).astype(str)
    found, replicated = (read_usage_differences(cells, groups, "a", own) for own in (None, donors))
    pd.testing.assert_series_equal(found["difference"], replicated["difference"])
    ratio = replicated["standard_error"] / found["standard_error"]
    assert ratio.median() > 2
