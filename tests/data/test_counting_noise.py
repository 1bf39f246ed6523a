"""Bootstraps that vary less than counts do are told, and counts of any kind are not."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells, summarise
from exvae.data.counting_noise import told_too_steady

RNG = np.random.default_rng(0)
RATES = RNG.gamma(0.5, 20.0, 30)


def with_bootstraps(cells: Cells, bootstraps: np.ndarray) -> Cells:
    """Give cells these bootstraps, shape (bootstraps, cells, isoforms)."""
    matrices = tuple(csr_matrix(own.astype(np.float32)) for own in bootstraps)
    number = np.full(bootstraps.shape[1], len(bootstraps))
    return replace(cells, summary=summarise(matrices), num_bootstraps=number)


@pytest.mark.parametrize("number", [2, 5, 30])
def test_counts_vary_enough(small_cells: Cells, number: int) -> None:
    counts = RNG.multinomial(500, RATES / RATES.sum(), (number, 24))
    assert told_too_steady(with_bootstraps(small_cells, counts)) is None


@pytest.mark.parametrize("transform", [np.log1p, lambda counts: counts / 50])
def test_transformed_counts_are_told(small_cells: Cells, transform) -> None:
    counts = RNG.multinomial(20_000, RATES / RATES.sum(), (6, 24))
    told = told_too_steady(with_bootstraps(small_cells, transform(counts)))
    found = float(re.match(r"the variance of its bootstraps is (\S+) of their mean", told)[1])
    values = transform(counts).astype(np.float32)
    mean = values.mean(0)
    chosen = (mean >= 2) & (mean <= mean.sum(1, keepdims=True) / 2)
    expected = np.median(values.var(0, ddof=1)[chosen] / mean[chosen])
    assert found == pytest.approx(expected, rel=0.06)
    assert found < 0.05


def test_one_isoform_with_all_reads_tells_nothing(small_cells: Cells) -> None:
    steady = np.zeros((4, 24, 30))
    steady[..., 0] = 300.0
    assert told_too_steady(with_bootstraps(small_cells, steady)) is None


def test_cells_with_fewer_bootstraps_are_measured_by_their_own(small_cells: Cells) -> None:
    counts = RNG.multinomial(500, RATES / RATES.sum(), (10, 24)).astype(float)
    counts[2:, ::2] = 0.0
    cells = with_bootstraps(small_cells, counts)
    numbers = np.where(np.arange(24) % 2, 10, 2)
    assert told_too_steady(replace(cells, num_bootstraps=numbers)) is None
    assert told_too_steady(replace(cells, summary=None)) is None
