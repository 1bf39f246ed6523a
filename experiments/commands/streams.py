"""Standard streams that may be closed, full, or a pipe that nobody reads any more."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


@contextmanager
def standard_streams() -> Iterator[None]:
    """Let messages that nobody can read disturb nothing, and open streams that are closed.

    Otherwise the first file that a command opens would get the number of a closed stream, and what
    libraries print would end in it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    stdout, stderr = sys.stdout, sys.stderr
    if stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (lives as long as the process)
    sys.stderr = _Messages(stderr or open(os.devnull, "w"))  # noqa: SIM115
    try:
        yield
    finally:
        sys.stderr = stderr


def discard(stream: TextIO) -> None:
    """Send what a stream still holds, and gets, to nowhere."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Messages:
    """Standard error whose failures are of no interest: there is nowhere to tell them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, if anybody can read it."""
        try:
            self._stream.write(text)
        except OSError:
            discard(self._stream)
        return len(text)

    def flush(self) -> None:
        """Flush, if anybody can read it."""
        try:
            self._stream.flush()
        except OSError:
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
