"""Which cells a fit of isoforms is trained on, and which are scored after each epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from exvae.data.cells import Cells
from exvae.experiments.fitting import fits
from exvae.experiments.isoforms import inference, monitor
from exvae.experiments.isoforms.fitting import IsoformFit, split_cells
from exvae.guides.cells import CellGuide

FitCells = Callable[..., IsoformFit]
KINDS = {"effective": {}, "scvi": {"model": "scvi"}}
every_kind = pytest.mark.parametrize("kind", KINDS)
TRAINED_ON, HELD_OUT = split_cells(24, 0.75, 0)
# Fast enough for modes and draws to make a difference.
FAST = {"learning_rate": 0.03, "epochs": 3}


def loss_of(fit: IsoformFit, cells: Cells, positions: np.ndarray) -> float:
    """Loss per cell of a fit with the draws that its monitor has."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return inference.loss_per_cell(fit.model, fit.guide, fit.source(cells), positions)


@every_kind
def test_minibatches_are_of_the_training_cells(
    fit_cells: FitCells, small_cells: Cells, monkeypatch, kind: str
) -> None:
    """Each once in an epoch, with all that it has, and scaled to as many as there are."""
    seen: list[tuple] = []
    forward = CellGuide.forward

    def note(self: CellGuide, *arguments: object) -> None:
        if self.training:
            seen.append(arguments)
        forward(self, *arguments)

    monkeypatch.setattr(CellGuide, "forward", note)
    fit = fit_cells(training={"epochs": 1}, encoder_bootstraps=0, **KINDS[kind])
    assert [len(arguments[2]) for arguments in seen] == [5, 5, 5, 3]
    tensors = fit.source(small_cells)
    positions = []
    for bootstraps, offsets, batches, indices, num_cells, _ in seen:
        own = tensors.batch(TRAINED_ON[indices.numpy()])
        assert num_cells == 18
        assert torch.equal(bootstraps, own.bootstraps)
        assert torch.equal(offsets, own.offsets)
        assert torch.equal(batches, own.batches)
        positions += indices.tolist()
    assert sorted(positions) == list(range(18))


@every_kind
def test_cells_held_out_are_scored_after_each_epoch(
    fit_cells: FitCells, small_cells: Cells, tmp_path: Path, kind: str
) -> None:
    """In evaluation mode; cells that are trained on, and fewer of them, score otherwise."""
    fit = fit_cells(training=FAST, **KINDS[kind])
    found = fits.read_metrics(tmp_path / "fit")["held_out_loss_per_cell"].iloc[-1]
    assert loss_of(fit, small_cells, HELD_OUT) == pytest.approx(found, rel=1e-5)
    others = [loss_of(fit, small_cells, own) for own in (TRAINED_ON, HELD_OUT[:3], HELD_OUT[1:])]
    fit.guide.train()
    others.append(loss_of(fit, small_cells, HELD_OUT))
    fit.guide.eval()
    fit.model.train()
    if kind == "effective":  # in training its weights have a prior
        others.append(loss_of(fit, small_cells, HELD_OUT))
    assert all(abs(other - found) > 1e-3 * abs(found) for other in others)


def test_of_many_cells_held_out_the_first_are_scored(
    fit_cells: FitCells, small_cells: Cells, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(monitor, "MONITORED_CELLS", 3)
    fit = fit_cells()
    found = fits.read_metrics(tmp_path / "fit")["held_out_loss_per_cell"].iloc[-1]
    assert loss_of(fit, small_cells, HELD_OUT[:3]) == pytest.approx(found, rel=1e-5)


@every_kind
def test_scores_have_always_the_same_draws(fit_cells: FitCells, tmp_path: Path, kind: str) -> None:
    fit_cells(training={"learning_rate": 0.0, "epochs": 4}, **KINDS[kind])
    table = fits.read_metrics(tmp_path / "fit")
    assert table["held_out_loss_per_cell"].nunique() == 1
    assert table["loss_per_cell"].nunique() == 4


@every_kind
def test_the_monitor_leaves_training_as_it_is(
    fit_cells: FitCells, tmp_path: Path, monkeypatch, kind: str
) -> None:
    watched = fit_cells("watched", **KINDS[kind])
    monkeypatch.setattr(inference, "loss_per_cell", lambda *_: 7.0)
    alone = fit_cells("alone", **KINDS[kind])
    assert set(fits.read_metrics(tmp_path / "alone")["held_out_loss_per_cell"]) == {7.0}
    for one, other in ((watched.model, alone.model), (watched.guide, alone.guide)):
        expected = other.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in one.state_dict().items())


def test_patience_goes_by_the_cells_held_out(
    fit_cells: FitCells, tmp_path: Path, monkeypatch
) -> None:
    told = iter([3.0, 2.0, 2.5, 2.6, 0.1, 0.1])
    monkeypatch.setattr(inference, "loss_per_cell", lambda *_: next(told))
    fit_cells(training={"epochs": 6, "patience": 2})
    assert len(fits.read_metrics(tmp_path / "fit")) == 4


def test_nothing_is_scored_where_nothing_is_held_out(fit_cells: FitCells, tmp_path: Path) -> None:
    fit_cells(train_fraction=1.0, training={"epochs": 1})
    table = fits.read_metrics(tmp_path / "fit")
    assert not [column for column in table if "held_out" in column]


@every_kind
def test_a_fit_is_loaded_as_it_ended(fit_cells: FitCells, tmp_path: Path, kind: str) -> None:
    fit = fit_cells(**KINDS[kind])
    state = fits.read_checkpoint(tmp_path / "fit")
    for part, module in (("model", fit.model), ("guide", fit.guide)):
        own = module.state_dict()
        assert own.keys() == state[part].keys()
        assert all(torch.equal(value, own[name]) for name, value in state[part].items())
        assert not module.training
