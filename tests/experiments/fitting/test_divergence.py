"""Training that diverges, as users see it: one line, and the last good checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from exvae.data.h5ad.reading import read_cells
from exvae.experiments.fitting import fits
from exvae.experiments.fitting.divergence import overfitting, rise_of_loss, rise_of_losses
from exvae.experiments.fitting.errors import LossNotFinite
from exvae.experiments.fitting.training import Trainer, TrainingConfig
from exvae.experiments.isoforms import fitting
from exvae.experiments.isoforms.settings import IsoformConfig

from ...small_data import draw_cells


def rise(losses: list[float]) -> str:
    return rise_of_loss([{"loss": loss} for loss in losses], "loss")


@pytest.mark.parametrize(
    "losses",
    [
        [9.0, 5.0, 4.0, 3.9, 3.91, 3.9],  # converged
        [9.0, 5.0, 4.0, 4.5, 4.1, 4.4],  # noisy
        [1.0, 2.0, 3.0, 4.0],  # too few epochs
        [5.0, 5.01, 4.99, 5.02, 5.01],  # learns nothing
        [9.0, 9.0, 5.0, 5.0, 5.0, 6.0, 6.0, 6.0],  # still better than at the beginning
    ],
)
def test_a_loss_that_settles_is_no_divergence(losses: list[float]) -> None:
    assert rise(losses) == ""


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([9.0, 5.0, 5.0, 6.0, 7.0, 8.0, 9.0, 9.0], "from 5 in epoch 3 to 9:"),
        ([-9.0, -10.0, -10.0, -9.5, -8.9, -8.6, -8.6], "from -10 in epoch 3 to -8.6:"),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "from 1.5 in epoch 2 to 6.5:"),
        ([4.0, 4.0, 99.0, 9.0, 70.0, 30.0, 80.0], "from 4 in epoch 2 to 55:"),  # wild
    ],
)
def test_a_loss_that_rises_is_told(losses: list[float], told: str) -> None:
    assert told in rise(losses)


@pytest.mark.parametrize(
    ("held_out", "told"),
    [([8.0, 5.0, 4.9, 4.8, 4.8, 4.8], ""), ([4.0, 5.0, 6.0, 7.0, 8.0, 9.0], "5")],
)
def test_a_loss_that_rises_in_training_alone_is_no_divergence(
    held_out: list[float], told: str
) -> None:
    losses = [5.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    metrics = [
        {"loss": own, "held_out_loss": other} for own, other in zip(losses, held_out, strict=True)
    ]
    assert told in rise_of_losses(metrics, "loss")
    assert bool(rise_of_losses(metrics, "loss")) == bool(told)
    assert "from 5 in epoch 2 to" in rise_of_losses([{"loss": own} for own in losses], "loss")


def test_a_held_out_loss_that_rose_again_is_told() -> None:
    def told(held_out: list[float]) -> str:
        return overfitting([{"loss": 1.0, "held_out_loss": own} for own in held_out], "loss")

    assert "lowest after epoch 2, 5, and ended at 5.2: fewer epochs" in told([9.0, 5.0, 5.3, 5.2])
    assert told([9.0, 5.0, 5.05]) == told([]) == ""
    assert overfitting([{"loss": 1.0}, {"loss": 2.0}], "loss") == ""


def test_parameters_that_are_not_finite_are_never_saved(
    item_trainer: Callable[..., Trainer],
) -> None:
    trainer = item_trainer(epochs=3)

    def spoil() -> dict[str, float]:
        return {}

    def spoil_in_second_epoch(own: Trainer) -> None:
        if own.epoch == 1:
            with torch.no_grad():
                own.modules["model"].slow.fill_(math.nan)

    trainer.monitor = spoil
    trainer.callbacks = [spoil_in_second_epoch]
    with pytest.raises(LossNotFinite, match="in epoch 2, batch 1; .*holds the last good state"):
        trainer.train()
    saved = fits.read_checkpoint(trainer.folder)
    assert saved["progress"]["epoch"] == 1
    assert saved["model"]["slow"].isfinite()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_held_out_loss_that_is_not_finite_stops_training(
    item_trainer: Callable[..., Trainer], value: float
) -> None:
    values = iter([1.0, value])
    trainer = item_trainer(monitor=lambda: {"held_out_loss": next(values)})
    with pytest.raises(LossNotFinite, match=f"held_out_loss became {value} in epoch 2;"):
        trainer.train()
    assert fits.read_checkpoint(trainer.folder)["progress"]["epoch"] == 1
    assert len(fits.read_metrics(trainer.folder)) == 1


@pytest.mark.parametrize("model", ["effective-reads", "paper", "scvi"])
@pytest.mark.parametrize("rate", [5.0, 500.0])
def test_an_extreme_rate_is_told_and_leaves_a_checkpoint(
    tmp_path: Path, model: str, rate: float
) -> None:
    cells = read_cells(draw_cells())
    training = TrainingConfig(30, 8, rate, device="cpu")
    with pytest.raises(LossNotFinite, match="try a lower learning rate") as told:
        fitting.fit(cells, IsoformConfig(model), training, tmp_path / "fit")
    assert "\n" not in str(told.value)
    loaded = fitting.load(tmp_path / "fit", "cpu")
    assert all(bool(own.isfinite().all()) for own in loaded.model.parameters())


def test_data_that_a_model_cannot_score_are_told_before_the_first_step(
    item_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = item_trainer()
    monkeypatch.setattr(trainer.workers, "step", lambda *_: math.nan)
    with pytest.raises(LossNotFinite, match="nan in epoch 1.*the model cannot score these data"):
        trainer.train()
