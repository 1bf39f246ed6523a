"""What bootstraps of cells look like, in numbers and in a picture."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells, summarise
from exvae.experiments.drawing.panels import tabulate
from exvae.experiments.simulator_checks.bootstraps import (
    VIEW,
    BootstrapMoments,
    moments_of,
    statistics_of,
    variances_of,
)


def cells_of(bootstraps: np.ndarray, types: np.ndarray) -> Cells:
    """Cells with bootstraps of shape (bootstraps, cells, isoforms)."""
    layers = tuple(map(csr_matrix, bootstraps.astype(np.float32)))
    num_cells, num_isoforms = bootstraps.shape[1:]
    return Cells(
        names=np.arange(num_cells).astype(str),
        isoforms=np.arange(num_isoforms).astype(str),
        genes=None,
        counts=csr_matrix(bootstraps.mean(0)),
        bootstraps=layers,
        summary=summarise(layers),
        num_bootstraps=np.full(num_cells, len(bootstraps)),
        obs=pd.DataFrame({"cell_type": types}),
        batches=np.zeros(num_cells, np.int64),
    )


def drawn(num_cells: int, num_isoforms: int, num_bootstraps: int, biological: float, seed: int):
    """Poisson bootstraps around estimates that are Poisson around 20 reads of this variance."""
    generator = np.random.default_rng(seed)
    levels = generator.gamma(400 / biological, biological / 20, (num_cells, num_isoforms))
    estimates = generator.poisson(levels)
    bootstraps = generator.poisson(estimates, (num_bootstraps, num_cells, num_isoforms))
    return cells_of(bootstraps, np.arange(num_cells) % 2)


def test_moments_are_those_of_the_bootstraps() -> None:
    generator = np.random.default_rng(0)
    bootstraps = generator.poisson(generator.gamma(0.3, 5, (12, 9)), (6, 12, 9)).astype(float)
    bootstraps[:, 0, 0] = [0.5, 3.99999, 0, 0, 2, 1]
    moments = moments_of(cells_of(bootstraps, np.arange(12) % 3))
    np.testing.assert_allclose(moments.mean, bootstraps.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, bootstraps.var(0, ddof=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moments.zeros, (bootstraps == 0).mean(0), atol=1e-12)
    # What rounding to six digits leaves is whole.
    assert moments.broken == 1 / bootstraps.size
    assert moments.types.tolist() == ["0", "1", "2"] * 4


@pytest.mark.parametrize("biological", [10.0, 60.0])
def test_variances_are_told_apart(biological: float) -> None:
    moments = moments_of(drawn(400, 100, 5, biological, seed=1))
    inferential, found = variances_of(moments)
    assert inferential.shape == found.shape == (200,)
    assert inferential.mean() == pytest.approx(20.0, rel=0.05)
    # Means of five bootstraps scatter 1 + 1/5 times the inferential variance around the truth.
    error = 4 * (biological + 24) * np.sqrt(2 / 200 / 200)
    assert found.mean() == pytest.approx(biological, abs=error)
    share = statistics_of(moments)[
        "share of isoforms and types with inferential variance above biological"
    ]
    assert (share > 0.95) == (biological < 20)


def test_isoforms_that_are_hardly_expressed_and_lone_cells_are_left_out() -> None:
    bootstraps = np.full((3, 5, 2), 4.0)
    bootstraps[:, :, 1] = 0.5
    moments = moments_of(cells_of(bootstraps, np.array(["a", "a", "b", "b", "c"])))
    inferential, biological = variances_of(moments)
    assert len(inferential) == len(biological) == 2


def test_statistics() -> None:
    mean = np.array([[0.0, 10.0], [0.5, 20.0], [0.0, 30.0]])
    zeros = np.array([[1.0, 0.0], [0.5, 0.0], [1.0, 0.0]])
    found = statistics_of(
        BootstrapMoments(mean, 2 * mean, zeros, 0.25, np.array(["a"] * 3), np.full(3, 4))
    )
    assert found["share of entries that are zero in every bootstrap"] == pytest.approx(1 / 3)
    assert found["share of entries that are zero in some"] == pytest.approx(1 / 6)
    assert found["share of bootstraps that are not whole"] == 0.25
    assert found["median bootstrap mean above 0 (reads)"] == 15.0
    assert found["variance / mean, 90% quantile above 5 reads (reads)"] == 2.0


def test_curves_and_their_picture() -> None:
    data = {
        "simulated": [moments_of(drawn(40, 30, 30, 10.0, seed)) for seed in (0, 1)],
        "kallisto": [moments_of(drawn(60, 20, 30, 30.0, 2))],
    }
    curves = {name: [VIEW.curves_of(each) for each in own] for name, own in data.items()}
    axes = VIEW.draw(curves).axes
    assert [axis.get_title() for axis in axes] == [panel.title for panel in VIEW.panels]
    references = {axis.get_title(): axis.get_legend().get_texts()[-1].get_text() for axis in axes}
    assert references["zeros by mean"] == "Poisson"
    assert references["variance of isoforms in cell types"] == "equal"
    table = tabulate(VIEW.panels, curves)
    means = table[(table["panel"] == "means of bootstraps") & (table["data"] == "kallisto")]
    # Four bins to a decade; every entry is in one.
    assert means["y"].sum() / 4 == pytest.approx(1.0)
    variances = table[table["panel"] == "variance of isoforms in cell types"]
    assert variances.groupby(["data", "replicate"]).size().to_dict() == {
        ("kallisto", 0): 40,
        ("simulated", 0): 60,
        ("simulated", 1): 60,
    }
    ratio = table[table["panel"] == "variance of bootstraps, median"]["y"]
    # Of Poisson bootstraps: for 30 of them that of a chi-squared variable, whose standard error is
    # 0.06 in the smallest bins that are shown.
    assert (ratio - stats.chi2.median(29) / 29).abs().max() < 4 * 0.06
