"""Processes are counted by what torchrun tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from exvae.experiments.fitting import workers

TOLD = {
    "RANK": "1",
    "WORLD_SIZE": "3",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "3",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "1",
}


@pytest.fixture
def under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TOLD.items():
        monkeypatch.setenv(name, value)


def test_processes_of_torchrun(under_torchrun: None) -> None:
    assert workers.number_of_processes() == 3
    assert not workers.is_first()


@pytest.mark.parametrize("missing", TOLD)
def test_one_process_otherwise(
    missing: str, under_torchrun: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(missing)
    assert workers.number_of_processes() == 1
    assert workers.is_first()


def test_the_only_process_is_alone(tmp_path: Path) -> None:
    with workers.joined(tmp_path) as processes:
        assert processes is workers.current()
        assert processes.first
        assert processes.same(lambda: 3) == 3
        assert processes.agreed(int) is int
