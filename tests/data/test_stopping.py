"""Signals that ask a process to stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from exvae.data.files import written_atomically
from exvae.data.h5ad.new_files import NewFile
from exvae.data.steady_files import SteadyFile
from exvae.data.stopping import SIGNALS, Stopped, raise_if_stopped, stoppable


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Hear signals also where the tests run in the background, which ignores some."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_block_and_handlers_return(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, stoppable():
        os.kill(os.getpid(), number)
        signal.pause()
    assert stopped.value.number == number
    assert signal.getsignal(number) == before
    raise_if_stopped()  # nothing is left of it


def test_no_library_can_swallow_a_signal(tmp_path: Path) -> None:
    def swallow() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
        except KeyboardInterrupt:
            pass

    with pytest.raises(Stopped), stoppable():
        swallow()
    with pytest.raises(Stopped), stoppable():
        swallow()
        raise OSError("what the library made of it")
    with pytest.raises(Stopped), stoppable(), written_atomically(tmp_path / "file") as temporary:
        temporary.touch()
        swallow()
    assert list(tmp_path.iterdir()) == []


def test_a_signal_never_meets_hdf5_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """Exceptions in the functions that HDF5 calls end in its messages and damaged files."""
    write, lseek = SteadyFile.write, os.lseek
    calls, sent = [], []

    def count_and_write(file: SteadyFile, data: memoryview) -> int:
        calls.append(len(data))
        return write(file, data)

    def lseek_and_send(*arguments: int) -> int:
        if calls and not sent:
            sent.append(len(calls))
            os.kill(os.getpid(), signal.SIGTERM)
        return lseek(*arguments)

    monkeypatch.setattr(SteadyFile, "write", count_and_write)
    monkeypatch.setattr(os, "lseek", lseek_and_send)
    values = np.arange(100_000.0)
    with pytest.raises(Stopped) as stopped, stoppable(), NewFile(tmp_path / "file") as file:
        file["values"] = values
    assert stopped.value.number == signal.SIGTERM
    assert sent
    assert capfd.readouterr().err == ""  # HDF5 prints what it did not expect


class Fragile:
    """Receives a signal while it is destroyed."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.001)


def test_a_signal_in_a_destructor_is_raised_later_without_a_word(
    capfd: pytest.CaptureFixture,
) -> None:
    with pytest.raises(Stopped), stoppable():
        Fragile()
        time.sleep(60)
    assert capfd.readouterr().err == ""
