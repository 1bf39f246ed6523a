"""Classes by name, and which constructor takes an option."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

from exvae.data.errors import DataError
from exvae.experiments.fitting.classes import construct, distribute, find_class
from exvae.experiments.fitting.errors import ArgumentError
from exvae.guides import CELL_GUIDES, LDA_GUIDES
from exvae.guides.base import Guide
from exvae.guides.lda import ExchangeableGuide
from exvae.guides.paper_isoforms import PaperGuide
from exvae.models import MODELS
from exvae.models.cells import CellModel
from exvae.models.isoforms import EffectiveReadIsoforms
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
    ("code", "name", "reason", "remedy"),
    [
        (
            None,
            "mine_missing:Layer",
            "cannot be imported (ModuleNotFoundError: No module named 'mine_missing')",
            "run where mine_missing.py lies, or install it",
        ),
        (
            "class Layers: pass",
            "mine_typo:Layer",
            "mine_typo.py has no Layer",
            "its classes are Layers",
        ),
        ("def", "mine_odd:Layer", "(SyntaxError: ", "mend mine_odd"),
        (
            "raise OSError('two\\nlines')",
            "mine_failing:Layer",
            "(OSError: two lines)",
            "mend mine_failing.py:1 in <module>",
        ),
        (
            "import nowhere_at_all",
            "mine_needy:Layer",
            "No module named 'nowhere_at_all'",
            "mend mine_needy.py:1 in <module>",
        ),
    ],
)
def test_modules_that_cannot_be_imported_are_told_with_the_reason(
    working_folder: Path, code: str | None, name: str, reason: str, remedy: str
) -> None:
    module = name.partition(":")[0]
    if code is not None:
        (working_folder / f"{module}.py").write_text(f"{code}\n")
    with pytest.raises(DataError) as raised:
        find_class(name, REGISTERED, "layer")
    message = str(raised.value)
    assert message.startswith(f"layer {name}")
    assert reason in message
    assert message.endswith(f"; {remedy}")
    assert len(message.splitlines()) == 1


def test_what_is_no_class_is_refused(working_folder: Path) -> None:
    (working_folder / "functions_of_mine.py").write_text("def layer():\n    pass\n")
    with pytest.raises(DataError, match="layer functions_of_mine:layer is no class; give mod"):
        find_class("functions_of_mine:layer", REGISTERED, "layer")
    for given, told in ((nn.Linear(1, 1), "Linear"), (len, "len"), (7, "7")):
        with pytest.raises(DataError, match=f"layer {told}.* is no class; give module:Class"):
            find_class(given, REGISTERED, "layer")


class NoNoise(CellModel):
    """Writes no likelihood."""


@pytest.mark.parametrize(
    ("given", "kind", "methods", "message"),
    [
        (dict, nn.Module, [], "layer dict is no torch.nn.Module; subclass it"),
        ("torch.nn:Linear", CellModel, [], "torch.nn:Linear is no exvae.models.cells.CellModel"),
        (ExchangeableGuide, Guide, ["posteriors"], "ExchangeableGuide has no method posteriors"),
        (NoNoise, CellModel, ["likelihood"], "NoNoise has no method likelihood; write it"),
    ],
)
def test_classes_are_of_the_kind_wanted(
    given: str | type, kind: type, methods: list[str], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message) as raised:
        find_class(given, {}, "layer", kind, methods)
    assert raised.value.on_command_line == f"--{raised.value}"
    found = find_class("effective-reads", MODELS, "model", CellModel, ["likelihood"])
    assert found is EffectiveReadIsoforms


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


def test_each_option_goes_to_the_constructor_that_takes_it() -> None:
    options = {"height": 2, "colour": "blue", "depth": 3}
    assert distribute(options, [{"height", "depth"}, {"colour"}]) == [
        {"height": 2, "depth": 3},
        {"colour": "blue"},
    ]
    assert distribute({}, [{"height"}, set()]) == [{}, {}]


def test_options_that_nobody_takes_are_told_beside_the_known_ones() -> None:
    takers = [{"height", "decoder", "heads"}, {"colour", "pooling", "output_size"}]
    for name in ("depth", "pooling", "heads", "output_size"):
        with pytest.raises(DataError, match=f"is no option {name}; choose one of colour, height$"):
            distribute({name: 3}, takers)


def test_options_of_another_registered_class_are_told_with_it() -> None:
    registries = {"model": (MODELS, 2), "guide": (LDA_GUIDES, 1)}
    told = {"noise": "model paper", "length": "guide fixed-length"}
    for name, owner in told.items():
        with pytest.raises(ArgumentError, match=f"no option {name}; it belongs to {owner}$") as one:
            distribute({name: 3}, [{"height"}], registries)
        assert one.value.on_command_line == f"there is no option {name}; it belongs to --{owner}"


def test_options_that_several_take_are_refused() -> None:
    with pytest.raises(DataError, match="option size is both of the model and of the guide"):
        distribute({"size": 3}, [{"size"}, {"size", "colour"}])


def test_what_a_constructor_refuses_is_told_with_its_place_or_class() -> None:
    made = construct(Passing, 4, depth=2, width=5)
    assert (made.size, made.depth, made.width) == (4, 2, 5)
    with pytest.raises(
        DataError, match=r"^test_classes.py:\d+ in .*__init__: ValueError: height is"
    ):
        construct(Passing, 4, height=-1)
    with pytest.raises(
        DataError, match="^test_classes.py:.* unexpected keyword argument 'length'$"
    ):
        construct(Passing, 4, length=2)
    with pytest.raises(DataError, match="^SCVI: latent_size is 0; give at least 1$"):
        construct(SCVI, 4, latent_size=0)
