"""Commands that are stopped from outside, and whose output nobody can read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ...data.quantified.quantifier_output import draw_cell, write_kallisto_plaintext


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four hundred cells, links to one."""
    own = write_kallisto_plaintext(tmp_path / "cell", draw_cell(seed=0, bootstraps=3))
    plate = tmp_path / "plate"
    plate.mkdir()
    for number in range(400):
        (plate / f"cell_{number}").symlink_to(own)
    return plate


def heed_signals() -> None:
    """Undo what a shell does to what it runs in its background."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start the command in a session of its own, in the folder of the test."""

    def start(*arguments: object, **options: object) -> subprocess.Popen:
        defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(
            [sys.executable, "-m", "exvae", *map(str, arguments)],
            start_new_session=True,
            cwd=tmp_path,
            **{"preexec_fn": heed_signals, **defaults, **options},
        )

    return start


def start_import(start: Start, folder: Path, out: Path, **options: object) -> subprocess.Popen:
    """Start an import with two processes, and wait until these work."""
    out.parent.mkdir()
    child = start("isoforms", "import", folder, "--out", out, "--processes", 2, **options)
    deadline = time.monotonic() + 60
    while len(children_of(child.pid)) < 2:
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return child


def children_of(number: int) -> set[int]:
    """Numbers of the processes that a process has started to work for it."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            works = b"spawn_main" in (folder / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if parent == number and works:
            found.add(int(folder.name))
    return found


def lines_of(text: str) -> list[str]:
    """Lines that say something, without the progress."""
    return [line for line in text.splitlines() if line.startswith("exvae") or "Error" in line]


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@needs_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_a_signal_ends_an_import_and_leaves_nothing(
    start: Start, folder: Path, tmp_path: Path, number: signal.Signals, delay: float
) -> None:
    out = tmp_path / "out" / "cells.h5ad"
    child = start_import(start, folder, out)
    time.sleep(delay)
    workers = children_of(child.pid)
    os.killpg(child.pid, number) if number != signal.SIGTERM else child.terminate()
    _, errors = child.communicate(timeout=60)
    told = "interrupted" if number == signal.SIGINT else "stopped"
    assert lines_of(errors) == [f"exvae: {told}"]
    assert child.returncode == 128 + number
    assert list(out.parent.iterdir()) == []
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


@needs_linux
def test_a_hang_up_that_is_ignored_stays_ignored(
    start: Start, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "cells.h5ad"

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    child = start_import(start, folder, out, preexec_fn=ignore)
    os.killpg(child.pid, signal.SIGHUP)
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert out.is_file()


@needs_linux
def test_helpers_end_with_a_process_that_is_killed(
    start: Start, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "cells.h5ad"
    child = start_import(start, folder, out)
    workers = children_of(child.pid)
    child.kill()
    child.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # What it left is told and removed by the next run.
    assert [own.is_dir() for own in out.parent.iterdir()] == [True]
    done = start("isoforms", "import", folder, "--out", out, "--processes", 1)
    _, errors = done.communicate(timeout=60)
    assert done.returncode == 0
    assert sum("was left by a process that was killed" in line for line in lines_of(errors)) == 1
    assert list(out.parent.iterdir()) == [out]


# Streams


def test_a_pipe_that_nobody_reads_ends_a_command_without_a_word(start: Start, folder: Path) -> None:
    with start("isoforms", "import", folder, "--list") as child:
        child.stdout.close()
        assert lines_of(child.stderr.read()) == []
    assert child.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("options", [("--list",), ("--list", "--json")])
def test_a_full_disk_under_standard_output_is_one_line(
    start: Start, folder: Path, options: tuple[str, ...]
) -> None:
    with (
        open("/dev/full", "w") as full,
        start("isoforms", "import", folder, *options, stdout=full) as child,
    ):
        errors = child.stderr.read()
    assert len(lines_of(errors)) == 1
    assert lines_of(errors)[0].startswith("exvae: standard output: No space left on device")
    assert "Traceback" not in errors
    assert child.returncode == 2


@pytest.mark.parametrize("kind", ["closed", "full", "pipe"])
def test_messages_that_cannot_be_written_disturb_nothing(
    start: Start, folder: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "cells.h5ad"

    def close() -> None:
        os.close(2)

    reader, writer = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    streams = {"closed": subprocess.DEVNULL, "full": full, "pipe": writer}
    options = {"preexec_fn": close} if kind == "closed" else {}
    with start(
        *("isoforms", "import", folder, "--out", out, "--json"), stderr=streams[kind], **options
    ) as child:
        printed = child.stdout.read()
    os.close(writer)
    os.close(full)
    assert child.returncode == 0
    assert printed.startswith('{"out": ')
    assert out.read_bytes().startswith(b"\x89HDF")
