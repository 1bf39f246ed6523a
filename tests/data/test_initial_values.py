"""Values from which models and guides start."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells
from exvae.data.initial_values import Totals, expression_scales, input_scales, noise_variances

from .cell_table import ISOFORMS, NUMBERS, draw, table


def test_expression_scales() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(5.0, (6, 3)).astype(np.float32) + 1
    batches = np.array([0, 0, 0, 1, 1, 2])
    blocks = [csr_matrix(counts[:2]), csr_matrix(counts[2:])]
    scales = expression_scales(Totals.of(blocks), batches, 4)
    log_library = np.log(counts.sum(1))
    means = [log_library[:3].mean(), log_library[3:5].mean(), *[log_library.mean()] * 2]
    np.testing.assert_allclose(scales.log_library_mean, means, rtol=1e-6)
    np.testing.assert_allclose(scales.log_library_sd[3], log_library.std(), rtol=1e-5)
    totals = counts.sum(0) + 0.5
    np.testing.assert_allclose(scales.fractions, totals / totals.sum(), rtol=1e-6)


def test_input_scales() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (5, 4)).astype(np.float32)
    counts[:, 0] += 1
    counts[3] *= 7  # as if it were sequenced more deeply
    blocks = [csr_matrix(counts[:2]), csr_matrix(counts[2:])]
    scales = input_scales(Totals.of(blocks), blocks)
    library = counts.sum(1)
    assert scales.reads == np.median(library)
    scaled = counts / library[:, None] * np.median(library)
    np.testing.assert_allclose(scales.log1p_means, np.log1p(scaled).mean(0), rtol=1e-5)


def test_noise_variances(read) -> None:
    cells = read(table(numbers=NUMBERS))
    chosen = np.array([0, 3, 6, 2])
    _, draws = draw()
    for relative in (False, True):
        found = noise_variances(cells, chosen, relative=relative)
        for g in range(ISOFORMS):
            variances = [1.0]  # as if one had been measured
            for n in chosen:
                own = draws[: NUMBERS[n], n, g]
                own = own[own > 0]
                if len(own) > 1:
                    variances.append(own.var(ddof=1) / (1 + own.mean() if relative else 1.0))
            assert float(found[g]) == pytest.approx(np.mean(variances), rel=1e-4)


def test_libraries_that_are_alike_have_a_spread() -> None:
    counts = csr_matrix(np.full((4, 3), 5.0))
    scales = expression_scales(Totals.of([counts]), np.array([0, 0, 1, 1]), 2)
    np.testing.assert_allclose(scales.log_library_sd, 0.05)
    np.testing.assert_allclose(scales.log_library_mean, np.log(15.0), rtol=1e-6)


def test_two_cells_are_enough_for_a_batch() -> None:
    counts = csr_matrix(np.array([[2.0], [8.0], [100.0], [300.0], [900.0]]))
    scales = expression_scales(Totals.of([counts]), np.array([0, 0, 1, 2, 2]), 3)
    logs = np.log([2.0, 8.0, 100.0, 300.0, 900.0])
    expected = [logs[:2].mean(), logs.mean(), logs[3:].mean()]
    np.testing.assert_allclose(scales.log_library_mean, expected, rtol=1e-6)
    expected = [logs[:2].std(), logs.std(), logs[3:].std()]
    np.testing.assert_allclose(scales.log_library_sd, expected, rtol=1e-6)


def test_an_isoform_never_seen_is_not_impossible() -> None:
    counts = csr_matrix(np.array([[3.0, 0.0], [4.0, 0.0]]))
    fractions = expression_scales(Totals.of([counts]), np.zeros(2, np.int64), 1).fractions
    np.testing.assert_allclose(fractions, [7.5 / 8, 0.5 / 8], rtol=1e-6)


def test_noise_of_an_isoform_never_seen_is_one(small_cells: Cells) -> None:
    for relative in (False, True):
        found = noise_variances(small_cells, np.array([], np.int64), relative=relative)
        assert found.tolist() == [1.0] * 6
