"""Group means: against means of known draws, with intervals that errors of all cells widen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from exvae.data.cells import Cells
from exvae.experiments.isoforms.expression import Scale
from exvae.experiments.isoforms.group_means import group_means

from .group_cells import draw_group_cells

LABELS = np.array(["x", "y", "x", ""] * 6)


@pytest.fixture
def fit(fit_cells):
    return fit_cells()


@pytest.fixture
def known(fit, small_cells: Cells, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Let the posterior of each cell be a point; expression (reads), shape (cells, isoforms)."""
    rng = np.random.default_rng(0)
    reads = rng.gamma(2.0, 20.0, (small_cells.num_cells, small_cells.num_isoforms))
    values = torch.tensor(reads, dtype=torch.float32)
    means = small_cells.mean_bootstraps.toarray()

    def draw(latents: dict, batches: Tensor, obs: Tensor) -> Tensor:
        # Cells are known by their observations.
        rows = [np.abs(means - own[:, 1].numpy()).sum(1).argmin() for own in obs]
        return values[rows].expand(400, -1, -1)

    monkeypatch.setattr(fit.model, "draw_own_expression", draw)
    return reads


def no_common_error(reads: Tensor) -> Tensor:
    return reads


def test_a_group_of_one_cell_has_no_interval(fit, small_cells: Cells) -> None:
    labels = np.array(["one"] + ["other"] * 23)
    table = group_means(fit, fit.conform(small_cells), labels, Scale("gene"), 10)
    alone = table[table["group"] == "one"]
    assert alone[["low", "high"]].isna().to_numpy().all()
    assert not table[["mean", "cells"]].isna().to_numpy().any()
    assert not table.loc[table["group"] == "other", ["low", "high"]].isna().to_numpy().any()


@pytest.mark.parametrize("size", [None, 100.0])
def test_means_and_variation_between_cells(
    fit, small_cells: Cells, known: np.ndarray, monkeypatch, size: float | None
) -> None:
    monkeypatch.setattr(fit.model, "add_common_error", no_common_error)
    torch.manual_seed(0)
    cells = fit.conform(small_cells)
    table = group_means(fit, cells, LABELS, Scale("isoform", size), 10)
    assert table["group"].tolist() == ["x"] * 6 + ["y"] * 6
    assert table["isoform"].tolist() == fit.isoforms * 2
    values = known if size is None else size * known / known.sum(1, keepdims=True)
    for name, number in (("x", 12), ("y", 6)):
        rows, own = table[table["group"] == name], values[name == LABELS]
        assert (rows["cells"] == number).all()
        error = own.std(0) / np.sqrt(number)
        np.testing.assert_allclose(rows["mean"], own.mean(0), atol=0.15 * error.max())
        # The Bayesian bootstrap has variance s^2 / (n + 1), s^2 with denominator n.
        width = (rows["high"] - rows["low"]).to_numpy() / (2 * 1.96)
        np.testing.assert_allclose(width, own.std(0) / np.sqrt(number + 1), rtol=0.15)


def test_genes_are_sums(fit, small_cells: Cells, known: np.ndarray, monkeypatch) -> None:
    monkeypatch.setattr(fit.model, "add_common_error", no_common_error)
    cells = fit.conform(small_cells)
    tables = []
    for level in ("isoform", "gene"):
        torch.manual_seed(1)
        tables.append(group_means(fit, cells, LABELS, Scale(level, 1e4), 2))
    sums = tables[0].groupby(["group", "gene"])["mean"].sum()
    genes = tables[1].set_index(["group", "gene"])["mean"]
    np.testing.assert_allclose(genes, sums[genes.index], rtol=1e-4)
    np.testing.assert_allclose(genes.groupby("group").sum(), 1e4, rtol=1e-5)
    assert list(tables[1].columns) == ["group", "gene", "mean", "low", "high", "cells"]


def test_common_errors_do_not_average_out(fit, small_cells: Cells, known: np.ndarray) -> None:
    """They widen intervals as those of a single cell of the group's mean."""
    cells = fit.conform(small_cells)
    everything = np.full(24, "all")
    fit.model.total_dispersion.fill_(1.0)
    fit.model.division_dispersion.fill_(1.0)
    clear = group_means(fit, cells, everything, Scale(), 5)
    fit.model.division_dispersion.fill_(20.0)
    torch.manual_seed(0)
    ambiguous = group_means(fit, cells, everything, Scale(), 5)
    mean = torch.tensor(known.mean(0), dtype=torch.float32).expand(4000, -1)
    drawn = fit.model.add_common_error(mean).numpy()
    several = np.array([fit.genes.count(gene) > 1 for gene in fit.genes])
    widths = [(table["high"] - table["low"]).to_numpy() for table in (clear, ambiguous)]
    expected = np.subtract(*np.quantile(drawn, [0.975, 0.025], axis=0))
    np.testing.assert_allclose(
        widths[1][several], np.hypot(widths[0], expected)[several], rtol=0.15
    )
    np.testing.assert_allclose(widths[1][~several], widths[0][~several], rtol=0.2)


def test_progress_counts_the_cells_of_groups(fit, small_cells: Cells) -> None:
    done: list[int] = []
    group_means(fit, fit.conform(small_cells), LABELS, Scale(), 1, progress=done.append)
    assert sum(done) == 18


@pytest.mark.slow
def test_intervals_hold_the_means_of_other_cells(fit_cells) -> None:
    """Of single fits of so few cells from 0.73 to 0.90, so that several are averaged."""
    rates = np.random.default_rng(5).gamma(1.0, 20.0, (2, 30)) + 1.0
    genes = np.repeat(np.arange(15), 2)
    rng = np.random.default_rng(6)
    many = rng.gamma(5.0, 0.2, (4000, 15))[:, genes]
    truth = [(own * many / (own * many).sum(1, keepdims=True)).mean(0) * 1e4 for own in rates]
    truth = np.concatenate(truth)
    held = []
    for seed in range(4):
        cells = draw_group_cells(rates, genes, 60, variation=0.2, seed=seed)
        fit = fit_cells(f"fit{seed}", cells=cells, training={"epochs": 150})
        labels = cells.obs["group"].to_numpy(str)
        table = group_means(fit, fit.conform(cells), labels, Scale("isoform", 1e4), 10)
        held.append(((table["low"] <= truth) & (truth <= table["high"])).mean())
    assert np.mean(held) > 0.8
