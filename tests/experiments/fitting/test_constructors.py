"""Which options constructors have, and values of another kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest

from exvae.experiments.fitting.constructors import (
    check_model,
    check_options,
    defaults_of,
    options_of,
)
from exvae.experiments.fitting.errors import ArgumentError
from exvae.guides.cells import CellGuide
from exvae.guides.lda import ExchangeableGuide, FixedLengthGuide
from exvae.guides.paper_isoforms import PaperGuide
from exvae.models.decoders import LinearDecoder, NetworkDecoder
from exvae.models.isoforms import EffectiveReadIsoforms
from exvae.models.paper_isoforms import BootstrapIsoforms
from exvae.models.scvi import SCVI


class Base:
    def __init__(self, size: int, *, height: int = 1, width: int = 1) -> None:
        pass


class Passing(Base):
    def __init__(self, size: int, *, depth: int = 1, **options) -> None:
        pass


class Plain(Passing):
    pass


class Ending(Passing):
    def __init__(self, size: int, *, colour: str = "red") -> None:
        pass


class WithDefaults(Passing):
    """As many write their classes: arguments with defaults, and no annotation."""

    def __init__(self, size=1, knots=3, *, weight=2.5, name="a", sizes=(4,), on=True, **options):
        pass


class Annotated(Base):
    def __init__(
        self,
        *,
        share: float | None = None,
        colour: Literal["red", "blue"] = "red",
        names: Sequence[str] = (),
        anything: Any = None,
        table: dict[str, int] | None = None,
    ) -> None:
        pass


def test_options_are_of_all_constructors_that_pass_them_on() -> None:
    assert options_of(Base, 1) == {"height", "width"}
    assert options_of(Passing, 1) == options_of(Plain, 1) == {"height", "width", "depth"}
    assert options_of(Ending, 1) == {"colour"}


def test_arguments_with_defaults_are_options_unless_given_by_position() -> None:
    own = {"knots", "weight", "name", "sizes", "on"}
    assert options_of(WithDefaults, 1) == own | {"height", "width", "depth"}
    assert options_of(WithDefaults, 0) == own | {"height", "width", "depth", "size"}


def test_defaults_of_a_subclass_go_before_its_bases() -> None:
    assert defaults_of(Passing, 1) == {"depth": 1, "height": 1, "width": 1}
    assert defaults_of(SCVI, 2)["dropout"] == "network"
    assert defaults_of(BootstrapIsoforms, 2)["dropout"] == "none"


def test_options_of_models_and_decoders() -> None:
    paper = options_of(BootstrapIsoforms, 2)
    assert {"latent_size", "dispersion", "dropout", "noise", "error"} < paper
    assert not {"genes", "num_batches", "weight_scale", "hidden_sizes"} & paper
    assert "weight_scale" in options_of(EffectiveReadIsoforms, 2)
    assert options_of(NetworkDecoder, 3) == {"hidden_sizes"}
    assert options_of(LinearDecoder, 3) == set()


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (SCVI, {"latent_size": 3, "dispersion": "cell", "decoder": NetworkDecoder}),
        (SCVI, {"latent_size": np.int64(3)}),
        (CellGuide, {"input_dropout": 0, "element_sizes": [8, 4], "pooling": "sum"}),
        (CellGuide, {"readout_sizes": (), "input_dropout": np.float32(0.5)}),
        (ExchangeableGuide, {"learn_topic_concentration": True}),
        (WithDefaults, {"knots": 2.5, "weight": 3, "name": "b", "sizes": [1], "on": False}),
        (WithDefaults, {"depth": 4, "height": 1}),
        (Annotated, {"share": None, "colour": "blue", "names": ["a"], "anything": object()}),
        (Annotated, {"share": 1, "table": {"a": 1}}),
    ],
)
def test_values_of_the_right_kind_are_taken(cls: type, options: dict[str, Any]) -> None:
    check_options([cls], options)


@pytest.mark.parametrize(
    ("cls", "name", "value", "wanted", "example", "typed"),
    [
        (SCVI, "latent_size", "five", "a whole number", "10", "10"),
        (SCVI, "latent_size", 2.5, "a whole number", "10", "10"),
        (SCVI, "latent_size", True, "a whole number", "10", "10"),
        (SCVI, "dispersion", 3, "a word", "'constant'", "constant"),
        (NetworkDecoder, "hidden_sizes", 64, "a list of whole numbers", "(32,)", "[32]"),
        (NetworkDecoder, "hidden_sizes", "64,32", "a list of whole numbers", "(32,)", "[32]"),
        (NetworkDecoder, "hidden_sizes", [64, "a"], "a list of whole numbers", "(32,)", "[32]"),
        (CellGuide, "readout_sizes", 8, "a list of whole numbers", "[64, 32]", "[64,32]"),
        (CellGuide, "input_dropout", "yes", "a number", "0.7", "0.7"),
        (FixedLengthGuide, "length", "many", "a whole number", "100", "100"),
        (ExchangeableGuide, "learn_topic_concentration", "False", "true or false", "True", "true"),
        (ExchangeableGuide, "learn_topic_concentration", 1, "true or false", "True", "true"),
        (WithDefaults, "knots", "x", "a number", "3", "3"),
        (WithDefaults, "sizes", 3, "a list", "(4,)", "[4]"),
        (WithDefaults, "on", "no", "true or false", "True", "true"),
        (WithDefaults, "depth", "deep", "a whole number", "1", "1"),
        (Annotated, "share", "half", "a number", "0.5", "0.5"),
        (Annotated, "colour", "green", "one of red, blue", "'red'", "red"),
        (Annotated, "names", "a", "a list of words", "['name']", '["name"]'),
    ],
)
def test_values_of_another_kind_are_told_with_an_example(
    cls: type, name: str, value: object, wanted: str, example: str, typed: str
) -> None:
    with pytest.raises(ArgumentError) as raised:
        check_options([cls], {name: value})
    told = f"{name} is {value!r}; give {wanted}, such as"
    assert str(raised.value) == f"{told} {name}={example}"
    assert raised.value.on_command_line == f"--set {told} --set {name}={typed}"


def test_guides_are_for_the_model_of_their_annotation() -> None:
    effective, paper = EffectiveReadIsoforms(3), BootstrapIsoforms(3)
    for guide, model in ((PaperGuide, paper), (CellGuide, paper), (CellGuide, effective)):
        check_model(guide, [model])
    with pytest.raises(ArgumentError, match="guide PaperGuide is for BootstrapIsoforms, not for "):
        check_model(PaperGuide, [effective])
