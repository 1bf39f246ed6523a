"""Capture, depth and bias of amplification."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from exvae.data.simulators.symsim.library import draw_library
from exvae.data.simulators.symsim.settings import ObservationSettings
from exvae.data.simulators.symsim.tables import draw_gene_lengths


def test_capture_and_depth_are_normal_within_bounds() -> None:
    settings = ObservationSettings(capture_mean=0.1, capture_sd=0.05, depth_mean=1e3, depth_sd=500)
    library = draw_library(20_000, np.arange(20) + 200, settings, np.random.default_rng(0))
    for drawn, mean, sd, low, high in (
        (library.capture_efficiency, 0.1, 0.05, 0.0005, 1.0),
        (library.depth, 1e3, 500, 200, np.inf),
    ):
        assert low <= drawn.min()
        assert drawn.max() <= high
        # Redrawing what is out of bounds.
        normal = np.random.default_rng(1).normal(mean, sd, 40_000)
        within = normal[(normal > low) & (normal < high)]
        assert stats.ks_2samp(drawn, within).pvalue > 1e-3


def test_without_spread_cells_are_alike() -> None:
    settings = ObservationSettings(capture_sd=0, depth_sd=0)
    library = draw_library(3, np.arange(20) + 200, settings, np.random.default_rng(0))
    np.testing.assert_array_equal(library.capture_efficiency, 0.1)
    np.testing.assert_array_equal(library.depth, 1e5)


def test_short_genes_amplify_better() -> None:
    generator = np.random.default_rng(0)
    lengths = draw_gene_lengths(4010, generator)
    bias = draw_library(1, lengths, ObservationSettings(), generator).amplification_bias
    assert np.abs(bias).max() <= 0.2 + 1e-12
    by_length = bias[np.argsort(lengths, kind="stable")]
    # Twenty bins of 200 genes, of which the last has ten more.
    bins = np.split(by_length, np.arange(200, 4000, 200))
    assert [len(each) for each in bins] == [200] * 19 + [210]
    centres = 0.19 - 0.02 * np.arange(20)
    for each, centre in zip(bins, centres, strict=True):
        assert np.abs(each - centre).max() <= 0.01 + 1e-12
        assert abs(each.mean() - centre) < 4 * 0.01 / np.sqrt(200)
    # The noise is cut, not redrawn: 16 % of a normal distribution are beyond each limit.
    noise = by_length - np.repeat(centres, [200] * 19 + [210])
    for limit in (-0.01, 0.01):
        assert np.isclose(noise, limit).mean() == pytest.approx(stats.norm.sf(1), abs=0.025)


def test_a_single_bin_has_no_slope() -> None:
    settings = ObservationSettings(num_length_bins=1, length_bias_slope=0.02)
    bias = draw_library(1, np.array([300]), settings, np.random.default_rng(0)).amplification_bias
    assert abs(bias[0]) <= 0.2


def test_fewer_genes_than_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="19 genes .* 20 bins .* lower num_length_bins"):
        draw_library(1, np.arange(19) + 200, ObservationSettings(), np.random.default_rng(0))
