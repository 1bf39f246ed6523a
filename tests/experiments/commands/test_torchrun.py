"""Commands under torchrun: what they share, and who talks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from exvae.experiments.commands import torchrun
from exvae.experiments.fitting.errors import ArgumentError

TOLD = {
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "0",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "1",
}


@pytest.fixture
def under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TOLD, "RANK": "0"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "arguments",
    [["isoforms", "fit", "x"], ["isoforms", "import"], ["lda", "evaluate"], ["info", "--help"]],
)
def test_long_work_is_shared(arguments: list[str], under_torchrun: None) -> None:
    torchrun.require_shared(arguments)


def test_other_commands_are_refused(under_torchrun: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="started 2 processes, but only isoforms import, .*"):
        torchrun.require_shared(["isoforms", "check", "FIT"])
    monkeypatch.delenv("RANK")
    torchrun.require_shared(["isoforms", "check", "FIT"])


@pytest.mark.parametrize("together", [False, True])
def test_an_end_has_its_status(
    together: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    if together:
        request.getfixturevalue("under_torchrun")
    with pytest.raises(SystemExit) as raised:
        torchrun.end(2)
    assert raised.value.code == 2
    assert ended == [2] * together


def test_one_process_tells_its_errors() -> None:
    assert torchrun.may_tell()


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0)])
def test_only_the_first_process_talks(rank: str, lines: int) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "exvae", "info", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, **TOLD, "RANK": rank},
    )
    assert finished.returncode == 0
    assert bool(finished.stdout) == bool(lines)
    assert not finished.stderr
