"""The training loop with models, guides, losses and optimisers of anybody's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pyro
import pytest
import torch
from pyro.distributions import LogNormal, Normal, constraints
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroParam
from torch import Tensor, nn

from exvae.experiments.fitting import fits
from exvae.experiments.fitting.errors import TrainingInterrupted
from exvae.experiments.fitting.training import Trainer, TrainingConfig

from .items import VALUES, ItemGuide, ItemModel, Items

CONFIG = TrainingConfig(epochs=4, batch_size=3, learning_rate=0.05, seed=1, device="cpu")


class GlobalModel(PyroModule):
    """Values around a mean and with a scale that all items share; Pyro's way, no names of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.2))

    def forward(self, values: Tensor, indices: Tensor, num_items: int) -> None:
        mean = pyro.sample("mean", Normal(0.0, 2.0))
        scale = pyro.sample("scale", LogNormal(0.0, 1.0))
        with pyro.plate("items", num_items, subsample=indices):
            pyro.sample("value", Normal(mean + self.shift, scale), obs=values)


class Factor(PyroModule):
    """A positive factor."""

    def __init__(self) -> None:
        super().__init__("factor")
        self.value = PyroParam(torch.tensor(0.5), constraints.positive)

    def forward(self) -> Tensor:
        return self.value


class LooseModel(ItemModel):
    """Has parameters that are in Pyro's store alone, in no ``state_dict``."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = (Factor(),)  # in a tuple, so that torch does not register it

    def forward(self, values: Tensor, indices: Tensor, num_items: int) -> None:
        scale = pyro.param("scale", torch.tensor(2.0), constraint=constraints.positive)
        with pyro.plate("items", num_items, subsample=indices):
            latent = pyro.sample("latent", Normal(0.0, self.hidden[0]()))
            pyro.sample("value", Normal(self.slow + self.weight * latent, scale), obs=values)


def with_auto_guide() -> tuple[nn.Module, nn.Module]:
    model = GlobalModel()
    return model, AutoNormal(model)


def with_loose_parameters() -> tuple[nn.Module, nn.Module]:
    return LooseModel(), ItemGuide()


KINDS: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {
    "automatic guide": with_auto_guide,
    "loose parameters": with_loose_parameters,
}
# Places of parameters of each kind in a checkpoint.
TRAINED = {
    "automatic guide": (
        "/model/shift",
        "/guide/locs.mean_unconstrained",
        "/guide/scales.scale_unconstrained",
    ),
    "loose parameters": ("/model/slow", "/param_store/scale", "/param_store/factor.value"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def trainer_of(
    model: nn.Module,
    guide: nn.Module,
    folder: Path | None = None,
    interrupt_at: int | None = None,
    config: TrainingConfig = CONFIG,
    **options,
) -> Trainer:
    data = Items(interrupt_at, VALUES)
    data.guide = guide
    return Trainer(model, guide, data, config, folder, **options)


def tensors_of(state: object, path: str = "") -> dict[str, Tensor]:
    """Give all tensors in nested dictionaries, by their places."""
    if isinstance(state, Tensor):
        return {path: state}
    if isinstance(state, list | tuple):
        state = dict(enumerate(state))
    if not isinstance(state, dict):
        return {}
    return {
        place: tensor
        for name, value in state.items()
        for place, tensor in tensors_of(value, f"{path}/{name}").items()
    }


def untrained(kind: str, folder: Path) -> dict[str, Tensor]:
    """Give the tensors of a checkpoint before the first step."""
    folder.mkdir()
    trainer_of(*KINDS[kind](), folder, config=replace(CONFIG, epochs=0)).train()
    return tensors_of(fits.read_checkpoint(folder))


@every_kind
def test_all_parameters_are_trained_and_kept(tmp_path: Path, kind: str) -> None:
    begun = untrained(kind, tmp_path / "begun")
    trainer = trainer_of(*KINDS[kind](), tmp_path)
    trainer.train()
    found = tensors_of(fits.read_checkpoint(tmp_path))
    for name in TRAINED[kind]:
        assert not torch.equal(found[name], begun[name]), name


@every_kind
@pytest.mark.parametrize("step", [2, 6])
def test_a_fit_that_is_interrupted_goes_on_exactly(tmp_path: Path, kind: str, step: int) -> None:
    """Bit for bit: modules, loose parameters, the optimiser and the generator."""
    states, tables = [], []
    for name, interrupt_at in (("straight", None), ("stopped", step)):
        folder = tmp_path / name
        folder.mkdir()
        trainer = trainer_of(*KINDS[kind](), folder, interrupt_at)
        if interrupt_at is not None:
            with pytest.raises(TrainingInterrupted):
                trainer.train()
            torch.rand(5)  # something else draws in between
            trainer = trainer_of(*KINDS[kind](), folder)
        trainer.train(resume=interrupt_at is not None)
        states.append(tensors_of(fits.read_checkpoint(folder)))
        tables.append(fits.read_metrics(folder))
    straight, resumed = states
    assert straight.keys() == resumed.keys() > set(TRAINED[kind])
    assert {place.split("/")[1] for place in straight} >= {"model", "guide", "optimizer", "random"}
    for place, value in straight.items():
        assert torch.equal(value, resumed[place]), place
    assert tables[0]["loss_per_element"].tolist() == tables[1]["loss_per_element"].tolist()


@every_kind
def test_a_fit_that_ends_without_a_step_goes_on_exactly(tmp_path: Path, kind: str) -> None:
    """Stopped after the last step of an epoch, it has nothing more to do in that epoch."""
    states = []
    for name, stops in (("straight", False), ("stopped", True)):
        folder = tmp_path / name
        folder.mkdir()
        if stops:
            with pytest.raises(TrainingInterrupted, match="batch 3 of 3"):
                trainer_of(*KINDS[kind](), folder, interrupt_at=3).train()
            short = replace(CONFIG, epochs=1)
            finished = trainer_of(*KINDS[kind](), folder, config=short)
            finished.train(resume=True)
            assert finished.data.steps == []
        trainer_of(*KINDS[kind](), folder).train(resume=stops)
        states.append(tensors_of(fits.read_checkpoint(folder)))
    assert states[0].keys() == states[1].keys()
    for place, value in states[0].items():
        assert torch.equal(value, states[1][place]), place


def test_what_is_trained_leaves_nothing_in_the_parameter_store() -> None:
    pyro.param("scale", torch.tensor(7.0))
    trainer_of(*with_loose_parameters()).train()
    assert dict(pyro.get_param_store()) == {"scale": torch.tensor(7.0)}


# Options


def test_the_loss_is_the_one_given() -> None:
    class Watched(Trace_ELBO):
        steps = 0

        def loss_and_grads(self, *arguments, **options) -> float:
            Watched.steps += 1
            return super().loss_and_grads(*arguments, **options)

    trainer = trainer_of(ItemModel(), ItemGuide(), elbo=Watched())
    trainer.train()
    assert Watched.steps == 4 * 3
    plain = trainer_of(ItemModel(), ItemGuide())
    plain.train()
    # Its estimate of the divergence of q from the prior is a draw, and not exact.
    losses = [[row["loss_per_element"] for row in own.metrics] for own in (trainer, plain)]
    assert losses[0] != losses[1]
    assert isinstance(plain.svi.loss.__self__, TraceMeanField_ELBO)


def test_the_optimizer_is_the_one_given() -> None:
    model, guide = ItemModel(), ItemGuide()
    optimizer = pyro.optim.SGD({"lr": 0.0})
    trainer_of(model, guide, optimizer=optimizer).train()
    assert model.slow == 0.0
    assert guide.location == 0.5


def test_callbacks_see_each_epoch_and_may_end_the_training(tmp_path: Path) -> None:
    seen: list[tuple] = []

    def look(trainer: Trainer) -> None:
        saved = fits.read_checkpoint(tmp_path)["progress"]["epoch"]
        modes = [module.training for module in trainer.modules.values()]
        seen.append((trainer.metrics[-1]["epoch"], saved, modes))

    def stop(trainer: Trainer) -> bool:
        return trainer.epoch == 2

    trainer = trainer_of(ItemModel(), ItemGuide(), tmp_path, callbacks=[stop, look])
    result = trainer.train()
    assert (result.epochs, result.reason) == (2, "stopped by a callback")
    # The others are called all the same.
    assert seen == [(1, 1, [False, False]), (2, 2, [False, False])]
    # And nothing keeps the fit from going on.
    resumed = trainer_of(ItemModel(), ItemGuide(), tmp_path)
    assert resumed.train(resume=True).reason == "all epochs done"
    assert fits.read_metrics(tmp_path)["epoch"].tolist() == [1, 2, 3, 4]


def test_without_a_folder_training_is_the_same_and_nothing_is_written(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit").mkdir()
    kept = trainer_of(ItemModel(), ItemGuide(), tmp_path / "fit")
    kept.train()
    before = sorted(tmp_path.rglob("*"))
    free = trainer_of(ItemModel(), ItemGuide())
    assert free.train().epochs == 4
    assert sorted(tmp_path.rglob("*")) == before
    losses = [[row["loss_per_element"] for row in own.metrics] for own in (kept, free)]
    assert losses[0] == losses[1]
    for part in ("model", "guide"):
        expected = kept.modules[part].state_dict()
        for name, value in free.modules[part].state_dict().items():
            assert torch.equal(value, expected[name]), name


def test_without_a_folder_an_interrupt_tells_where_it_was() -> None:
    trainer = trainer_of(ItemModel(), ItemGuide(), interrupt_at=4)
    with pytest.raises(TrainingInterrupted, match="^interrupted in epoch 2, batch 1 of 3$"):
        trainer.train()


@pytest.mark.parametrize("with_folder", [False, True])
def test_training_can_go_back_to_an_earlier_state(tmp_path: Path, with_folder: bool) -> None:
    straight = trainer_of(*with_loose_parameters())
    straight.train()
    states: list[dict] = []

    def go_back_once(trainer: Trainer) -> None:
        if trainer.epoch == 2 and not states:
            states.append(deepcopy(trainer.state()))
        elif trainer.epoch == 3 and len(states) == 1:
            trainer.load_state(states[0])
            states.append({})

    folder = tmp_path if with_folder else None
    trainer = trainer_of(*with_loose_parameters(), folder, callbacks=[go_back_once])
    trainer.train()
    assert len(trainer.data.steps) == (4 + 1) * 3
    losses = [[row["loss_per_element"] for row in own.metrics] for own in (straight, trainer)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("interrupt_at", [None, 4, 6])
def test_one_bar_shows_all_epochs(capsys: pytest.CaptureFixture, interrupt_at: int | None) -> None:
    trainer = trainer_of(ItemModel(), ItemGuide(), interrupt_at=interrupt_at)
    with pytest.raises(TrainingInterrupted) if interrupt_at else nullcontext():
        trainer.train()
    told = capsys.readouterr().err
    assert told.count("\n") == 1  # a bar ends its line when it is closed
    done = {None: 28, 4: 10, 6: 14}[interrupt_at]
    assert f"| {done}/28 " in told
    assert f"epoch {-(-done // 7)}/4" in told


def test_a_resumed_bar_begins_where_the_training_was_left(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(TrainingInterrupted):
        trainer_of(ItemModel(), ItemGuide(), tmp_path, interrupt_at=5).train()
    assert "| 13/28 " in capsys.readouterr().err
    trainer_of(ItemModel(), ItemGuide(), tmp_path).train(resume=True)
    told = capsys.readouterr().err
    assert told.lstrip("\r").startswith("training:  46%")
    assert "| 28/28 " in told


def test_no_bar_is_shown_if_told(capsys: pytest.CaptureFixture) -> None:
    trainer_of(ItemModel(), ItemGuide(), progress=False).train()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("make", [with_auto_guide, with_loose_parameters])
def test_training_goes_on_from_a_state_in_memory(
    make: Callable[[], tuple[nn.Module, nn.Module]],
) -> None:
    straight = trainer_of(*make())
    straight.train()
    begun = trainer_of(*make(), config=replace(CONFIG, epochs=2))
    begun.train()
    finished = trainer_of(*make())
    finished.metrics = begun.metrics
    finished.train(state=begun.last_state)
    assert [row["epoch"] for row in finished.metrics] == [1, 2, 3, 4]
    losses = [[row["loss_per_element"] for row in own.metrics] for own in (straight, finished)]
    assert losses[0] == losses[1]
