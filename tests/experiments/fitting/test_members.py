"""Members of an ensemble are trained after the model, and training goes on wherever it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from exvae.data.h5ad.reading import read_cells
from exvae.experiments.fitting.fits import read_checkpoint
from exvae.experiments.fitting.training import Trainer, TrainingConfig
from exvae.experiments.isoforms import fitting
from exvae.experiments.isoforms.settings import IsoformConfig

from ...comparisons import assert_same
from ...small_data import draw_cells

# 18 cells in minibatches of 8; two epochs of the model, then two of each member.
EPOCHS, MEMBERS, STEPS_OF_AN_EPOCH = 2, 2, 3


class Killed(Exception):
    """Ends training without a last checkpoint, as kill -9 does."""


def trainer_of(folder: Path | None, model: str = "reads", members: int = MEMBERS) -> Trainer:
    options = {"latent_size": 3, "members": members, "member_epochs": 2}
    config = IsoformConfig(model=model, options=options)
    training = TrainingConfig(EPOCHS, 8, 1e-2, seed=4)
    if folder is not None:
        folder.mkdir(exist_ok=True)
    trainer, _ = fitting.set_up(
        read_cells(draw_cells()), config, training, folder, train_fraction=0.75, progress=False
    )
    return trainer


def killed_after(trainer: Trainer, steps: int) -> None:
    step, done = trainer.svi.step, []

    def counted(*batch: object) -> float:
        if len(done) == steps:
            raise Killed
        done.append(True)
        return step(*batch)

    trainer.svi.step = counted
    with pytest.raises(Killed):
        trainer.train()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("straight")
    trainer_of(folder).train()
    return read_checkpoint(folder)


@pytest.mark.parametrize("steps", [2, 4, 6, 7, 10, 12, 17])
def test_training_goes_on_exactly(straight: dict, tmp_path: Path, steps: int) -> None:
    killed_after(trainer_of(tmp_path / "fit"), steps)
    before = read_checkpoint(tmp_path / "fit")
    assert before["progress"]["epoch"] == min(steps // STEPS_OF_AN_EPOCH, EPOCHS)
    assert before["member_epoch"] == max(steps // STEPS_OF_AN_EPOCH - EPOCHS, 0)
    trainer_of(tmp_path / "fit").train(resume=True)
    assert_same(straight, read_checkpoint(tmp_path / "fit"))


@pytest.mark.parametrize("model", ["reads", "effective-reads"])
def test_members_move_what_is_theirs(model: str) -> None:
    trainer, alone = trainer_of(None, model), trainer_of(None, model, members=0)
    trainer.train(), alone.train()
    ensemble = trainer.modules["model"].ensemble
    assert ensemble.members == [1, 2]
    for name in ("model", "guide"):
        own, other = (dict(part.modules[name].named_parameters()) for part in (trainer, alone))
        for parameter, value in own.items():
            assert torch.equal(value, other[parameter]), parameter  # the estimate stands
            assert value.requires_grad
    for name, value in ensemble.parameters_of_model.items():
        kept = getattr(ensemble, name.replace(".", "_"))
        assert torch.equal(kept[0], value)
        assert all(not torch.equal(kept[place], value) for place in ensemble.members), name
        assert not torch.equal(kept[1], kept[2])
    with ensemble.using(2):
        assert torch.equal(trainer.modules["model"].decoder.output.bias, kept_bias(ensemble, 2))
    assert torch.equal(trainer.modules["model"].decoder.output.bias, kept_bias(ensemble, 0))
    assert len(trainer.metrics) == EPOCHS


def kept_bias(ensemble: object, place: int) -> torch.Tensor:
    return ensemble.decoder_output_bias[place]


def test_each_member_has_cells_of_its_own() -> None:
    trainer, seen = trainer_of(None), []
    minibatch = trainer.data.minibatch

    def noted(positions: object) -> tuple:
        if trainer.data.resampled is not None:
            seen.append((trainer.members.member, tuple(sorted(trainer.data.resampled.tolist()))))
        return minibatch(positions)

    trainer.data.minibatch = noted
    trainer.train()
    drawn = dict(seen)
    assert set(drawn) == {0, 1}
    assert len(set(seen)) == 2  # the same in both epochs of a member
    assert drawn[0] != drawn[1]
    assert all(len(own) == 18 and len(set(own)) < 18 for own in drawn.values())
    assert trainer.data.resampled is None


def test_an_interrupted_member_leaves_the_estimate() -> None:
    trainer = trainer_of(None)
    killed_after(trainer, 8)
    model = trainer.modules["model"]
    assert model.ensemble.members == []
    assert torch.equal(model.decoder.output.bias, kept_bias(model.ensemble, 0))


def test_training_that_goes_on_forgets_the_members() -> None:
    first = trainer_of(None)
    first.train()
    state = first.last_state
    again = trainer_of(None)
    again.config = TrainingConfig(EPOCHS + 1, 8, 1e-2, seed=4)
    again.train(state=state)
    before = first.modules["model"].ensemble.decoder_output_bias
    after = again.modules["model"].ensemble.decoder_output_bias
    assert again.modules["model"].ensemble.members == [1, 2]
    assert not torch.equal(before[0], after[0])
    assert len(again.metrics) == 1
    assert again.epoch == EPOCHS + 1
