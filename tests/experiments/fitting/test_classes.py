"""Classes by name, and which constructor takes an option."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

from exvae.data.errors import DataError
from exvae.experiments.fitting.classes import (
    construct,
    defaults_of,
    distribute,
    find_class,
    options_of,
)
from exvae.guides import CELL_GUIDES
from exvae.guides.paper_isoforms import PaperGuide
from exvae.models import MODELS
from exvae.models.decoders import LinearDecoder, NetworkDecoder
from exvae.models.isoforms import EffectiveReadIsoforms
from exvae.models.paper_isoforms import BootstrapIsoforms
from exvae.models.scvi import SCVI

REGISTERED = {"linear": "torch.nn:Linear", "norm": nn.LayerNorm}


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch) -> Path:
    """Work in an empty folder, where Python looks for modules during the test alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    return tmp_path


# Finding classes


def test_registered_names_are_found() -> None:
    assert find_class("linear", REGISTERED, "layer") is nn.Linear
    assert find_class("norm", REGISTERED, "layer") is nn.LayerNorm
    assert find_class("effective-reads", MODELS, "model") is EffectiveReadIsoforms
    assert find_class("paper", CELL_GUIDES, "guide") is PaperGuide


def test_a_class_stands_for_itself() -> None:
    assert find_class(nn.Conv1d, REGISTERED, "layer") is nn.Conv1d


def test_modules_of_the_working_folder_are_found(working_folder: Path) -> None:
    (working_folder / "layers_of_mine.py").write_text("class Layer:\n    size = 3\n")
    assert find_class("layers_of_mine:Layer", REGISTERED, "layer").size == 3
    # Also modules that are installed.
    assert find_class("torch.nn:Conv2d", REGISTERED, "layer") is nn.Conv2d


def test_what_is_installed_is_found_before_the_working_folder(
    working_folder: Path, monkeypatch
) -> None:
    monkeypatch.delitem(sys.modules, "sched", raising=False)
    (working_folder / "sched.py").write_text("raise RuntimeError\n")
    found = find_class("sched:scheduler", REGISTERED, "layer")
    assert found.__module__ == "sched"


def test_unknown_names_are_told_beside_the_known_ones() -> None:
    with pytest.raises(DataError, match="layer is 'deep'; choose one of linear, norm, or give mod"):
        find_class("deep", REGISTERED, "layer")


@pytest.mark.parametrize(
    ("code", "name", "reason"),
    [
        (None, "mine_missing:Layer", "ModuleNotFoundError: No module named 'mine_missing'"),
        ("x = 1", "mine_empty:Layer", "AttributeError: module 'mine_empty' has no attribute"),
        ("def", "mine_odd:Layer", "SyntaxError: "),
        ("raise OSError('two\\nlines')", "mine_failing:Layer", "OSError: two lines"),
        ("import nowhere_at_all", "mine_needy:Layer", "No module named 'nowhere_at_all'"),
    ],
)
def test_modules_that_cannot_be_imported_are_told_with_the_reason(
    working_folder: Path, code: str | None, name: str, reason: str
) -> None:
    module = name.partition(":")[0]
    if code is not None:
        (working_folder / f"{module}.py").write_text(f"{code}\n")
    with pytest.raises(DataError) as raised:
        find_class(name, REGISTERED, "layer")
    message = str(raised.value)
    assert message.startswith(f"layer {name} cannot be imported (")
    assert reason in message
    assert message.endswith(f"; run where {module}.py lies, or install it")
    assert len(message.splitlines()) == 1


def test_what_is_no_class_is_refused(working_folder: Path) -> None:
    (working_folder / "functions_of_mine.py").write_text("def layer():\n    pass\n")
    with pytest.raises(DataError, match="layer functions_of_mine:layer is no class; give mod"):
        find_class("functions_of_mine:layer", REGISTERED, "layer")


# Options


class Base:
    def __init__(self, size: int, *, height: int = 1, width: int = 1) -> None:
        if height < 0:
            raise ValueError(f"height is {height}; give at least 0")
        self.size, self.height, self.width = size, height, width


class Passing(Base):
    def __init__(self, size: int, *, depth: int = 1, **options) -> None:
        super().__init__(size, **options)
        self.depth = depth


class Plain(Passing):
    pass


class Ending(Passing):
    def __init__(self, size: int, *, colour: str = "red") -> None:
        super().__init__(size)
        self.colour = colour


def test_options_are_of_all_constructors_that_pass_them_on() -> None:
    assert options_of(Base) == {"height", "width"}
    assert options_of(Passing) == options_of(Plain) == {"height", "width", "depth"}
    assert options_of(Ending) == {"colour"}


def test_defaults_of_a_subclass_go_before_its_bases() -> None:
    assert defaults_of(Passing) == {"depth": 1, "height": 1, "width": 1}
    assert defaults_of(SCVI)["dropout"] == "network"
    assert defaults_of(BootstrapIsoforms)["dropout"] == "none"


def test_options_of_models_and_decoders() -> None:
    paper = options_of(BootstrapIsoforms)
    assert {"latent_size", "dispersion", "dropout", "noise", "error"} < paper
    assert not {"genes", "num_batches", "weight_scale", "hidden_sizes"} & paper
    assert "weight_scale" in options_of(EffectiveReadIsoforms)
    assert options_of(NetworkDecoder) == {"hidden_sizes"}
    assert options_of(LinearDecoder) == set()


def test_each_option_goes_to_the_constructor_that_takes_it() -> None:
    options = {"height": 2, "colour": "blue", "depth": 3}
    assert distribute(options, [{"height", "depth"}, {"colour"}]) == [
        {"height": 2, "depth": 3},
        {"colour": "blue"},
    ]
    assert distribute({}, [{"height"}, set()]) == [{}, {}]


def test_options_that_nobody_takes_are_told_beside_the_known_ones() -> None:
    with pytest.raises(DataError, match="there is no option depth; choose one of colour, height$"):
        distribute({"depth": 3}, [{"height", "decoder", "heads"}, {"colour", "pooling"}])


def test_options_that_several_take_are_refused() -> None:
    with pytest.raises(DataError, match="option size is both of the model and of the guide"):
        distribute({"size": 3}, [{"size"}, {"size", "colour"}])


def test_what_a_constructor_refuses_is_told_with_its_class() -> None:
    made = construct(Passing, 4, depth=2, width=5)
    assert (made.size, made.depth, made.width) == (4, 2, 5)
    with pytest.raises(DataError, match="^Passing: height is -1; give at least 0$"):
        construct(Passing, 4, height=-1)
    with pytest.raises(DataError, match="^Passing: .*unexpected keyword argument 'length'$"):
        construct(Passing, 4, length=2)
