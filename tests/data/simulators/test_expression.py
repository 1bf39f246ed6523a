"""Expression of genes before cells are sequenced."""

from __future__ import annotations

import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.simulators.expression import (
    GeneExpression,
    add_batches,
    draw_simple_expression,
    draw_symsim_expression,
)
from exvae.data.simulators.symsim.amplification import copy_moments
from exvae.data.simulators.symsim.cells import simulate_true_counts
from exvae.data.simulators.symsim.settings import ExpressionSettings

LENGTHS = np.random.default_rng(0).lognormal(7.5, 0.7, 60)
TREE = "((near:1,nearer:1):8,far:9);"


def symsim(num_cells: int, seed: int = 1, **options) -> GeneExpression:
    return draw_symsim_expression(
        num_cells, LENGTHS, 3000.0, np.random.default_rng(seed), **options
    )


def with_molecules(num_cells: int, **options) -> tuple[GeneExpression, np.ndarray]:
    """Draw cells, and find all molecules of the same cells; those that can be told apart."""
    settings = ExpressionSettings(smallest_population=0, smallest_population_share=1 / 5)
    # Drawn first, from the same seed.
    truth = simulate_true_counts(num_cells, 60, settings, np.random.default_rng(1))
    drawn = symsim(num_cells, 1, **options)
    totals, places, sizes = np.unique(truth.counts.sum(1), return_index=True, return_counts=True)
    found = np.searchsorted(totals, drawn.obs["molecules"])
    np.testing.assert_array_equal(totals[found], drawn.obs["molecules"])
    told = np.flatnonzero(sizes[found] == 1)
    assert len(told) > 0.8 * num_cells
    rows = places[found[told]]
    types = [truth.population_names[each] for each in truth.populations[rows]]
    assert drawn.cell_types[told].tolist() == types
    obs = {name: values[told] for name, values in drawn.obs.items()}
    return drawn._replace(molecules=drawn.molecules[told], obs=obs), truth.counts[rows]


def test_cells_of_symsim() -> None:
    drawn = symsim(2000)
    assert drawn.molecules.shape == (2000, 60)
    assert (drawn.molecules >= 0).all()
    totals = drawn.molecules.sum(1)
    assert totals.mean() == pytest.approx(3000.0, rel=5 * 0.3 / np.sqrt(2000))
    assert np.log(totals).std() == pytest.approx(0.3, rel=0.1)
    names, sizes = np.unique(drawn.cell_types, return_counts=True)
    assert names.tolist() == ["1", "2", "3", "4", "5"]
    assert set(sizes) == {400}
    # In random order: each of the five follows each as often.
    pairs = drawn.cell_types[:-1] == drawn.cell_types[1:]
    assert pairs.mean() == pytest.approx(1 / 5, abs=4 * 0.4 / np.sqrt(2000))
    capture = drawn.obs["capture_efficiency"]
    assert capture.mean() == pytest.approx(0.103, abs=4 * 0.05 / np.sqrt(2000))
    assert drawn.provenance["expression"] == "symsim"


def test_populations_are_those_of_the_tree() -> None:
    distances = []
    for seed in range(6):
        drawn = symsim(300, seed, tree=TREE, capture=1.0)
        assert set(drawn.cell_types) == {"near", "nearer", "far"}
        logs = np.log1p(drawn.molecules / drawn.molecules.sum(1, keepdims=True) * 3000)
        means = [logs[drawn.cell_types == name].mean(0) for name in ("near", "nearer", "far")]
        distances.append([np.linalg.norm(means[0] - other) for other in means[1:]])
    near, far = np.mean(distances, 0)
    assert far > 1.5 * near


def test_molecules_are_captured_with_the_efficiency_that_is_told() -> None:
    drawn, counts = with_molecules(1500)
    lost = (1 - drawn.obs["capture_efficiency"])[:, np.newaxis] ** counts
    missing = drawn.molecules == 0
    assert missing[counts == 0].all()
    chosen = counts > 0
    difference = (missing - lost)[chosen].sum()
    assert abs(difference) < 4 * np.sqrt((lost * (1 - lost))[chosen].sum())
    # Of each cell too: a mix-up of rows would not show in the sum.
    scores = (missing - lost).sum(1) / np.sqrt((lost * (1 - lost)).sum(1))
    assert scores.std() == pytest.approx(1.0, abs=0.1)


def test_all_molecules_are_amplified_if_all_are_captured() -> None:
    drawn, counts = with_molecules(400, capture=1.0)
    assert (drawn.obs["capture_efficiency"] == 1).all()
    assert ((drawn.molecules > 0) == (counts > 0)).all()
    # Copies of many molecules are near their mean, which is larger for short transcripts.
    efficiency = 0.8 + 0.02 * (9.5 - np.argsort(np.argsort(LENGTHS)) // 3)
    expected = counts * copy_moments(efficiency, 16)[0]
    found, expected = (each / each.sum(1, keepdims=True) for each in (drawn.molecules, expected))
    ratios = np.log(np.maximum(found, 1e-9) / np.maximum(expected, 1e-9))
    ratios[counts <= 100] = np.nan
    often = (counts > 100).sum(0) > 50
    assert often.sum() > 10
    # The bias has noise of up to 0.01 on the efficiency of each of sixteen cycles.
    assert np.abs(np.nanmedian(ratios[:, often], axis=0)).max() < 0.15
    assert efficiency.max() - efficiency.min() > 0.3


def test_few_genes_and_cells() -> None:
    drawn = draw_symsim_expression(5, np.array([900.0, 2000.0]), 10.0, np.random.default_rng(0))
    assert sorted(drawn.cell_types) == ["1", "2", "3", "4", "5"]
    np.testing.assert_allclose((drawn.molecules.sum(1) > 0), True)


def test_what_cannot_be_simulated() -> None:
    with pytest.raises(ValueError, match="num_cells is 4"):
        symsim(4)
    with pytest.raises(ValueError, match="does not end with ';'"):
        symsim(10, tree="(a:1,b:1)")
    with pytest.raises(DataError, match=r"none of its \d+ molecules is captured; raise capture"):
        draw_symsim_expression(300, LENGTHS[:1], 10.0, np.random.default_rng(0), capture=0.001)


def test_simple_expression() -> None:
    drawn = draw_simple_expression(3000, 3, 200, 5000.0, np.random.default_rng(7))
    molecules = drawn.molecules
    assert molecules.shape == (3000, 200)
    assert drawn.cell_types[:4].tolist() == ["type_0", "type_1", "type_2", "type_0"]
    totals = molecules.sum(1)
    assert totals.mean() == pytest.approx(5000.0, rel=5 * 0.3 / np.sqrt(3000))
    assert np.log(totals).std() == pytest.approx(0.3, rel=0.1)
    shares = np.log(molecules / totals[:, np.newaxis])
    of_types = np.stack([shares[drawn.cell_types == f"type_{each}"].mean(0) for each in range(3)])
    assert of_types.mean(0).std() == pytest.approx(1.5, rel=0.2)
    # Types differ in the genes that they change; the noise of cells averages out.
    changes = of_types[1] - of_types[0]
    changes -= np.median(changes)
    assert 0.35 < (np.abs(changes) > 0.1).mean() < 0.65


def test_types_that_change_nothing() -> None:
    drawn = draw_simple_expression(2000, 2, 50, 1e4, np.random.default_rng(8), changed_share=0.0)
    shares = np.log(drawn.molecules / drawn.molecules.sum(1, keepdims=True))
    of_types = [shares[drawn.cell_types == f"type_{each}"].mean(0) for each in range(2)]
    assert np.abs(of_types[0] - of_types[1]).max() < 0.2


def test_batches_scale_genes_and_keep_reads() -> None:
    before = draw_simple_expression(600, 2, 80, 1e4, np.random.default_rng(0))
    drawn = add_batches(before, 3, np.random.default_rng(1))
    np.testing.assert_allclose(drawn.molecules.sum(1), before.molecules.sum(1))
    batches = drawn.obs["batch"]
    assert set(batches) == {"batch_0", "batch_1", "batch_2"}
    assert drawn.cell_types is before.cell_types
    added = {"batches": 3, "batch_effect_size": 1.0, "batch_depth_ratio": 1.0}
    assert drawn.provenance == {**before.provenance, **added}
    factors = np.log2(drawn.molecules / before.molecules)
    factors -= factors.mean(1, keepdims=True)  # of genes, in each cell
    of_batches = np.stack([factors[batches == name][0] for name in sorted(set(batches))])
    for name, own in zip(sorted(set(batches)), of_batches, strict=True):
        np.testing.assert_allclose(factors[batches == name] - own, 0, atol=1e-9)
    # Differences of two uniform variables between -1 and 1.
    differences = of_batches[0] - of_batches[1]
    assert differences.var() == pytest.approx(2 / 3, rel=0.4)


def test_batches_differ_in_depth() -> None:
    before = draw_simple_expression(600, 2, 80, 1e4, np.random.default_rng(0))
    drawn = add_batches(before, 3, np.random.default_rng(1), depth_ratio=0.04)
    ratios = drawn.molecules.sum(1) / before.molecules.sum(1)
    for number, depth in enumerate((1.0, 0.2, 0.04)):
        np.testing.assert_allclose(ratios[drawn.obs["batch"] == f"batch_{number}"], depth)


def test_one_batch_changes_nothing() -> None:
    before = draw_simple_expression(20, 2, 8, 1e4, np.random.default_rng(0))
    drawn = add_batches(before, 1, np.random.default_rng(1))
    np.testing.assert_allclose(drawn.molecules, before.molecules)
