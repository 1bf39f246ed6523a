"""Commands of exvae in processes of their own, which begin as copies of this one.

All libraries are loaded here, once; a command then takes as long as its work. Signals, limits and
full disks meet it as they meet any other process.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Seconds after which a command is said to hang.
_PATIENCE = 120.0
# Parts of lines that tell no failure.
_NOTES = ("was left by a process", "takes them rounded")
# What a library or the interpreter prints that should have been one line.
_NOISE = re.compile(r"Traceback|Exception|HDF5-DIAG|terminate called|Error\b|Aborted|core dumped")


def load() -> None:
    """Load all that commands use, so that their processes need not."""
    import anndata  # noqa: F401
    import matplotlib
    import pyro  # noqa: F401
    import torch

    matplotlib.use("Agg")
    torch.set_num_threads(1)
    import torch._dynamo  # noqa: F401

    from exvae.data.quantified import filtering, importing  # noqa: F401
    from exvae.experiments import cli  # noqa: F401
    from exvae.experiments.drawing import embeddings, lda, training  # noqa: F401
    from exvae.experiments.isoforms import exporting, inference  # noqa: F401
    from exvae.experiments.lda import fitting, tables  # noqa: F401


@dataclass(frozen=True)
class Ended:
    """End of a command.

    Attributes
    ----------
    status
        Exit status; negative, the signal that killed it.
    told
        Lines that it told, without its progress.
    noise
        Lines that no command should print, such as a traceback.
    seconds
        From the beginning to the end.
    """

    status: int
    told: list[str]
    noise: list[str]
    seconds: float

    @property
    def in_order(self) -> bool:
        """Whether it ended by itself, with one line if it failed."""
        errors = [line for line in self.told if not any(note in line for note in _NOTES)]
        return self.status >= 0 and not self.noise and (self.status == 0 or len(errors) == 1)


@dataclass
class Command:
    """A command that runs.

    Attributes
    ----------
    number
        Number of its process.
    log
        File with what it prints.
    started
        When it began (seconds).
    """

    number: int
    log: Path
    started: float

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        os.kill(self.number, number)

    def wait(self) -> Ended:
        """Wait for the end; what hangs is killed."""
        ended, status = 0, 0
        while not ended:
            time.sleep(0.005)
            ended, status = os.waitpid(self.number, os.WNOHANG)
            seconds = time.perf_counter() - self.started
            if not ended and seconds > _PATIENCE:
                self.send(signal.SIGKILL)
        lines = re.split("[\r\n]", self.log.read_text(errors="replace"))
        # A progress bar may begin the line.
        told = [line[line.index("exvae: ") :] for line in lines if "exvae: " in line]
        noise = [line for line in lines if _NOISE.search(line) and "exvae: " not in line]
        return Ended(os.waitstatus_to_exitcode(status), told, noise, seconds)


def start(
    arguments: Sequence[object], log: Path, prepare: Callable[[], object] | None = None
) -> Command:
    """Start a command.

    Parameters
    ----------
    arguments
        The command line after ``exvae``.
    log
        File for what it prints.
    prepare
        Called in its process before it begins.
    """
    started = time.perf_counter()
    number = os.fork()
    if number:
        return Command(number, log, started)
    status = 1
    try:
        status = _run(arguments, log, prepare)
    finally:
        os._exit(status)


def _run(arguments: Sequence[object], log: Path, prepare: Callable[[], object] | None) -> int:
    """Run a command in this process, as the interpreter does."""
    import traceback

    from exvae.experiments import cli

    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(target, stream)
    sys.argv = ["exvae", *map(str, arguments)]
    try:
        if prepare is not None:
            prepare()
        cli.main()
    except SystemExit as end:
        sys.stdout.flush()
        return end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        return 1
    return 0


def run(
    arguments: Sequence[object], log: Path, prepare: Callable[[], object] | None = None
) -> Ended:
    """Run a command to its end."""
    return start(arguments, log, prepare).wait()


def limit_memory(more: int) -> Callable[[], None]:
    """Make a function that allows this process so many bytes more than it has."""

    def limit() -> None:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + more, held + more))

    return limit


def limit_files(size: int) -> Callable[[], None]:
    """Make a function that bounds the size of files (bytes), as a full disk does."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
