"""Simulated cells: bursts, genes of high expression, and data sets like SymSim's own."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist

from exvae.data.simulators.symsim.cells import (
    choose_high_expression,
    draw_counts,
    simulate_cells,
)
from exvae.data.simulators.symsim.kinetics import PerParameter, match_kinetics
from exvae.data.simulators.symsim.library import LibraryPreparation
from exvae.data.simulators.symsim.observation import observe_full_length
from exvae.data.simulators.symsim.settings import ExpressionSettings, ObservationSettings
from exvae.data.simulators.symsim.tables import KINETIC_PARAMETERS

SETTINGS = ExpressionSettings()


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_bursts_are_beta_poisson_unless_a_gene_is_always_on() -> None:
    size = 40_000
    kon, koff, s = (
        np.array(values, np.float32) for values in ([0.5, 3, 2], [4, 1, 9], [40, 9, 30])
    )
    kinetics = PerParameter(*(np.tile(each, (size, 1)) for each in (kon, koff, s)))
    rates, counts = draw_counts(kinetics, np.array([2]), generator())
    assert counts.dtype == np.int32
    assert (rates <= s).all()
    np.testing.assert_array_equal(rates[:, 2], 30)
    on, total = kon / (kon + koff), kon + koff
    on[2] = 1.0
    mean = s * on
    variance = mean + s**2 * on * (1 - on) / (total + 1)
    np.testing.assert_allclose(counts.mean(0), mean, atol=4 * np.sqrt(variance / size).max())
    np.testing.assert_allclose(counts.var(0), variance, rtol=0.06)
    # Counts given their rates are Poisson.
    standardised = (counts - rates)[rates > 1] / np.sqrt(rates[rates > 1])
    assert standardised.var() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("num_genes", "chosen"), [(200, 3), (201, 4), (60, 1), (1000, 15)])
def test_genes_of_high_expression(num_genes: int, chosen: int) -> None:
    transcription = generator().lognormal(4, 1, (10, num_genes))
    genes, factors = choose_high_expression(transcription, SETTINGS, generator(1))
    assert len(set(genes)) == chosen
    np.testing.assert_allclose(np.sort(factors), 4 + np.arange(1, chosen + 1) / chosen)
    by_expression = np.argsort(transcription[:, genes].sum(0))
    assert (np.diff(factors[by_expression]) > 0).all()


def test_without_genes_of_high_expression() -> None:
    settings = replace(SETTINGS, high_expression_share=0.0)
    genes, factors = choose_high_expression(np.ones((3, 50)), settings, generator())
    assert len(genes) == len(factors) == 0
    cells = simulate_cells(20, 30, expression=settings)
    assert cells.expression.counts.shape == (20, 30)


def test_what_a_simulation_holds() -> None:
    cells = simulate_cells(60, 40, seed=3)
    truth, observed = cells.expression, cells.observation
    for array, dtype in (
        (truth.counts, np.int32),
        (truth.rates, np.float32),
        (truth.mean_counts, np.float32),
        (truth.kinetics.kon, np.float32),
        (observed.counts, np.int32),
        (observed.expected, np.float32),
    ):
        assert array.shape == (60, 40)
        assert array.dtype == dtype
        assert (array >= 0).all()
    assert truth.population_names == ("1", "2", "3", "4", "5")
    assert truth.populations.shape == observed.batches.shape == (60,)
    assert {each.shape for each in truth.evfs} == {(60, 10)}
    assert {each.shape for each in truth.gene_effects} == {(40, 10)}
    assert observed.library.capture_efficiency.shape == observed.library.depth.shape == (60,)
    assert observed.library.gene_lengths.shape == (40,)
    assert (observed.counts[truth.counts == 0] == 0).all()


def test_mean_counts_are_the_means_over_bursts() -> None:
    cells = simulate_cells(2000, 20, expression=replace(SETTINGS, high_expression_share=0.1))
    truth = cells.expression
    assert len(truth.high_expression_genes) == 2
    kon, koff, s = truth.kinetics
    on = kon / (kon + koff)
    variance = truth.mean_counts + s**2 * on * (1 - on) / (kon + koff + 1)
    variance[:, truth.high_expression_genes] = s[:, truth.high_expression_genes]
    scores = (truth.counts - truth.mean_counts).sum(0) / np.sqrt(variance.sum(0))
    assert np.abs(scores).max() < 4
    assert scores.std() == pytest.approx(1, abs=4 / np.sqrt(2 * 20))


def test_the_seed_decides_and_expression_ignores_the_observation() -> None:
    one, same, other = (simulate_cells(30, 25, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.observation.counts, same.observation.counts)
    assert (one.expression.counts != other.expression.counts).any()
    settings = ObservationSettings(protocol="umi", num_batches=2)
    umi = simulate_cells(30, 25, observation=settings, seed=1)
    np.testing.assert_array_equal(one.expression.counts, umi.expression.counts)
    np.testing.assert_array_equal(
        one.observation.library.gene_lengths, umi.observation.library.gene_lengths
    )
    assert umi.observation.counts.sum() < one.observation.counts.sum()


def test_lengths_may_be_given() -> None:
    lengths = np.arange(500, 530)
    observed = simulate_cells(10, 30, gene_lengths=lengths).observation
    np.testing.assert_array_equal(observed.library.gene_lengths, lengths)
    with pytest.raises(ValueError, match="10 cells and 29 genes"):
        simulate_cells(10, 30, gene_lengths=lengths[1:])


def test_too_few_cells_or_genes_are_refused() -> None:
    with pytest.raises(ValueError, match="num_cells is 4"):
        simulate_cells(4, 30)
    with pytest.raises(ValueError, match="num_genes must be at least 1"):
        simulate_cells(10, 0)
    with pytest.raises(ValueError, match="lower num_length_bins"):
        simulate_cells(10, 19)


def population_distances(counts: np.ndarray, populations: np.ndarray) -> np.ndarray:
    """Distances between mean log counts of populations, by the spread within; condensed."""
    logs = np.log1p(counts)
    means = np.stack([logs[populations == number].mean(0) for number in range(5)])
    within = np.sqrt(np.mean([logs[populations == number].var(0) for number in range(5)]))
    return pdist(means) / (within * np.sqrt(counts.shape[1]))


def describe(true_counts, observed, populations) -> dict[str, float]:
    """Statistics of a data set, on scales where they are nearly normal over seeds."""
    found = {}
    for name, counts in (("true", true_counts), ("observed", observed)):
        genes, dropout = np.log(counts.mean(0) + 0.1), (counts == 0).mean(0)
        found |= {
            f"{name}: zeros": dropout.mean(),
            f"{name}: log mean": np.log(counts.mean()),
            f"{name}: log variance": np.log(counts.var()),
            f"{name}: log counts": np.log1p(counts).mean(),
            f"{name}: spread of log counts": np.log1p(counts).std(),
            f"{name}: spread of log gene means": genes.std(),
            f"{name}: dropout and mean": stats.spearmanr(genes, dropout).statistic,
            f"{name}: log spread of totals": np.log(counts.sum(-1).std()),
            f"{name}: detected genes": (counts > 0).sum(-1).mean(),
            f"{name}: spread of detected genes": (counts > 0).sum(-1).std(),
            f"{name}: relative variance": np.median(counts.var(0) / (counts.mean(0) + 0.1) ** 2),
        }
        distances = population_distances(counts, populations)
        for pair, distance in zip(combinations("12345", 2), distances, strict=True):
            found[f"{name}: distance of populations {''.join(pair)}"] = distance
        for low, high in ((0, 5), (5, 20), (20, 100), (100, np.inf)):
            chosen = (counts.mean(0) >= low) & (counts.mean(0) < high)
            if chosen.any():
                found[f"{name}: dropout of genes from {low}"] = dropout[chosen].mean()
    found["zeros among present"] = (observed[true_counts > 0] == 0).mean()
    return found


def test_data_sets_are_like_symsims(shared_data: Path) -> None:
    """SymSim's own data set is one draw: it has to lie where ours of other seeds do."""
    with np.load(shared_data / "symsim" / "symsim_small.npz") as file:
        theirs = describe(file["true_counts"], file["observed_counts"], file["cell_type"])
    ours = []
    for seed in range(40):
        cells = simulate_cells(300, 200, seed=seed)
        truth = cells.expression
        ours.append(describe(truth.counts, cells.observation.counts, truth.populations))
    scores = {}
    for name, value in theirs.items():
        drawn = np.array([each[name] for each in ours if name in each])
        scores[name] = (value - drawn.mean()) / drawn.std(ddof=1)
    strange = {name: score for name, score in scores.items() if abs(score) > 3.5}
    assert not strange
    assert np.mean(np.square(list(scores.values()))) < 2
    near, far = (f"observed: distance of populations {pair}" for pair in ("45", "15"))
    assert all(each[near] < each[far] for each in [theirs, *ours])


def test_data_sets_are_symsims_given_its_factors_and_effects(shared_data: Path) -> None:
    """Without the luck of what genes are drawn, seeds differ by far less, and all has to agree."""
    with np.load(shared_data / "symsim" / "symsim_small.npz") as file:
        reference = dict(file)
    theirs = describe(
        reference["true_counts"], reference["observed_counts"], reference["cell_type"]
    )
    evfs, effects = (
        PerParameter(*(reference[f"{kind}_{p}"].astype(float) for p in KINETIC_PARAMETERS))
        for kind in ("evf", "gene_effects")
    )
    always_on = reference["hge_index"]
    library = LibraryPreparation(
        reference["gene_len"],
        *(reference[name].astype(float) for name in ("amp_bias", "alpha", "depth")),
    )
    ours = []
    for seed in range(16):
        draws = generator(seed)
        kinetics = match_kinetics(evfs, effects, SETTINGS, draws)
        kinetics.s[:, always_on] *= np.exp2(reference["hge_log2factor"])
        _, counts = draw_counts(kinetics, always_on, draws)
        observed = observe_full_length(counts, library, ObservationSettings(), draws).counts
        ours.append(describe(counts, observed, reference["cell_type"]))
    scores = []
    for name, value in theirs.items():
        drawn = np.array([each[name] for each in ours])
        scores.append((value - drawn.mean()) / (drawn.std(ddof=1) * np.sqrt(1 + 1 / len(ours))))
    # Of a t distribution with 15 degrees of freedom.
    assert np.abs(scores).max() < 4.5
    assert np.mean(np.square(scores)) < 2
    # The share of zeros differs by 0.004 between seeds where genes are drawn anew.
    assert np.std([each["true: zeros"] for each in ours]) < 0.002


def test_true_counts_are_symsims_given_its_kinetics(shared_data: Path) -> None:
    with np.load(shared_data / "symsim" / "symsim_small.npz") as file:
        reference = dict(file)
    theirs, always_on = reference["true_counts"], reference["hge_index"]
    kinetics = PerParameter(*(reference[f"param_{name}"] for name in ("kon", "koff", "s")))
    ours = [draw_counts(kinetics, always_on, generator(seed))[1] for seed in range(20)]
    for statistic in (
        lambda counts: (counts == 0).mean(),
        lambda counts: counts.mean(),
        lambda counts: np.log(counts.var()),
        lambda counts: np.log1p(counts).std(),
        lambda counts: np.log1p(counts).var(0).mean(),
        lambda counts: (counts == 0).mean(0).std(),
        lambda counts: counts.sum(-1).std(),
    ):
        drawn = np.array([statistic(counts) for counts in ours])
        assert abs(statistic(theirs) - drawn.mean()) < 4 * drawn.std(ddof=1)
    assert stats.ks_2samp(theirs, ours[0], axis=None).pvalue > 1e-3
    # Gene by gene, z scores of means and of the share of zeros.
    for by_gene in (lambda counts: counts.mean(0), lambda counts: (counts == 0).mean(0)):
        drawn = np.array([by_gene(counts) for counts in ours])
        spread = drawn.std(0, ddof=1)
        varying = spread > 0
        scores = (by_gene(theirs) - drawn.mean(0))[varying] / spread[varying]
        # Of a t distribution with 19 degrees of freedom.
        assert np.abs(scores).max() < 5.5
        assert scores.std() == pytest.approx(np.sqrt(19 / 17), rel=0.25)
