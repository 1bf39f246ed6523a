"""Signals that stop a training, delayed to the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...data.stopping import SIGNALS


@contextmanager
def interruptible() -> Iterator[Callable[[], int]]:
    """Delay Ctrl-C, and other signals that the command line handles.

    Yields
    ------
    callable
        Gives the number of the last signal, 0 if there was none.
    """
    received = 0

    def note(number: int, _: object) -> None:
        nonlocal received
        received = number

    if threading.current_thread() is not threading.main_thread():
        yield lambda: received  # only the main thread receives signals
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        # What ends a process at once, or is ignored, stays so.
        if callable(handler):
            signal.signal(number, note)
    try:
        yield lambda: received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
