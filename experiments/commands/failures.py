"""Failures of commands: the line that is printed, and the exit status."""

from __future__ import annotations

import errno
import signal
from typing import NamedTuple

import typer

from ...data.errors import DataError
from ...data.stopping import Stopped
from ..fitting.errors import (
    ArgumentError,
    LossNotFinite,
    ProcessEnded,
    TrainingInterrupted,
)

# What the surroundings refuse, such as a full disk.
_SURROUNDINGS = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO", "EACCES", "EPERM", "EMFILE", "ENFILE")
    if hasattr(errno, name)
}
# Parts of messages of libraries that get no memory, or no address space for themselves.
_OF_MEMORY = (
    *("allocate memory", "bad_alloc", "bad alloc", "memory allocation failed"),
    *("failed to map segment", "start new thread"),
    *("returned null without setting an exception", "error return without exception set"),
)


class Failure(NamedTuple):
    """End of a command.

    Attributes
    ----------
    message
        What is told in one line; empty if nobody reads.
    status
        Exit status: 2 for bad input or lack of space, 1 for our own faults, 128 and the number of
        a signal.
    """

    message: str
    status: int


def failure_of(error: BaseException) -> Failure | None:
    """Describe an error; None for a fault of the package itself."""
    if isinstance(error, Stopped | TrainingInterrupted):
        return Failure(str(error), 128 + error.number)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return Failure("interrupted", 128 + signal.SIGINT)
    if isinstance(error, ArgumentError):
        return Failure(error.on_command_line, 2)
    if isinstance(error, DataError | LossNotFinite | ProcessEnded):
        return Failure(str(error), 2 if isinstance(error, DataError) else 1)
    if isinstance(error, BrokenPipeError):
        return Failure("", 1)  # as click, which meets most of them
    if _is_out_of_memory(error):
        return Failure(f"out of memory ({error}); ask for less, or give more memory", 2)
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        place = "standard output" if error.filename is None else error.filename
        return Failure(f"{place}: {error.strerror}; check the place and the free space", 2)
    # Usage errors come from typer or from click, depending on typer's version.
    if hasattr(error, "format_message"):
        return Failure(f"{error.format_message().rstrip('.')}. See exvae --help.", 2)
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    told = str(error).lower()
    return isinstance(error, RuntimeError | ImportError | OSError | SystemError) and any(
        part in told for part in _OF_MEMORY
    )
