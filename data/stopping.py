"""Signals that ask a command to stop: Ctrl-C, the end of a terminal, and ``kill``.

Only the command line installs these handlers; other programs keep their own.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Windows has no hang-ups.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
# Seconds until a signal is raised that came at a bad moment.
_MOMENT = 0.02
# Seconds after a signal in which further ones do not disturb the cleaning up.
_PATIENCE = 2.0


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop.

    Parameters
    ----------
    number
        Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return "interrupted" if self.number == signal.SIGINT else "stopped"


# Modules whose functions are called by libraries that cannot pass on an exception; they raise it
# later by :func:`raise_if_stopped`.
UNINTERRUPTED: set[str] = set()
_received: int | None = None
_until = 0.0


def raise_if_stopped() -> None:
    """Raise :class:`Stopped` again if a library has swallowed it.

    Raises
    ------
    Stopped
        If a signal was received.
    """
    if _received is not None:
        raise Stopped(_received)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let signals raise :class:`Stopped`, at the latest at the end of the block.

    A signal that the parent process ignores, as ``nohup`` does, stays ignored.

    Raises
    ------
    Stopped
        If a signal was received.
    """
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    _received = None
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _raise)
    show, sys.unraisablehook = sys.unraisablehook, _take_up
    try:
        yield
        raise_if_stopped()
    except (Exception, KeyboardInterrupt):
        raise_if_stopped()  # whatever a library made of it
        raise
    finally:
        _received = None
        sys.unraisablehook = show
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    global _received, _until
    if frame is not None and frame.f_globals.get("__name__") in UNINTERRUPTED:
        _received = number
        _raise_later()
        return
    if _received is not None and time.monotonic() < _until:
        return
    _received = number
    _until = time.monotonic() + _PATIENCE
    raise Stopped(number)


def _raise_later() -> None:
    """Raise :class:`Stopped` in a moment, when the main thread has left what it is in."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _raise_again)
        signal.setitimer(signal.ITIMER_REAL, _MOMENT)


def _raise_again(_: int, frame: FrameType | None) -> None:
    if frame is not None and frame.f_globals.get("__name__") in UNINTERRUPTED:
        _raise_later()
        return
    raise_if_stopped()


def _take_up(unraisable: Any) -> None:
    """Take up a signal that came while an object was destroyed, which cannot raise."""
    if isinstance(unraisable.exc_value, Stopped):
        _raise_later()
    else:
        sys.__unraisablehook__(unraisable)
