"""Populations, their factors, and the kinetic parameters of every gene in every cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from exvae.data.simulators.symsim.kinetics import (
    PerParameter,
    draw_evfs,
    draw_gene_effects,
    draw_populations,
    match_kinetics,
    match_ranks,
)
from exvae.data.simulators.symsim.population_tree import parse_newick
from exvae.data.simulators.symsim.settings import ExpressionSettings
from exvae.data.simulators.symsim.tables import KINETIC_PARAMETERS, draw_sorted_kinetics

SETTINGS = ExpressionSettings()
TREE = parse_newick(SETTINGS.tree)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("num_cells", "smallest"), [(300, 50), (2000, 333), (5, 0), (6, 1)])
def test_sizes_of_populations(num_cells: int, smallest: int) -> None:
    populations = draw_populations(num_cells, TREE, SETTINGS, generator())
    assert populations.dtype == np.int32
    assert (np.diff(populations) >= 0).all()
    sizes = np.bincount(populations, minlength=5)
    assert sizes.sum() == num_cells
    assert sizes[1] == smallest
    assert np.ptp(np.delete(sizes, 1)) <= 1


def test_cells_left_over_go_to_any_but_the_smallest() -> None:
    larger = np.zeros(5)
    for seed in range(200):
        sizes = np.bincount(draw_populations(302, TREE, SETTINGS, generator(seed)))
        larger += sizes == sizes.max()
    # 302 - 50 = 4 * 63, and 303 leaves one over.
    assert (larger[[0, 2, 3, 4]] == 200).all()
    extra = np.zeros(5)
    for seed in range(400):
        sizes = np.bincount(draw_populations(303, TREE, SETTINGS, generator(seed)))
        extra[sizes.argmax()] += 1
    assert extra[1] == 0
    assert stats.chisquare(extra[[0, 2, 3, 4]]).pvalue > 1e-3


def test_one_population_and_too_few_cells() -> None:
    one = ExpressionSettings(tree="A:1;", smallest_population=0, smallest_population_share=0.5)
    populations = draw_populations(7, parse_newick(one.tree), one, generator())
    np.testing.assert_array_equal(populations, 0)
    assert len(populations) == 7
    with pytest.raises(ValueError, match="num_cells is 4, but there are 5 populations"):
        draw_populations(4, TREE, SETTINGS, generator())


def test_means_of_populations_are_correlated_as_the_tree_says() -> None:
    settings = replace(SETTINGS, num_evfs=4000, num_differential_evfs=3990)
    populations = np.repeat(np.arange(5), 30)
    evfs = draw_evfs(populations, TREE, settings, generator())
    means = evfs.s[:, 10:].reshape(5, 30, -1).mean(1)
    # Sampling error of a mean of 30 cells adds to the variance.
    covariance = np.cov(means) - np.eye(5) * 0.4**2 / 30
    np.testing.assert_allclose(covariance, TREE.correlation, atol=5 * np.sqrt(2 / 3990))
    np.testing.assert_allclose(means.mean(1), 1.0, atol=5 / np.sqrt(3990))
    within = evfs.s[:, 10:].reshape(5, 30, -1).std(1, ddof=1)
    assert np.sqrt((within**2).mean()) == pytest.approx(0.4, rel=0.01)
    same = evfs.s[:, :10]
    assert stats.f_oneway(*np.split(same[:, 0], 5)).pvalue > 1e-3
    for evf in (*evfs.kon.T[:5], *evfs.koff.T[:5]):
        assert stats.ks_1samp(evf, stats.norm(1, 0.4).cdf).pvalue > 1e-4


def test_which_parameters_differ_between_populations() -> None:
    settings = replace(SETTINGS, differential_parameters=("kon", "koff"), evf_sd=0.0)
    evfs = draw_evfs(np.arange(5), TREE, settings, generator())
    differ = [np.ptp(each, axis=0) > 0 for each in evfs]
    np.testing.assert_array_equal(differ, [[False] + [True] * 9] * 2 + [[False] * 10])


def test_effects_are_sparse_and_normal() -> None:
    settings = replace(SETTINGS, effect_mean=0.5, effect_sd=2.0)
    effects = draw_gene_effects(3000, settings, generator())
    for each in effects:
        assert each.shape == (3000, 10)
        present = each[each != 0]
        assert abs(len(present) / 30_000 - 0.3) < 4 * np.sqrt(0.21 / 30_000)
        assert stats.ks_1samp(present, stats.norm(0.5, 2).cdf).pvalue > 1e-3
    assert not np.array_equal(effects.kon, effects.s)


def test_ranks_and_ties() -> None:
    scores = np.array([[3.0, 0.0], [0.0, -1.0], [0.0, 0.0]])
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    # Ranks of the four zeros are 2 to 5, on average 3.5.
    np.testing.assert_array_equal(match_ranks(scores, values), [[6, 3], [3, 1], [3, 3]])
    np.testing.assert_array_equal(match_ranks(np.zeros((1, 3)), values[:3]), [[2, 2, 2]])
    np.testing.assert_array_equal(
        match_ranks(np.array([[1.0, 1.0], [2.0, 2.0]]), values[:4]), [[1, 1], [3, 3]]
    )
    np.testing.assert_array_equal(values, [1, 2, 3, 4, 5, 6])


def test_ranks_of_scores_of_either_sign() -> None:
    scores = generator().standard_normal((50, 40)) ** 3
    scores[3] = -0.0
    scores[7] = 0.0
    values = np.sort(generator(1).standard_normal(2000))
    ranks = stats.rankdata(scores).astype(int).reshape(50, 40)
    np.testing.assert_array_equal(match_ranks(scores, values), values.astype(np.float32)[ranks - 1])


def test_kinetics_keep_the_order_of_scores_and_the_density() -> None:
    populations = draw_populations(400, TREE, SETTINGS, generator())
    evfs = draw_evfs(populations, TREE, SETTINGS, generator(1))
    effects = draw_gene_effects(150, replace(SETTINGS, effect_probability=0.9), generator(2))
    effects.kon[7] = 0.0
    kinetics = match_kinetics(evfs, effects, SETTINGS, generator(3))
    constant = kinetics.kon[:, 7]
    assert (constant == constant[0]).all()
    for parameter, matched, factors, each in zip(
        KINETIC_PARAMETERS, kinetics, evfs, effects, strict=True
    ):
        assert matched.dtype == np.float32
        varying = (each != 0).any(1)
        order = np.argsort((factors @ each.T)[:, varying], axis=None)
        assert (np.diff(np.log(matched[:, varying].ravel()[order])) >= 0).all()
        density = draw_sorted_kinetics(parameter, matched[:, varying].size, generator(4))
        assert stats.ks_2samp(np.log10(matched[:, varying]).ravel(), density).statistic < 0.015


@pytest.mark.parametrize("num_genes", [1, 20, 21])
def test_half_of_the_genes_can_be_bimodal(num_genes: int) -> None:
    evfs = draw_evfs(np.repeat(np.arange(5), 4), TREE, SETTINGS, generator())
    effects = draw_gene_effects(num_genes, SETTINGS, generator(1))
    plain, bimodal = (
        match_kinetics(evfs, effects, replace(SETTINGS, bimodality=b), generator(2))
        for b in (0.0, 0.5)
    )
    factor = np.where(np.arange(num_genes) < num_genes // 2, 10**0.5, 1.0)
    for one, other in zip(plain[:2], bimodal[:2], strict=True):
        np.testing.assert_allclose(one, other * factor, rtol=1e-5)
    np.testing.assert_array_equal(plain.s, bimodal.s)


def test_transcription_is_scaled() -> None:
    evfs = draw_evfs(np.repeat(np.arange(5), 4), TREE, SETTINGS, generator())
    effects = draw_gene_effects(10, SETTINGS, generator(1))
    plain, scaled = (
        match_kinetics(evfs, effects, replace(SETTINGS, transcription_scale=k), generator(2))
        for k in (1.0, 3.0)
    )
    np.testing.assert_allclose(scaled.s, 3 * plain.s, rtol=1e-5)
    np.testing.assert_array_equal(scaled.kon, plain.kon)


def test_symsims_factors_and_effects_give_symsims_kinetics(shared_data: Path) -> None:
    with np.load(shared_data / "symsim" / "symsim_small.npz") as file:
        reference = dict(file)
    evfs, effects = (
        PerParameter(*(reference[f"{kind}_{p}"].astype(float) for p in KINETIC_PARAMETERS))
        for kind in ("evf", "gene_effects")
    )
    one, two = (match_kinetics(evfs, effects, SETTINGS, generator(seed)) for seed in (0, 1))
    factors = reference["hge_log2factor"]
    reference["param_s"][:, reference["hge_index"]] /= 2**factors
    for parameter, first, second in zip(KINETIC_PARAMETERS, one, two, strict=True):
        theirs = np.log10(reference[f"param_{parameter}"])
        chance = np.sqrt(np.mean((np.log10(first) - np.log10(second)) ** 2))
        assert np.sqrt(np.mean((np.log10(first) - theirs) ** 2)) < 2 * chance
        assert stats.spearmanr(theirs, first, axis=None).statistic > 0.99999
