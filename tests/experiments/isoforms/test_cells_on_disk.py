"""Fits of cells that stay on disk, and all that is asked of them, are those of cells in memory."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import exvae
from exvae.data import any_cells, windows
from exvae.data.cell_tables import CellTable
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.stored_cells import StoredCells, store_cells
from exvae.experiments.checks.cells import check_cells
from exvae.experiments.checks.comparison import Replication
from exvae.experiments.fitting.errors import TrainingInterrupted
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import evaluation, fitting, gene_blocks, inference
from exvae.experiments.isoforms.differences import differential_expression, differential_usage
from exvae.experiments.isoforms.groups import Grouping
from exvae.experiments.isoforms.settings import IsoformConfig

from ...small_data import NUM_CELLS, draw_cells

# Bytes of a window of some cells.
FEW = 8000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    draw_cells().write_h5ad(path, compression="gzip")
    return path


@pytest.fixture
def of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make windows of two blocks of neighbours."""
    monkeypatch.setattr(windows, "_BLOCKS", 2)


def fit(cells: CellTable, folder: Path | None = None, *, seed: int = 0, **model: object):
    """Train for three epochs in minibatches of five cells; give the trainer and the fit."""
    config, training = IsoformConfig(**model), TrainingConfig(3, 5, 5e-3, seed)
    trainer, fitted = fitting.set_up(cells, config, training, folder, progress=False)
    trainer.train()
    for module in trainer.modules.values():
        module.eval()
    return trainer, fitted


def losses_of(trainer) -> list[list[float]]:
    return [
        [value for name, value in row.items() if "second" not in name] for row in trainer.metrics
    ]


@pytest.mark.parametrize("model", ["effective-reads", "paper", "scvi", "reads"])
def test_a_window_of_all_cells_gives_the_same_fit(path: Path, model: str) -> None:
    trainers = [fit(own, model=model)[0] for own in (read_cells(path), store_cells(path))]
    assert losses_of(trainers[0]) == losses_of(trainers[1])
    one, other = (trainer.modules["model"].state_dict() for trainer in trainers)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.usefixtures("of_blocks")
def test_small_windows_give_a_fit_as_good(path: Path) -> None:
    cells, stored = read_cells(path), store_cells(path, window=FEW)
    losses = [
        [losses_of(fit(own, seed=seed)[0])[-1][1] for seed in range(6)] for own in (cells, stored)
    ]
    in_memory, on_disk = map(np.array, losses)
    assert (in_memory != on_disk).any()
    # The same seeds hold out the same cells, whose losses differ more than orders of minibatches.
    difference = on_disk - in_memory
    assert abs(difference.mean()) < 3 * in_memory.std(ddof=1) / np.sqrt(len(in_memory))


@pytest.mark.usefixtures("of_blocks")
def test_a_resumed_fit_is_that_of_a_fit_at_once(path: Path) -> None:
    stored = store_cells(path, window=FEW)
    config, training = IsoformConfig(), TrainingConfig(3, 5, 5e-3)

    def trained(stop_after: int | None) -> object:
        trainer = fitting.set_up(stored, config, training, progress=False)[0]
        if stop_after is not None:
            minibatch, taken = trainer.data.minibatch, iter(range(stop_after))

            def until_stopped(positions: np.ndarray) -> tuple:
                if next(taken, None) is None:
                    raise KeyboardInterrupt
                return minibatch(positions)

            trainer.data.minibatch = until_stopped
            with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
                trainer.train()
            state = trainer.last_state
            trainer = fitting.set_up(stored, config, training, progress=False)[0]
            trainer.train(state=state)
        else:
            trainer.train()
        return trainer

    straight, resumed = trained(None), trained(7)
    # A state holds no rows of the epochs before it.
    assert losses_of(straight)[1:] == losses_of(resumed)
    one, other = (own.modules["model"].state_dict() for own in (straight, resumed))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_measures_are_those_of_cells_in_memory(path: Path) -> None:
    cells, stored = read_cells(path), store_cells(path, window=FEW)
    fitted = fit(cells)[1]
    found = []
    for own in (cells, stored):
        measured = evaluation.evaluate(fitted, own, subset="held-out", likelihood_samples=2)
        states = inference.states_of(fitted.guide, fitted.source(own), np.arange(NUM_CELLS))
        replication = Replication("posterior", 2, 0)
        checked = check_cells(fitted, own, replication=replication, max_cells=9)
        found.append((measured, states, checked.statistics))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1].mean, found[1][1].mean)
    pd.testing.assert_frame_equal(found[0][2], found[1][2])


@pytest.mark.parametrize("held", [1, 1 << 30])
def test_differences_are_those_of_cells_in_memory(
    path: Path, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gene_blocks, "HELD", held)
    monkeypatch.setattr(gene_blocks, "BLOCK", 100)
    tables = []
    for own in (read_cells(path), store_cells(path, window=FEW)):
        grouping = Grouping("cell_type")
        tables.append(
            [
                differential_expression(own, grouping),
                differential_expression(own, grouping, "gene"),
                differential_usage(own, grouping).table,
            ]
        )
    for one, other in zip(*tables, strict=True):
        assert len(one)
        pd.testing.assert_frame_equal(one, other)


def test_models_take_files_and_backed_cells(path: Path) -> None:
    latent = []
    backed = anndata.read_h5ad(path, backed="r")
    for adata, option in ((path, False), (path, True), (backed, None)):
        model = exvae.IsoformModel(adata, backed=option, latent_size=3)
        assert isinstance(model._cells, StoredCells) == (option is not False)
        latent.append(model.train(2, progress=False).get_latent_representation())
    np.testing.assert_array_equal(latent[0], latent[1])
    np.testing.assert_array_equal(latent[0], latent[2])
    model.annotate(backed)
    np.testing.assert_array_equal(backed.obsm["X_exvae"], latent[0])
    with pytest.raises(DataError, match="adata is a part of a file"):
        exvae.IsoformModel(backed[:10])
    backed.file.close()
    with pytest.raises(DataError, match="adata is in memory; give the path"):
        exvae.IsoformModel(draw_cells(), backed=True)


def test_loops_of_ones_own_read_every_cell(path: Path) -> None:
    data, _, _ = exvae.prepare(path, backed=True)
    indices = torch.cat([batch.indices for batch in data.batches(5)])
    assert sorted(indices.tolist()) == list(range(NUM_CELLS))


def test_cells_that_do_not_fit_stay_on_disk(
    exvae, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for number, (available, options) in enumerate(
        [(1 << 40, ()), (1000, ()), (1000, ("--in-memory",)), (1 << 40, ("--backed",))]
    ):
        monkeypatch.setattr(any_cells, "available_memory", lambda own=available: own)
        out = tmp_path / f"fit{number}"
        results.append(
            exvae("isoforms", "fit", path, "--out", out, "--epochs", 1, "--json", *options)
        )
        told = "its 24 cells" in results[-1].err and "stay on disk" in results[-1].err
        assert told == (number in (1, 3)), results[-1].err
    losses = {result.json["loss_per_cell"] for result in results}
    assert len(losses) == 1
