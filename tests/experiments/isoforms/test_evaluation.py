"""Figures of merit of a fit: what they are of, and against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest

from exvae.data.cell_batches import CountTensors
from exvae.data.cell_matrices import CellMatrices
from exvae.data.isoform_truth import IsoformTruth
from exvae.data.stored_cells import store_cells
from exvae.experiments.isoforms import evaluation, fitting, inference
from exvae.experiments.isoforms.settings import SUBSETS

CELLS, ISOFORMS, BOOTSTRAPS = 30, 6, 5
# Where figures need no precision.
FEW = ("--likelihood-samples", 2, "--samples", 2)
LEVELS = (0.5, 0.8, 0.95)
plain_kinds = pytest.mark.parametrize("kind", ["effective", "scvi"])


def test_evaluate_gives_the_figures_agreed(exvae, folder: Path, fitted, kind: str) -> None:
    arguments = ["isoforms", "evaluate", fitted[kind], folder / "cells.h5ad", "--json", *FEW]
    plain = exvae(*arguments).json
    assert set(plain) == {"cells", "isoforms", "loss_per_cell", "nll_point_estimates"}
    measured = exvae(*arguments, "--truth", folder / "truth.npz").json
    assert set(measured) == set(plain) | {
        "coverage",
        "coverage_all",
        "coverage_by_tenth",
        "interval_width",
        "rmse_log1p",
        "rmse_log1p_quantifier",
        "rmse_log1p_bootstraps",
        "adjusted_rand_index",
        "genes",
        "normalised",
    }
    for part in ("genes", "normalised"):
        assert 0.1 < measured[part]["coverage"]["0.5"] < measured[part]["coverage"]["0.8"] <= 1.0
        assert measured[part]["rmse_log1p"] > 0
    assert {name: measured[name] for name in plain} == plain
    assert list(measured["coverage"]) == ["0.5", "0.8", "0.95"]
    assert 0.2 < measured["coverage"]["0.5"] < measured["coverage"]["0.8"]
    assert measured["coverage"]["0.8"] < measured["coverage"]["0.95"] <= 1.0
    assert measured["adjusted_rand_index"] > 0.8
    assert (measured["cells"], measured["isoforms"]) == (CELLS, ISOFORMS)
    sizes = {subset: exvae(*arguments, "--subset", subset).json["cells"] for subset in SUBSETS}
    assert sizes == {"all": 30, "train": 24, "held-out": 6}


def test_a_loss_that_is_not_finite_is_an_error(
    exvae, folder: Path, fitted: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "loss_per_cell", lambda *_: float("nan"))
    told = exvae("isoforms", "evaluate", fitted["effective"], folder / "cells.h5ad", *FEW)
    assert told.status == 2
    assert "cells.h5ad: " in told.err
    assert "nan: the model cannot score" in told.err


def test_figures_against_the_truth_are_those_of_the_export(
    exvae, folder: Path, fitted: dict[str, Path], tmp_path: Path
) -> None:
    source = folder / "cells.h5ad"
    measured = exvae(
        *["isoforms", "evaluate", fitted["effective"], source, "--json"],
        *["--truth", folder / "truth.npz", "--likelihood-samples", 1],
    ).json
    out = tmp_path / "out.h5ad"
    written = exvae(
        *["isoforms", "export", fitted["effective"], source, "--out", out],
        *["--quantiles", 0.1, 0.25, 0.75, 0.9, "--json"],
    )
    assert written.status == 0, written.err
    exported = anndata.read_h5ad(out)
    dense = {name: values.toarray() for name, values in exported.layers.items()}
    truth = np.load(folder / "truth.npz")["expected"][:, ::-1]
    bootstraps = np.stack([dense[f"infRep{b + 1}"] for b in range(BOOTSTRAPS)]).mean(0)

    def rmse(log1p: np.ndarray) -> float:
        return float(np.sqrt(np.mean((log1p - np.log1p(truth)) ** 2)))

    found = rmse(dense["expression_log1p"])
    assert measured["rmse_log1p"] == pytest.approx(found, rel=0.02)
    assert measured["rmse_log1p_quantifier"] == pytest.approx(rmse(np.log1p(exported.X.toarray())))
    assert measured["rmse_log1p_bootstraps"] == pytest.approx(rmse(np.log1p(bootstraps)))
    for level, low, high in (("0.5", 0.25, 0.75), ("0.8", 0.1, 0.9)):
        inside = dense[f"expression_q{low}"] <= truth
        inside &= truth <= dense[f"expression_q{high}"]
        expected = inside[bootstraps > 2].mean()
        assert measured["coverage"][level] == pytest.approx(expected, abs=0.04)


def test_rand_index() -> None:
    types = np.array(["a", "b", "c"]).repeat(10)
    states = np.random.default_rng(0).normal(size=(30, 2)) * 0.1
    states[:, 0] += np.repeat([0, 5, 10], 10)
    assert evaluation.rand_index(states, types) == 1.0
    assert evaluation.rand_index(states, np.tile(["a", "b", "c"], 10)) < 0.1


# Against numbers worked out


def expected_figures(draws: np.ndarray, truth: np.ndarray, expressed: np.ndarray) -> dict:
    """Coverage, width and error of posteriors with these draws, shape (draws, cells, isoforms)."""
    ends = {
        level: np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0) for level in LEVELS
    }
    inside = {level: (low <= truth) & (truth <= high) for level, (low, high) in ends.items()}
    low, high = ends[0.8]
    error = np.log1p(draws).mean(0) - np.log1p(truth)
    return {
        "coverage": {str(level): inside[level][expressed].mean() for level in LEVELS},
        "interval_width": np.median((np.log1p(high) - np.log1p(low))[expressed]),
        "rmse_log1p": np.sqrt(np.mean(error**2)),
    }


def compared(loaded, positions: np.ndarray, truth: IsoformTruth, **options: int) -> dict:
    source = loaded.fit.source(loaded.cells)
    return evaluation.compare(loaded.fit, source, positions, truth, 1, **options).figures()


@plain_kinds
@pytest.mark.parametrize("block", [2 * ISOFORMS, 10**6])
def test_each_cell_is_compared_with_its_own_truth(load: Callable, kind: str, block: int) -> None:
    loaded = load(kind).with_known_expression()
    positions = np.array([17, 3, 29, 4, 0, 12, 21])
    truth = loaded.truth.select(positions)
    # Some isoforms are not expressed, and posteriors of these have truths of their own.
    found = compared(loaded, positions, truth, block=block)
    bootstraps = np.stack([layer.toarray() for layer in loaded.cells.bootstraps]).mean(0)[positions]
    draws = loaded.known_draws()[:, positions]
    expected = expected_figures(draws, truth.expected, bootstraps > 2)
    assert 0.1 < expected["coverage"]["0.8"] < 0.9
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-3), name
    estimates = loaded.cells.counts[positions].toarray()
    for name, reads in (("quantifier", estimates), ("bootstraps", bootstraps)):
        error = np.log1p(reads) - np.log1p(truth.expected)
        assert found[f"rmse_log1p_{name}"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-4)


def test_entries_are_expressed_by_their_mean_bootstrap(load: Callable) -> None:
    """Not by the quantifier's estimate, nor by the bootstraps of other cells."""
    loaded = load("effective").with_known_expression()
    bootstraps = loaded.cells.mean_bootstraps.toarray()
    positions = np.flatnonzero((bootstraps <= 2).any(1) & (bootstraps > 2).any(1))[::-1].copy()
    assert len(positions) > 3
    expressed = bootstraps[positions] > 2
    draws = loaded.known_draws()[:, positions]
    # The truth is right where they are expressed, and nowhere else.
    expected = np.where(expressed, np.median(draws, 0), 1e4)
    truth = IsoformTruth(expected, loaded.truth.cell_types[positions])
    found = compared(loaded, positions, truth, block=ISOFORMS)
    assert found["coverage"] == {"0.5": 1.0, "0.8": 1.0, "0.95": 1.0}
    assert found["coverage_all"]["0.95"] == pytest.approx(expressed.mean(), abs=1e-6)


@pytest.mark.parametrize("subset", SUBSETS)
def test_figures_are_of_the_subset_asked_for(load: Callable, subset: str) -> None:
    loaded = load("effective").with_known_expression()
    shares = {"train_fraction": 0.6}
    loaded.fit.config.update(split=shares, training={**loaded.fit.config["training"], "seed": 5})
    trained_on, held_out = fitting.split_cells(CELLS, 0.6, 5)
    positions = {"all": np.arange(CELLS), "train": trained_on, "held-out": held_out}[subset]
    found = evaluation.evaluate(
        loaded.fit,
        loaded.cells,
        subset=subset,
        truth=loaded.truth,
        likelihood_samples=1,
        posterior_samples=1,
    )
    chosen = evaluation.chosen_positions(loaded.fit, loaded.cells, subset)
    assert chosen.tolist() == sorted(positions.tolist())
    assert found["cells"] == len(positions)
    truth = loaded.truth.expected[positions]
    expressed = loaded.cells.mean_bootstraps[positions].toarray() > 2
    expected = expected_figures(loaded.known_draws()[:, positions], truth, expressed)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-3), name


def test_types_are_compared_with_the_states_of_their_cells(load: Callable) -> None:
    loaded = load("effective")
    positions = np.random.default_rng(0).permutation(CELLS)[:20]
    states = inference.mean_states(loaded.guide, loaded.tensors, positions)
    # Types that are the two sides of the first component of the states themselves.
    centred = states - states.mean(0)
    side = centred @ np.linalg.svd(centred, full_matrices=False)[2][0] > 0
    truth = IsoformTruth(loaded.truth.expected[positions], np.where(side, "a", "b"))
    found = compared(loaded, positions, truth)
    assert found["adjusted_rand_index"] > 0.9


# What is asked for


@plain_kinds
def test_likelihoods_are_of_an_entry_and_losses_of_a_cell(load: Callable, kind: str) -> None:
    loaded = load(kind)
    positions = np.arange(CELLS)
    found = evaluation.evaluate(loaded.fit, loaded.cells, likelihood_samples=50)
    bound = inference.log_prob_of_point_estimates(
        loaded.model, loaded.guide, CountTensors(loaded.cells), positions, num_samples=50
    )
    assert found["nll_point_estimates"] == pytest.approx(-bound / CELLS / ISOFORMS, rel=0.01)
    loss = inference.loss_per_cell(loaded.model, loaded.guide, loaded.tensors, positions)
    assert found["loss_per_cell"] == pytest.approx(loss, rel=0.02)


def test_as_many_draws_as_asked_for(load: Callable) -> None:
    loaded = load("scvi").with_known_expression()

    def measured(**samples: int) -> dict:
        return evaluation.evaluate(loaded.fit, loaded.cells, truth=loaded.truth, **samples)

    few = measured(likelihood_samples=1, posterior_samples=3)
    assert sum(loaded.asked) == 3
    many = measured(likelihood_samples=60, posterior_samples=3)
    assert sum(loaded.asked) == 6
    # Of a guide that is too sure, and whose bound is far from the likelihood for it.
    assert many["nll_point_estimates"] < few["nll_point_estimates"] - 0.1


def test_the_seed_is_that_of_all_draws(load: Callable) -> None:
    loaded = load("effective")

    def measured(seed: int) -> dict:
        samples = {"likelihood_samples": 2, "posterior_samples": 2}
        return evaluation.evaluate(
            loaded.fit, loaded.cells, truth=loaded.truth, seed=seed, **samples
        )

    first, again, other = measured(1), measured(1), measured(2)
    assert first == again
    for name in ("loss_per_cell", "nll_point_estimates", "rmse_log1p", "interval_width"):
        assert first[name] != other[name], name


@pytest.mark.parametrize(
    ("cells", "isoforms", "expected"),
    [
        (240, 879, 596),
        (5000, 879, 596),
        (50_000, 879, 3125),
        (50_000, 20_000, 419),
        (10**6, 100_000, 83),
        (10, 10**6, 1),
        (10, 10**8, 1),
    ],
)
def test_cells_of_a_part(cells: int, isoforms: int, expected: int) -> None:
    assert evaluation._cells_of_part(cells, isoforms) == expected


@pytest.mark.parametrize(("compared", "times"), [(False, 2), (True, 3)])
def test_cells_on_disk_are_read_once_for_all_parts(
    load: Callable, monkeypatch: pytest.MonkeyPatch, compared: bool, times: int
) -> None:
    loaded = load("effective")
    stored = loaded.fit.conform(store_cells(loaded.source, "donor", window=2000))
    read: list[int] = []
    rows = type(stored).rows

    def counted(self, own: slice, names: object, layers: object = None) -> CellMatrices:
        read.append(own.stop - own.start)
        return rows(self, own, names, layers)

    monkeypatch.setattr(type(stored), "rows", counted)
    truth = loaded.truth if compared else None
    asked = {"likelihood_samples": 2, "posterior_samples": 2, "truth": truth, "part": 4}
    found = evaluation.evaluate(loaded.fit, stored, **asked)
    # For the loss and for the likelihood of the estimates, and for the estimates themselves.
    assert sum(read) == times * CELLS
    assert found == evaluation.evaluate(loaded.fit, loaded.cells, **asked)
