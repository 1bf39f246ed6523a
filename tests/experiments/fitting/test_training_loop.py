"""The training loop with a model whose loss is known: rates, order, scale, patience, resuming."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from exvae.experiments.fitting import fits
from exvae.experiments.fitting.errors import LossNotFinite, TrainingInterrupted
from exvae.experiments.fitting.training import Trainer

MakeTrainer = Callable[..., Trainer]


def parameters_of(trainer: Trainer) -> dict[str, Tensor]:
    return {
        name: value.detach().clone()
        for module in trainer.modules.values()
        for name, value in module.named_parameters()
    }


def scores(values: Sequence[float], after: int = 0) -> Callable[[], dict[str, float]]:
    """Give a monitor that tells these scores, one an epoch, from a later epoch if asked."""
    told: Iterator[float] = iter(values[after:])
    return lambda: {"score": next(told)}


def test_each_parameter_learns_at_its_rate(item_trainer: MakeTrainer) -> None:
    trainer = item_trainer(epochs=1, batch_size=7, learning_rate=0.01)
    before = parameters_of(trainer)
    trainer.train()
    # The first step of Adam is as large as the rate.
    steps = {
        name: (after - before[name]).abs().item() for name, after in parameters_of(trainer).items()
    }
    assert steps["slow"] == pytest.approx(0.01, rel=1e-3)
    assert steps["location"] == pytest.approx(0.01, rel=1e-3)
    assert steps["quick"] == pytest.approx(0.05, rel=1e-3)


def test_every_epoch_has_an_order_of_its_own(item_trainer: MakeTrainer) -> None:
    orders = {}
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        trainer = item_trainer(name, seed=seed)
        trainer.train()
        assert [len(batch) for batch in trainer.data.steps] == [3, 3, 1] * 3
        seen = sum(trainer.data.steps, [])
        orders[name] = [tuple(seen[start : start + 7]) for start in (0, 7, 14)]
    assert all(sorted(order) == list(range(7)) for order in orders["one"])
    assert orders["one"] == orders["same"]
    assert len({*orders["one"], *orders["other"]}) == 6


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 7, 20])
def test_the_loss_of_an_epoch_is_that_of_all_data(
    item_trainer: MakeTrainer, batch_size: int
) -> None:
    """Whatever the minibatches: the last one, which may be shorter, counts by its size."""
    trainer = item_trainer(batch_size=batch_size, learning_rate=0.0, epochs=2)
    trainer.train()
    values = trainer.data.values.double()
    # The divergence of Normal(0.5, 0.8) from Normal(0, 1), which no draw blurs.
    divergence = -np.log(0.8) + (0.8**2 + 0.5**2 - 1) / 2
    surprise = values.square() / 2 + np.log(2 * np.pi) / 2
    expected = (surprise.sum().item() + 7 * divergence) / 14  # elements
    table = fits.read_metrics(trainer.folder)
    assert table["loss_per_element"].tolist() == pytest.approx([expected] * 2, rel=1e-5)


def test_speed_is_that_of_the_epoch(item_trainer: MakeTrainer) -> None:
    trainer = item_trainer(epochs=3)
    result = trainer.train()
    table = fits.read_metrics(trainer.folder)
    of_epochs = np.diff([0.0, *table["seconds"]])
    np.testing.assert_allclose(table["items_per_second"], 7 / of_epochs, rtol=1e-6)
    assert result.seconds == table["seconds"].iloc[-1]


@pytest.mark.parametrize(("interrupt_at", "left"), [(4, 4), (6, 0)])
def test_speed_of_a_resumed_epoch_is_that_of_its_rest(
    item_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch, interrupt_at: int, left: int
) -> None:
    with pytest.raises(TrainingInterrupted):
        item_trainer(interrupt_at=interrupt_at).train()
    seconds = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(seconds)))
    trainer = item_trainer()
    trainer.train(resume=True)
    speeds = fits.read_metrics(trainer.folder)["items_per_second"].tolist()
    assert speeds[1:] == pytest.approx([left or np.nan, 7.0], nan_ok=True)


def test_steps_are_in_training_mode_and_monitors_in_evaluation_mode(
    item_trainer: MakeTrainer,
) -> None:
    modes = []
    trainer = item_trainer(
        monitor=lambda: modes.append([m.training for m in trainer.modules.values()]) or {}
    )
    trainer.train()
    assert trainer.data.modes == [False] + [True] * 9
    assert modes == [[False, False]] * 3


def test_columns_of_the_monitor_are_recorded(item_trainer: MakeTrainer) -> None:
    trainer = item_trainer(monitor=scores([3.0, 1.0, 2.0]))
    assert trainer.train().reason == "all epochs done"
    assert fits.read_metrics(trainer.folder)["score"].tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("told", "epochs"),
    [
        ([1.0, 2.0, 2.0, 2.0, 0.0], 4),
        # Each better score starts the wait anew, and as good as the best is not better.
        ([3.0, 4.0, 2.0, 2.0, 5.0, 2.0, 0.0], 6),
        ([3.0, 4.0, 5.0, 2.0, 5.0, 5.0, 1.0, 0.0, 1.0], 9),
    ],
)
@pytest.mark.parametrize("stopped", [None, 1, 2, 3])
def test_patience(
    item_trainer: MakeTrainer, told: list[float], epochs: int, stopped: int | None
) -> None:
    """Also where training is stopped after an epoch and goes on."""
    options = {"patience": 3, "score": "score"}
    if stopped is not None:
        result = item_trainer(epochs=stopped, monitor=scores(told), **options).train()
        assert result.reason == "all epochs done"
    trainer = item_trainer(epochs=9, monitor=scores(told, stopped or 0), **options)
    result = trainer.train(resume=stopped is not None)
    assert result.epochs == epochs
    assert result.reason == ("out of patience" if epochs < 9 else "all epochs done")
    assert fits.read_metrics(trainer.folder)["score"].tolist() == told[:epochs]


def test_without_patience_a_score_stops_nothing(item_trainer: MakeTrainer) -> None:
    trainer = item_trainer(epochs=5, monitor=scores([1.0] * 5), score="score")
    assert trainer.train().epochs == 5


@pytest.mark.parametrize("step", [2, 5, 7])
def test_a_fit_that_is_interrupted_goes_on_exactly(item_trainer: MakeTrainer, step: int) -> None:
    """In the middle of an epoch: order, draws, optimiser, loss and time are those of one run."""
    straight = item_trainer("straight")
    straight.train()
    stopped = item_trainer("stopped", interrupt_at=step)
    with pytest.raises(TrainingInterrupted, match=f"epoch {(step + 2) // 3}, batch"):
        stopped.train()
    torch.rand(5)  # something else draws in between
    resumed = item_trainer("stopped")
    spent = fits.read_checkpoint(resumed.folder)["progress"]["seconds"]
    result = resumed.train(resume=True)
    assert result.seconds > spent > 0
    assert stopped.data.steps + resumed.data.steps == straight.data.steps
    for name, value in parameters_of(straight).items():
        assert torch.equal(value, parameters_of(resumed)[name]), name
    tables = [fits.read_metrics(trainer.folder) for trainer in (straight, resumed)]
    for column in ("epoch", "loss_per_element"):
        assert tables[0][column].tolist() == tables[1][column].tolist()


def test_draws_follow_the_seed_alone(item_trainer: MakeTrainer) -> None:
    found = {}
    for name, seed, noise in (("one", 3, 1), ("same", 3, 9), ("other", 4, 1)):
        torch.manual_seed(noise)
        trainer = item_trainer(name, seed=seed, batch_size=7, epochs=4)
        trainer.train()
        found[name] = torch.stack([*parameters_of(trainer).values()])
    assert torch.equal(found["one"], found["same"])
    assert not torch.equal(found["one"], found["other"])


def test_an_epoch_whose_row_was_written_before_a_kill_is_recorded_once(
    item_trainer: MakeTrainer,
) -> None:
    straight = item_trainer("straight")
    straight.train()
    first = item_trainer("killed", epochs=2)
    first.train()
    rows = fits.read_metrics(first.folder).to_dict("records")
    fits.write_metrics(first.folder, [*rows, {**rows[-1], "epoch": 3, "loss_per_element": 99.0}])
    item_trainer("killed").train(resume=True)
    found, expected = (fits.read_metrics(t.folder) for t in (first, straight))
    assert found["epoch"].tolist() == [1, 2, 3]
    assert found["loss_per_element"].tolist() == expected["loss_per_element"].tolist()


def test_a_loss_that_is_infinite_stops_training(item_trainer: MakeTrainer) -> None:
    values = torch.tensor([0.0] * 6 + [torch.inf])
    trainer = item_trainer(values=values, batch_size=1)
    with pytest.raises(LossNotFinite, match="became inf in epoch 1, batch"):
        trainer.train()
    assert fits.read_checkpoint(trainer.folder)["progress"]["batches_done"] == 0


def test_data_that_cannot_be_scored_are_not_taken_for_a_bad_learning_rate(
    item_trainer: MakeTrainer,
) -> None:
    trainer = item_trainer(values=torch.full((7,), torch.nan))
    with pytest.raises(ValueError, match="value"):
        trainer.train()
