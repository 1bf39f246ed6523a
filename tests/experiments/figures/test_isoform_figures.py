"""What the figures of bootstraps and of models of isoforms measure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells, summarise
from exvae.data.isoform_truth import IsoformTruth
from exvae.experiments.figures import (
    isoform_runs,
    isoforms_bootstraps,
    isoforms_calibration,
    isoforms_recovery,
    isoforms_states,
    isoforms_variance,
)
from exvae.experiments.figures.isoform_runs import KnownCells
from exvae.experiments.figures.workshop import Workshop
from exvae.experiments.isoforms.evaluation import evaluate
from exvae.experiments.isoforms.settings import IsoformConfig


def cells_of(bootstraps: np.ndarray, estimates: np.ndarray | None = None) -> Cells:
    """Cells with bootstraps of shape (bootstraps, cells, isoforms)."""
    layers = tuple(map(csr_matrix, bootstraps.astype(np.float32)))
    num_cells, num_isoforms = bootstraps.shape[1:]
    return Cells(
        names=np.arange(num_cells).astype(str),
        isoforms=np.arange(num_isoforms).astype(str),
        genes=None,
        counts=csr_matrix(bootstraps.mean(0) if estimates is None else estimates),
        bootstraps=layers,
        summary=summarise(layers),
        num_bootstraps=np.full(num_cells, len(bootstraps)),
        obs=pd.DataFrame(index=range(num_cells)),
        batches=np.zeros(num_cells, np.int64),
    )


def test_variances_of_pairs() -> None:
    generator = np.random.default_rng(0)
    bootstraps = generator.poisson(generator.gamma(1.0, 4.0, (7, 5)), (9, 7, 5)).astype(float)
    estimates = generator.gamma(2.0, 3.0, (7, 5))
    found = isoforms_variance.variances_of_pairs(cells_of(bootstraps, estimates))
    expected: list[tuple[float, float]] = []
    for cell in range(7):
        for isoform in range(5):
            own = bootstraps[:, cell, isoform]
            if own.mean() > 2:
                expected.append((own.var(ddof=1), estimates[:, isoform].var(ddof=1)))
    np.testing.assert_allclose(np.stack(found, 1), expected, rtol=1e-5)


def test_deeper_cells_vary_more_between_cells_than_between_bootstraps(tmp_path) -> None:
    workshop = Workshop(tmp_path, quick=True)
    shares = []
    for reads in (2.0, 60.0):
        sizes = isoform_runs.sizes_of(workshop, reads_per_isoform=reads, num_cells=9999)
        assert sizes.num_cells == isoform_runs.QUICK.num_cells
        cells = isoform_runs.simulated(workshop, sizes, 0).cells
        inferential, biological = isoforms_variance.variances_of_pairs(cells)
        shares.append(np.mean(inferential >= biological))
    assert shares[0] > shares[1]


def test_shapes_of_gaussian_bootstraps_are_those_drawn_beside() -> None:
    generator = np.random.default_rng(0)
    cells = cells_of(generator.normal(50.0, 5.0, (11, 300, 4)))
    table = isoforms_bootstraps._measure("x", cells)
    wide = table[table["panel"] == "scaled"].pivot(index="x", columns="level", values="y")
    assert set(wide) == {"10 to 100 reads", "Gaussian"}
    # 1200 pairs of 11 bootstraps, and 20 000 of the reference.
    assert (wide["10 to 100 reads"] - wide["Gaussian"]).abs().max() < 0.02
    mass = table[table["panel"] == "mass of the median"]
    assert mass.loc[np.isclose(mass["x"], 1 / 11), "y"].tolist() == [1.0, 1.0]
    zeros = table[table["panel"] == "zeros"]
    assert zeros["y"].tolist() == [1.0] + [0.0] * 11


def test_shapes_tell_zeros_and_ties() -> None:
    bootstraps = np.array([0.0, 3.0, 3.0, 3.0, 9.0]).reshape(5, 1, 1)
    table = isoforms_bootstraps._measure("x", cells_of(bootstraps))
    table = table.set_index(["panel", "level"]).sort_index()
    low = "2 to 10 reads"
    scaled = table.loc[("scaled", low)].set_index("x")["y"]
    assert scaled.iloc[[0, 20, 40]].tolist() == pytest.approx([0.2, 0.8, 1.0])
    mass = table.loc[("mass of the median", low)]
    assert mass.loc[mass["y"] == 1, "x"].tolist() == [pytest.approx(0.6)]
    median = table.loc[("median", low)]
    assert median.loc[median["y"] == 1, "x"].tolist() == [pytest.approx(0.3)]
    zeros = table.loc[("zeros", "all with reads")]
    assert zeros.loc[zeros["y"] == 1, "x"].tolist() == [pytest.approx(0.2)]


@pytest.mark.parametrize("error", ["shared", "independent"])
def test_intervals_of_bootstraps_cover_where_their_error_is_right(error: str) -> None:
    generator = np.random.default_rng(1)
    truth = generator.gamma(20.0, 10.0, (200, 50))
    estimate = truth + 5.0 * generator.normal(size=truth.shape) * (error == "shared")
    bootstraps = estimate + 5.0 * generator.normal(size=(40, *truth.shape))
    known = KnownCells(cells_of(bootstraps), IsoformTruth(truth, np.full(200, "a")))
    covered = isoforms_calibration.coverage_of_bootstraps(known, error, (0.5, 0.95))
    # Of 40 bootstraps the standard deviation is known to 11 %.
    assert covered == pytest.approx([0.5, 0.95], abs=0.02)
    other = {"shared": "independent", "independent": "shared"}[error]
    wrong = isoforms_calibration.coverage_of_bootstraps(known, other, (0.5,))
    assert abs(wrong[0] - 0.5) > 0.3


@pytest.fixture(scope="module")
def workshop(tmp_path_factory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"), quick=True)


def test_coverage_of_a_fit_is_that_of_its_evaluation(workshop: Workshop) -> None:
    sizes = isoform_runs.sizes_of(workshop)
    known = isoform_runs.simulated(workshop, sizes, 0)
    fit = isoform_runs.fitted(workshop, known, IsoformConfig(), sizes.epochs, 0)
    assert fit is isoform_runs.fitted(workshop, known, IsoformConfig(), sizes.epochs, 0)
    levels = (0.95, 0.5, 0.8)
    covered = isoforms_calibration.coverage_of_fit(fit, known.cells, known.truth, levels)
    measured = evaluate(fit, known.cells, truth=known.truth, likelihood_samples=1)["coverage"]
    # Draws are others, and only 117 entries are expressed.
    assert covered == pytest.approx([measured[str(level)] for level in levels], abs=0.03)
    wrong = IsoformTruth(10 * known.truth.expected + 1e4, known.truth.cell_types)
    assert isoforms_calibration.coverage_of_fit(fit, known.cells, wrong, levels) == [0.0] * 3


def test_cells_with_fewer_bootstraps(workshop: Workshop) -> None:
    cells = isoform_runs.simulated(workshop, isoform_runs.sizes_of(workshop), 0).cells
    fewer = isoform_runs.with_bootstraps(cells, 2)
    assert len(fewer.bootstraps) == 2
    mean = (cells.bootstraps[0] + cells.bootstraps[1]).toarray() / 2
    np.testing.assert_allclose(fewer.mean_bootstraps.toarray(), mean, rtol=1e-5)


def test_errors_of_groups_make_up_that_of_all() -> None:
    generator = np.random.default_rng(2)
    truth = generator.gamma(0.5, 20.0, (30, 20))
    known = KnownCells(
        cells_of(generator.poisson(truth, (6, 30, 20))), IsoformTruth(truth, np.full(30, "a"))
    )
    estimates = np.log1p(truth) + generator.normal(size=truth.shape)
    table = isoforms_recovery._errors(estimates, known)
    whole = table[table["by"] == "all"]["rmse"].item()
    assert whole == pytest.approx(1.0, abs=0.1)
    groups = table[table["by"] == "expression"]
    assert groups["entries"].sum() == 600
    squares = (groups["entries"] * groups["rmse"] ** 2).sum() / 600
    assert squares == pytest.approx(whole**2)


def test_purity() -> None:
    types = np.repeat(["a", "b"], 20)
    apart = np.r_[np.zeros(20), np.ones(20)][:, np.newaxis] + 0.01 * np.arange(40)[:, np.newaxis]
    assert isoforms_states.purity(apart, types) == 1.0
    alike = np.random.default_rng(0).normal(size=(40, 2))
    assert 0.3 < isoforms_states.purity(alike, types) < 0.65
