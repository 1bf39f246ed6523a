"""Files and folders that are complete or not there, whatever ends their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exvae.data import files
from exvae.data.errors import DataError, DataWarning
from exvae.data.files import (
    UNFINISHED,
    folder_locked,
    folder_written_atomically,
    unchanged,
    written_atomically,
)


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with written_atomically(path) as temporary:
        temporary.write_text("new")
        # On the same file system, so that it can be moved.
        assert temporary.parent.parent == tmp_path
        assert temporary.suffix == ".txt"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_of_a_failure(failure: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with pytest.raises(failure), written_atomically(path) as temporary:
        temporary.write_text("half")
        raise failure
    with pytest.raises(failure), folder_written_atomically(path) as temporary:
        temporary.mkdir()
        (temporary / "part").touch()
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file.txt"
    with (
        pytest.raises(DataError, match="file.txt: cannot be written"),
        written_atomically(path) as temporary,
    ):
        temporary.write_text("new")


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with folder_written_atomically(path) as temporary:
        (temporary / "deep").mkdir(parents=True)
        (temporary / "deep" / "file").write_text("new")
        assert not path.exists()
    assert (path / "deep" / "file").read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


# Places


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_only_regular_files_are_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    with (
        pytest.raises(DataError, match=r"out: cannot be written \(no regular file\)"),
        written_atomically(path) as temporary,
    ):
        temporary.write_text("new")
    assert list(tmp_path.iterdir()) == [path]
    assert not path.is_file()
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("target", ["there", "not there"])
def test_a_link_stays_a_link(tmp_path: Path, target: str) -> None:
    (tmp_path / "deep").mkdir()
    path, aim = tmp_path / "link", tmp_path / "deep" / "file"
    path.symlink_to(aim)
    if target == "there":
        aim.write_text("old")
    with written_atomically(path) as temporary:
        temporary.write_text("new")
    assert path.is_symlink()
    assert aim.read_text() == "new"
    assert not aim.is_symlink()


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.touch(0o600)
    with written_atomically(path) as temporary:
        temporary.write_text("new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_names_cannot_be_foreseen_and_nobody_else_can_enter(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        with written_atomically(tmp_path / "file") as temporary:
            temporary.touch()
            names.append(temporary.parent.name)
            assert temporary.parent.stat().st_mode & 0o777 == 0o700
    assert len(set(names)) == 2


def test_files_are_on_the_disk_before_they_are_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        steps.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def note_replace(old: Path, new: Path) -> None:
        steps.append(new.name)
        replace(old, new)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    with written_atomically(tmp_path / "file") as temporary:
        temporary.touch()
        number = temporary.stat().st_ino
    assert steps == [number, "file", tmp_path.stat().st_ino]


# Several processes

WRITE = """
import sys, time
from pathlib import Path
from exvae.data.files import written_atomically
with written_atomically(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary, flush=True)
    time.sleep(60)
"""


def start_writing(path: Path) -> subprocess.Popen:
    """Start a process that has written half of a file."""
    child = subprocess.Popen([sys.executable, "-c", WRITE, path], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline().startswith(str(path.parent))
    return child


def test_what_a_killed_process_left_is_told_and_removed(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "another"
    for each in (path, other):
        with start_writing(each) as child:
            child.kill()
    assert len(list(tmp_path.iterdir())) == 2
    with (
        pytest.warns(DataWarning, match=r"\.file\..* was left by a process that was killed"),
        written_atomically(path) as temporary,
    ):
        temporary.write_text("new")
    remains = [own.name for own in tmp_path.iterdir()]
    assert "file" in remains
    assert [name.startswith(".another.") for name in remains if name != "file"] == [True]


def test_a_file_that_another_process_writes_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with start_writing(path) as child:
        before = list(tmp_path.iterdir())
        with (
            pytest.raises(DataError, match="file: another process writes it"),
            written_atomically(path) as temporary,
        ):
            temporary.write_text("new")
        assert list(tmp_path.iterdir()) == before
        child.kill()


def test_folders_of_others_are_no_remains(tmp_path: Path) -> None:
    aim = tmp_path / "precious"
    aim.mkdir()
    (tmp_path / f".file.{'0' * 16}{UNFINISHED}").symlink_to(aim)
    (tmp_path / f".file.{'1' * 16}{UNFINISHED}").write_text("no folder")
    (tmp_path / f".file.txt.{'2' * 16}{UNFINISHED}").mkdir()
    before = sorted(tmp_path.iterdir())
    with written_atomically(tmp_path / "file") as temporary:
        temporary.touch()
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "file"])


def test_one_process_at_a_time_writes_to_a_locked_folder(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from exvae.data.files import folder_locked\n"
        "with folder_locked(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "locked\n"
        with (
            pytest.raises(DataError, match="another process writes to it"),
            folder_locked(tmp_path),
        ):
            pass
        child.send_signal(signal.SIGKILL)
        child.wait()
        with folder_locked(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


# Sources


def test_a_source_that_changes_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "cells"
    (folder / "deep").mkdir(parents=True)
    table, deep = tmp_path / "table", folder / "deep" / "file"
    for path in (table, deep):
        path.write_text("old")
    with unchanged([table, folder, tmp_path / "missing"]):
        (folder / "new").touch()  # a new file was not read
    for path in (table, deep):
        message = f"{path}: changed while it was read"
        with pytest.raises(DataError, match=message), unchanged([table, folder]):
            path.write_text("longer")
        with pytest.raises(DataError, match=message), unchanged([table, folder]):
            time.sleep(0.01)
            path.write_text("as big")


def test_a_signal_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come when the folder has just been made."""

    def interrupt(folder: Path) -> None:
        assert folder.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "lock_folder", interrupt)
    with pytest.raises(KeyboardInterrupt), written_atomically(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_signal_while_all_is_cleared_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = files.shutil.rmtree
    calls = []

    def interrupt_once(folder: Path, **options: bool) -> None:
        calls.append(folder)
        if len(calls) == 1:
            raise KeyboardInterrupt
        remove(folder, **options)

    monkeypatch.setattr(files.shutil, "rmtree", interrupt_once)
    with pytest.raises(KeyboardInterrupt), written_atomically(tmp_path / "out") as path:
        path.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "whole"
