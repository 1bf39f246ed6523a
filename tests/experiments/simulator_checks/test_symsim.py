"""Pictures of simulated counts beside others."""

from __future__ import annotations

import numpy as np
import pytest

from exvae.data.simulators.symsim.cells import simulate_cells
from exvae.experiments.drawing.panels import tabulate
from exvae.experiments.simulator_checks.symsim import (
    VIEW,
    CellCounts,
    distribution,
    statistics_of,
    zeros_given_molecules,
)

COUNTS = CellCounts(
    np.array([[0, 1, 1, 1], [3, 4, 300, 500]]), np.array([[0, 0, 0, 9], [0, 7, 90, 80]])
)


def test_zeros_given_molecules() -> None:
    molecules, zeros = zeros_given_molecules(COUNTS)
    assert (molecules[0], zeros[0]) == (1, pytest.approx(2 / 3))
    assert np.isnan(molecules[1])
    assert (molecules[2], zeros[2]) == (3.5, 0.5)
    assert (molecules[-1], zeros[-1]) == (400, 0)


def test_densities_sum_to_the_share_above_zero() -> None:
    values = np.random.default_rng(0).negative_binomial(0.3, 0.01, 5000)
    edges, density = distribution(values)
    assert (density * np.diff(np.log10(edges), append=np.nan))[:-1].sum() == pytest.approx(
        np.mean(values > 0)
    )
    assert density[-1] == 0
    assert (density[:8] > 0).all()


def test_statistics() -> None:
    found = statistics_of(COUNTS)
    assert found["share of zeros, true"] == 1 / 8
    assert found["share of zeros, observed"] == 4 / 8
    assert found["log10 mean count, observed"] == pytest.approx(np.log10(186 / 8))
    assert found["median genes detected in a cell, observed"] == 2.0
    assert found["share not observed, from 1 molecules"] == pytest.approx(2 / 3)
    assert np.isnan(found["share not observed, from 2 molecules"])


def test_data_sets_of_different_sizes() -> None:
    data = {"one": [], "two": []}
    for name, num_cells, seed in (("one", 20, 0), ("one", 20, 1), ("two", 35, 2)):
        cells = simulate_cells(num_cells, 30, seed=seed)
        data[name].append(CellCounts(cells.expression.counts, cells.observation.counts))
    curves = {name: [VIEW.curves_of(each) for each in own] for name, own in data.items()}
    table = tabulate(VIEW.panels, curves)
    figure = VIEW.draw(curves)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == table["panel"].unique().tolist()
    assert titles == [
        "molecules",
        "observed counts",
        "genes",
        "technical zeros",
        "totals of cells",
        "variance of genes",
    ]
    genes = table[(table["panel"] == "genes") & (table["replicate"] == 1)]
    assert set(genes["data"]) == {"one"}
    np.testing.assert_allclose(genes["x"], 1 + data["one"][1].observed.mean(0))
    np.testing.assert_allclose(genes["y"], (data["one"][1].observed == 0).mean(0))
    genes = table[(table["panel"] == "variance of genes") & (table["data"] == "two")]
    np.testing.assert_allclose(genes["x"], data["two"][0].observed.mean(0))
    np.testing.assert_allclose(genes["y"], data["two"][0].observed.var(0))
    totals = table[(table["panel"] == "totals of cells") & (table["data"] == "two")]
    assert (len(totals), totals["y"].iloc[-1]) == (35, 1.0)


def test_counts_that_are_all_zero() -> None:
    counts = CellCounts(*(np.zeros((4, 3), np.int32),) * 2)
    figure = VIEW.draw({"empty": [VIEW.curves_of(counts)]})
    figure.draw_without_rendering()
    assert figure.axes[5].get_yscale() == "linear"
