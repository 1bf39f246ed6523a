"""The help of every command: options in panels, and examples that work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from exvae.experiments import cli

from ...small_data import write_data, write_quantified

PANELS = ["Common", "Model", "Data", "Reads", "Training", "Advanced"]
# So many options need no panels.
FEW = 6
# An example may not be longer, so that a terminal of 80 columns shows it in one line.
LONGEST_EXAMPLE = 76
# Where examples of one command need the files of another.
ORDER = {"fit": 0, "import": 2, "filter": 3}


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Give a command, and all commands within it, by full name."""
    yield name, command
    for key, own in getattr(command, "commands", {}).items():
        yield from walk(own, f"{name} {key}")


COMMANDS = dict(walk(get_command(cli.app), "exvae"))
LEAVES = {name: own for name, own in COMMANDS.items() if not hasattr(own, "commands")}


def examples_of(command: Any) -> list[str]:
    return re.findall(r"^\$ (.+)$", command.help, re.MULTILINE)


def options_of(command: Any) -> list[Any]:
    return [own for own in command.params if own.param_type_name == "option" and not own.hidden]


def parsed(command: Any, words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Values of the words by parameter, and the words that are left; raises for unknown options."""
    values, left, _ = command.make_parser(typer.Context(command)).parse_args(list(words))
    return values, left


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name: str) -> None:
    found = examples_of(COMMANDS[name])
    assert found
    for example in found:
        assert example.startswith(f"{name} ")
        assert len(example) <= LONGEST_EXAMPLE


EXAMPLES = [own for command in COMMANDS.values() for own in examples_of(command)]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_options_of_examples_exist(example: str) -> None:
    words = shlex.split(example)
    name = max((own for own in LEAVES if f"{example} ".startswith(f"{own} ")), key=len)
    values, left = parsed(LEAVES[name], words[len(name.split()) :])
    assert not left
    for own in LEAVES[name].params:
        assert not own.required or values.get(own.name), own.name


@pytest.mark.parametrize("words", [["FIT", "--no-such-option"], ["FIT", "surplus"]])
def test_the_parser_finds_what_does_not_exist(words: list[str]) -> None:
    try:
        _, left = parsed(LEAVES["exvae info"], words)
    except Exception as error:
        assert "--no-such-option" in str(error)
    else:
        assert left == ["surplus"]


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_in_panels_of_one_order(name: str) -> None:
    options = options_of(COMMANDS[name])
    panels = [own.rich_help_panel for own in options]
    if len(options) > FEW:
        assert None not in panels
        assert len(set(panels)) > 1
    first = list(dict.fromkeys(panels))
    assert first == sorted(first, key=PANELS.index)


def test_an_option_of_several_commands_is_in_one_panel() -> None:
    shared = ["backed", "device", "drop_unknown", "json", "out", "resume", "seed", "trust"]
    found = {
        (own.name, own.rich_help_panel)
        for name, command in LEAVES.items()
        for own in options_of(command)
        if own.name in shared and (name, own.name) != ("exvae isoforms import", "seed")
    }
    assert sorted(name for name, _ in found) == shared


def test_help_shows_panels_and_examples(exvae) -> None:
    told = exvae("lda", "fit", "--help")
    assert told.status == 0
    for panel in ("Common", "Model", "Data", "Training", "Advanced"):
        assert re.search(rf"─ {panel} ─", told.out)
    for example in examples_of(LEAVES["exvae lda fit"]):
        assert f" $ {example}" in told.out


def test_the_version_is_the_package_s(exvae) -> None:
    import exvae as package

    told = exvae("--version")
    assert (told.status, told.out, told.err) == (0, f"{package.__version__}\n", "")
    setup = (Path(__file__).resolve().parents[3] / "setup.cfg").read_text(encoding="utf-8")
    assert f"\nversion = {package.__version__}\n" in setup


@pytest.mark.slow
def test_examples_run(exvae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    write_quantified(tmp_path)
    monkeypatch.chdir(tmp_path)
    commands = sorted(LEAVES, key=lambda name: ORDER.get(name.split()[-1], 1))
    commands.remove("exvae demo")  # takes minutes
    for name in commands:
        for example in examples_of(LEAVES[name]):
            told = exvae(*shlex.split(example)[1:])
            assert told.status == 0, f"{example}: {told.err}"
