"""Files whose failures wait until they are asked for."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from exvae.data.h5ad.new_files import NewFile
from exvae.data.steady_files import SteadyFile


class FullDisk:
    """A disk with room for some bytes, in the place of ``os.write``."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._write = os.write

    def __call__(self, descriptor: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data = data[: self.room]
        self.room -= len(data)
        return self._write(descriptor, data)


def test_bytes_are_written_and_read_as_in_any_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with SteadyFile(tmp_path / "steady") as steady, (tmp_path / "file").open("w+b") as file:
        for _ in range(200):
            place, number = rng.integers(0, 1000, 2)
            for own in (steady, file):
                own.seek(place)
            if rng.random() < 0.5:
                data = rng.bytes(number)
                assert steady.write(data) == file.write(data)
            else:
                assert steady.read(int(number)) == file.read(int(number))
            assert steady.tell() == file.tell()
        for own in (steady, file):
            own.truncate(500)
        assert steady.seek(0, os.SEEK_END) == 500
    assert (tmp_path / "steady").read_bytes() == (tmp_path / "file").read_bytes()


@pytest.mark.parametrize("room", [0, 1, 50, 500, 900])
def test_what_does_not_fit_can_be_read_until_the_failure_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    rng = np.random.default_rng(room)
    monkeypatch.setattr(os, "write", FullDisk(room))
    expected = bytearray(1000)
    steady = SteadyFile(tmp_path / "steady")
    for _ in range(100):
        place, number = rng.integers(0, 500, 2)
        data = rng.bytes(number)
        steady.seek(place)
        assert steady.write(data) == number
        expected[place : place + number] = data
    steady.seek(0)
    assert steady.read(1000) == expected[: steady.seek(0, os.SEEK_END)]
    for raises in (steady.check, steady.close):
        with pytest.raises(OSError, match="No space left"):
            raises()


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        SteadyFile(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("room", [0, 100, 1000, 3000, 5000, 20000])
def test_an_hdf5_file_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(os, "write", FullDisk(room))
    with (
        pytest.raises(OSError, match="No space left"),
        NewFile(tmp_path / "file.h5") as file,
    ):
        for number in range(20):
            file.create_dataset(f"deep/{number}", data=np.random.default_rng(0).random(5000))
    assert not file


def test_a_checkpoint_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (0, 100, 1000, 3000):
        monkeypatch.setattr(os, "write", FullDisk(room))
        with (
            pytest.raises(OSError, match="No space left"),
            SteadyFile(tmp_path / f"{room}") as file,
        ):
            torch.save({"values": torch.zeros(10000)}, file)


def test_an_hdf5_file_is_as_h5py_writes_it(tmp_path: Path) -> None:
    values = np.arange(10.0)
    with NewFile(tmp_path / "file.h5") as file:
        file["values"] = values
    with NewFile(tmp_path / "file.h5", "r+") as file:
        file["more"] = values + 1
    with h5py.File(tmp_path / "file.h5") as file:
        assert np.array_equal(file["values"], values)
        assert np.array_equal(file["more"], values + 1)


def test_a_process_at_its_limit_of_file_size_ends_in_order(tmp_path: Path) -> None:
    program = (
        "import resource, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from exvae.data.errors import DataError\n"
        "from exvae.data.files import written_atomically\n"
        "from exvae.data.h5ad.new_files import NewFile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    with written_atomically(Path(sys.argv[1])) as path, NewFile(path) as file:\n"
        "        file['values'] = np.random.default_rng(0).random(100_000)\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", program, tmp_path / "cells.h5ad"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "cells.h5ad: cannot be written (File too large)" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
