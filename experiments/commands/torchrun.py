"""Commands in several processes of torchrun: the first one talks, and an error is told once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import NoReturn

from ...data.stopping import SIGNALS
from ..fitting.errors import ArgumentError
from ..fitting.workers import is_first, number_of_processes

# Commands whose work the processes share.
SHARED = (
    ("isoforms", "import"),
    ("isoforms", "fit"),
    ("isoforms", "export"),
    ("isoforms", "evaluate"),
    ("lda", "fit"),
    ("lda", "evaluate"),
)
# Seconds that the others leave to the first process to tell an error that all have.
_PATIENCE = 2.0
# Copy of the descriptor of standard error, for a process that is silent.
_stderr: int | None = None


def silence_others() -> None:
    """Let all processes but the first one print nothing."""
    global _stderr
    if is_first():
        return
    _stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def require_shared(arguments: Sequence[str]) -> None:
    """Require that several processes run a command whose work they share.

    Raises
    ------
    ArgumentError
        If they run another one, which each of them would do.
    """
    number = number_of_processes()
    if number > 1 and tuple(arguments[:2]) not in SHARED and "--help" not in arguments:
        known = ", ".join(" ".join(command) for command in SHARED)
        told = f"torchrun started {number} processes, but only {known} share their work"
        raise ArgumentError(told, f"{told}; run the command without torchrun")


def may_tell() -> bool:
    """Whether this process tells its error; another may have told the same, or its cause.

    From now on no signal of torchrun, which ends the processes that are left, disturbs.
    """
    if number_of_processes() == 1:
        return True
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if not _is_first_to_tell():
        return False
    if _stderr is not None:
        sys.stderr.flush()
        os.dup2(_stderr, 2)
    return True


def end(status: int) -> NoReturn:
    """End this process after an error with an exit status.

    Several processes have not left their group then, and gloo's threads now and then abort a
    process that is torn down with them.
    """
    if number_of_processes() > 1:
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _is_first_to_tell() -> bool:
    """Whether no other process has told an error, by the store of torchrun."""
    from torch.distributed import TCPStore

    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store = TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            timeout=timedelta(seconds=_PATIENCE),
        )
        key = f"exvae told {attempt}"
        end = time.monotonic() + (0 if is_first() else _PATIENCE)
        while time.monotonic() < end and not store.check([key]):
            time.sleep(0.1)
        return store.add(key, 1) == 1
    except RuntimeError:  # the store has ended with the first process; better twice than never
        return True
