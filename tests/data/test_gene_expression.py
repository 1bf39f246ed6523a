"""Expression of genes before sequencing: levels, types and depth as asked for."""

from __future__ import annotations

import numpy as np
import pytest

from exvae.data.gene_expression import add_batches, draw_simple_expression, draw_symsim_expression


def test_expression_of_genes() -> None:
    drawn = draw_simple_expression(3000, 3, 200, 5000.0, np.random.default_rng(7))
    reads, types = drawn.molecules, np.arange(3000) % 3
    assert drawn.cell_types[:4].tolist() == ["type_0", "type_1", "type_2", "type_0"]
    assert reads.shape == (3000, 200)
    totals = reads.sum(1)
    assert totals.mean() == pytest.approx(5000.0, rel=5 * 0.3 / np.sqrt(3000))
    assert np.log(totals).std() == pytest.approx(0.3, rel=0.1)
    shares = np.log(reads / totals[:, np.newaxis])
    of_types = np.stack([shares[types == each].mean(0) for each in range(3)])
    assert of_types.mean(0).std() == pytest.approx(1.5, rel=0.2)
    # Types differ in the genes that they change; the noise of cells averages out.
    changes = of_types[1] - of_types[0]
    changes -= np.median(changes)
    assert 0.35 < (np.abs(changes) > 0.1).mean() < 0.65


def test_types_that_change_nothing() -> None:
    types = np.arange(2000) % 2
    generator = np.random.default_rng(8)
    reads = draw_simple_expression(2000, 2, 50, 1e4, generator, changed_share=0.0).molecules
    shares = np.log(reads / reads.sum(1, keepdims=True))
    difference = shares[types == 0].mean(0) - shares[types == 1].mean(0)
    assert np.abs(difference).max() < 0.2


def test_expression_of_symsim() -> None:
    lengths = np.linspace(300, 4000, 60)
    drawn = draw_symsim_expression(50, lengths, 2000.0, np.random.default_rng(1))
    assert drawn.molecules.shape == (50, 60)
    assert len(np.unique(drawn.cell_types)) == 5
    totals = drawn.molecules.sum(1)
    assert totals.mean() == pytest.approx(2000.0, rel=5 * 0.3 / np.sqrt(50))
    # What is captured of few molecules is nothing for some genes.
    assert 0.02 < (drawn.molecules == 0).mean() < 0.9
    assert (drawn.obs["capture_efficiency"] > 0).all()


def test_batches_scale_genes_and_keep_depth() -> None:
    drawn = draw_simple_expression(400, 2, 30, 1e4, np.random.default_rng(2))
    batched = add_batches(drawn, 2, np.random.default_rng(3))
    np.testing.assert_allclose(batched.molecules.sum(1), drawn.molecules.sum(1))
    factors = np.log(batched.molecules / drawn.molecules)
    first, second = (factors[batched.obs["batch"] == f"batch_{index}"] for index in (0, 1))
    assert np.abs(first.mean(0) - second.mean(0)).max() > 0.2
    one = add_batches(drawn, 1, np.random.default_rng(3))
    np.testing.assert_allclose(one.molecules, drawn.molecules)
