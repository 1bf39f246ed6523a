"""Peak memory, time and output of processes that the benchmarks start.

Imports nothing large: Linux counts the memory that a process held before exec, its parent's, as
part of its peak.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

# Variables that bound the threads of libraries.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def bounding_threads(number: int) -> dict[str, str]:
    """Variables that give every library of a process so many threads."""
    return dict.fromkeys(_THREADS, str(number))


class Cost(NamedTuple):
    """Cost of a command.

    Attributes
    ----------
    seconds
        From start to end.
    computing
        Seconds of computing of all threads.
    memory_mib
        Peak memory (MiB).
    printed
        Standard output.
    """

    seconds: float
    computing: float
    memory_mib: float
    printed: str


def peak_memory() -> float:
    """Peak memory of this process so far (MiB)."""
    return _mebibytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _mebibytes(maximum: int) -> float:
    """Convert the operating system's peak memory, in bytes on macOS and in KiB elsewhere."""
    return maximum / (2**20 if sys.platform == "darwin" else 2**10)


def run_python(arguments: Sequence[object], environment: Mapping[str, str] | None = None) -> Cost:
    """Run Python in a process of its own.

    Parameters
    ----------
    arguments
        Command line after the name of the interpreter.
    environment
        Variables on top of this process's.

    Raises
    ------
    RuntimeError
        If the process fails; the message ends in its last error messages.
    """
    command = [sys.executable, *map(str, arguments)]
    with TemporaryDirectory() as temporary:
        log, printed = Path(temporary) / "log.txt", Path(temporary) / "out.txt"
        started = time.perf_counter()
        with log.open("w") as errors, printed.open("w") as output:
            child = subprocess.Popen(
                command, stdout=output, stderr=errors, env={**os.environ, **(environment or {})}
            )
            _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        # Otherwise the object takes the process for one that still runs.
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {log.read_text()[-2000:]}")
        computing = usage.ru_utime + usage.ru_stime
        return Cost(seconds, computing, _mebibytes(usage.ru_maxrss), printed.read_text())
