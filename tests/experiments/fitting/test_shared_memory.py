"""Processes of one machine add up by memory that they share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from exvae.experiments.fitting.shared_memory import SharedMemory

from .test_distributed import ENVIRONMENT, TORCHRUN

PROGRAM = Path(__file__).with_name("sums_of_processes.py")


@pytest.fixture(autouse=True)
def _needs_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    if not SharedMemory.serves():
        pytest.skip("processes of this machine share no memory")


def run(processes: int, case: str) -> str:
    command = [*TORCHRUN, str(processes), str(PROGRAM), case]
    finished = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def left_behind() -> set[Path]:
    return set(Path("/dev/shm").glob("exvae-*"))


@pytest.mark.parametrize(("processes", "case"), [(2, "sums"), (3, "sums"), (2, "full")])
def test_sums_are_those_of_one_process(processes: int, case: str) -> None:
    before = left_behind()
    run(processes, case)
    assert left_behind() <= before


@pytest.mark.parametrize(
    ("case", "told"), [("ended", "a process has ended"), ("late", "a process is late")]
)
def test_a_process_that_does_not_come_is_told(case: str, told: str) -> None:
    assert run(2, case).strip() == f"told: {told}"


def test_processes_of_several_machines_share_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert not SharedMemory.serves()
