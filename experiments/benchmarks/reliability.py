"""Kill, starve and disturb commands; count what is lost.

    python experiments/benchmarks/reliability.py --kills 50 --out docs/reliability.md

Each job runs undisturbed first, twice, as the first run compiles loops. Then it is disturbed, run
again (with ``--resume`` where there is a checkpoint), and its result compared with the undisturbed
one, bit by bit. The table replaces all after its heading in the page. As root on Linux disks are
small file systems in memory; otherwise the size of files is limited.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import commands
import numpy as np
from commands import Ended
from pages import table
from reliability_jobs import Job, jobs, make_data

HEADING = "## Outcomes"
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Shares of the disk that a job needs, and MiB that it may allocate.
_SHARES_OF_DISK = (0.05, 0.3, 0.6, 0.9)
_MEMORY = (1, 4, 16, 64, 256)


class Trials:
    """Trials of one job.

    Parameters
    ----------
    job
        The job.
    place
        Folder for all trials.
    generator
        Source of the moments at which the job is disturbed.
    kept
        Folder for results that differ, and for an undisturbed one; None keeps none.
    """

    def __init__(
        self, job: Job, place: Path, generator: np.random.Generator, kept: Path | None = None
    ) -> None:
        self.job, self.place, self.generator, self.kept = job, place, generator, kept
        self.log = place / "log.txt"
        with self.folder() as folder:
            commands.run(job.arguments(folder), self.log)  # compiles loops, once for all
        with self.folder() as folder:
            ended = commands.run(job.arguments(folder), self.log)
            if ended.status:
                raise RuntimeError(f"{job.name} fails undisturbed: {ended.told} {ended.noise}")
            self.seconds, self.result = ended.seconds, job.result(folder)
            self.files = files_of(folder)
            self.size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            self.keep(folder, "undisturbed")

    def keep(self, folder: Path, name: str) -> None:
        """Copy a folder to look at it, unless none of its name was kept before."""
        target = self.kept and self.kept / self.job.name.replace(", ", "_") / name
        if target and not target.exists():
            shutil.copytree(folder, target)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a folder for a trial, and remove it."""
        folder = self.place / "trial"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def moment(self) -> float:
        """Draw a moment of the run (seconds)."""
        return float(self.generator.uniform(0, self.seconds))

    def disturbed(self, folder: Path, number: int) -> Ended:
        """Send a signal at a random moment."""
        child = commands.start(self.job.arguments(folder), self.log)
        time.sleep(self.moment())
        child.send(number)
        return child.wait()

    def completed(self, folder: Path) -> str:
        """Check what a disturbed run left, run again, and compare; empty if nothing is lost."""
        if self.job.result(folder) not in ("", self.result):
            return "left a result that is not whole"
        ended = commands.run(self.job.again(folder), self.log)
        if ended.status or ended.noise:
            said = [f"status {ended.status}", *(ended.told or ended.noise)]
            return f"cannot be run again: {said[-1]}"
        if self.job.result(folder) != self.result:
            self.keep(folder, "another")
            return "ended with another result"
        litter = files_of(folder) ^ self.files
        return f"left {', '.join(sorted(litter))}" if litter else ""

    # Disturbances; each gives an outcome

    def killed(self) -> str:
        """End it by ``kill -9``."""
        with self.folder() as folder:
            self.disturbed(folder, signal.SIGKILL)
            return self.completed(folder)

    def stopped(self, number: int) -> str:
        """End it by a signal that asks."""
        with self.folder() as folder:
            ended = self.disturbed(folder, number)
            not_begun = ended.status == -number and not files_of(folder)
            in_order = ended.in_order and ended.status in (0, 128 + number)
            if not (in_order or not_begun):
                return f"ended with {described(ended)}"
            if unfinished(folder):
                return "left unfinished files"
            return self.completed(folder)

    def starved_of_disk(self, share: float) -> str:
        """Give it less disk than it needs, and then enough."""
        with self.folder() as folder, small_disk(folder, int(share * self.size)) as grow:
            ended = commands.run(self.job.arguments(folder), self.log, grow.prepare)
            if not ended.in_order or ended.status not in (0, 2):
                return f"ended with {described(ended)}"
            if unfinished(folder):
                return "left unfinished files"
            grow()
            return self.completed(folder)

    def forbidden(self) -> str:
        """Let it write to a disk that can only be read, and then to one that can be written."""
        with self.folder() as folder, small_disk(folder, 1 << 24) as disk:
            if not disk.mounted:
                return ""  # only root has such a disk
            disk.remount("ro")
            ended = commands.run(self.job.arguments(folder), self.log)
            if not ended.in_order or ended.status != 2:
                return f"ended with {described(ended)}"
            disk.remount("rw")
            return self.completed(folder)

    def starved_of_memory(self, mebibytes: int) -> str:
        """Bound its memory."""
        with self.folder() as folder:
            limit = commands.limit_memory(mebibytes << 20)
            ended = commands.run(self.job.arguments(folder), self.log, limit)
            if not ended.in_order:
                return f"ended with {described(ended)}"
            return self.completed(folder)

    def without_folder(self) -> str:
        """Remove the folder while it runs."""
        with self.folder() as folder:
            child = commands.start(self.job.arguments(folder), self.log)
            time.sleep(self.moment())
            shutil.rmtree(folder, ignore_errors=True)
            ended = child.wait()
            return "" if ended.in_order else f"ended with {described(ended)}"

    def twice_at_once(self) -> str:
        """Run it twice at once in one folder."""
        with self.folder() as folder:
            first = commands.start(self.job.arguments(folder), self.log)
            time.sleep(self.moment() / 2)
            second = commands.run(self.job.arguments(folder), self.log.with_name("second.txt"))
            for ended in (first.wait(), second):
                if not ended.in_order:
                    return f"ended with {described(ended)}"
            return self.completed(folder)

    def unheard(self) -> str:
        """Close the pipes that it prints to."""

        def close() -> None:
            reader, writer = os.pipe()
            os.close(reader)
            os.dup2(writer, 1)
            os.dup2(writer, 2)

        with self.folder() as folder:
            commands.run(self.job.arguments(folder), self.log, close)
            return self.completed(folder)


def files_of(folder: Path) -> set[str]:
    """Names of all files in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def unfinished(folder: Path) -> bool:
    """Whether a temporary file is left."""
    return any(path.name.endswith(".unfinished") for path in folder.rglob("*"))


def described(ended: Ended) -> str:
    """Describe an end that is not as it should be."""
    lines = [*ended.noise, *ended.told]
    return f"status {ended.status}, {len(lines)} lines: {lines[-1] if lines else ''}"[:160]


class small_disk:  # noqa: N801  (used like a function)
    """A folder with little room; call it to give it more.

    Parameters
    ----------
    folder
        The folder.
    size
        Bytes that fit.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        # A file system needs room for its own; the limit is of all files or of each.
        self.size = max(size, 16384)
        options = ["-t", "tmpfs", "-o", f"size={self.size}", "none", str(folder)]
        self.mounted = subprocess.run(["mount", *options], capture_output=True).returncode == 0
        self.prepare = None if self.mounted else commands.limit_files(size // 2)

    def __enter__(self) -> small_disk:
        return self

    def __call__(self) -> None:
        """Make room."""
        if self.mounted:
            self.remount("size=1g")

    def remount(self, option: str) -> None:
        """Change an option of the file system."""
        options = ["-o", f"remount,{option}", str(self.folder)]
        subprocess.run(["mount", *options], check=True, capture_output=True)

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True, capture_output=True)


Disturbance = tuple[str, list[Callable[[], str]]]


def disturbances(trials: Trials, kills: int, others: int) -> list[Disturbance]:
    """Give the disturbances of a job, each with its trials."""
    disks = [share for share in _SHARES_OF_DISK for _ in range(max(1, others // 2))]
    return [
        ("`kill -9` at a random moment", [trials.killed] * kills),
        *(
            (f"{number.name} at a random moment", [lambda n=number: trials.stopped(n)] * others)
            for number in STOPS
        ),
        ("disk full", [lambda s=share: trials.starved_of_disk(s) for share in disks]),
        ("disk that can only be read", [trials.forbidden]),
        ("memory limit", [lambda m=size: trials.starved_of_memory(m) for size in _MEMORY]),
        ("folder removed", [trials.without_folder] * others),
        ("twice at once in one folder", [trials.twice_at_once] * others),
        ("closed pipes", [trials.unheard]),
    ]


def seconds_to_tell(arguments: list[str]) -> float:
    """Time until a new process has told that a file is missing (seconds)."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "exvae", *arguments], capture_output=True)
    if done.returncode != 2:
        raise RuntimeError(done.stderr.decode())
    return time.perf_counter() - started


MISSING = (
    ["isoforms", "fit", "none.h5ad", "--out", "new"],
    ["isoforms", "export", "none", "none.h5ad", "--out", "new.h5ad"],
    ["isoforms", "import", "none", "--out", "new.h5ad"],
    ["lda", "fit", "none.tsv", "--topics", "3", "--out", "new"],
)


def table_of(rows: list[tuple[str, str, Counter[str]]]) -> str:
    """Make the table of all trials."""
    found = []
    for job, disturbance, outcomes in rows:
        otherwise = "; ".join(f"{n} × {told}" for told, n in outcomes.items() if told)
        found.append((job, disturbance, outcomes.total(), outcomes[""], otherwise))
    return table(("job", "disturbance", "trials", "nothing lost", "otherwise"), found)


def main() -> None:
    """Try everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="kills of each job")
    parser.add_argument("--others", type=int, default=5, help="trials of other disturbances")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of disturbances")
    parser.add_argument("--jobs", nargs="*", help="beginnings of names of jobs; by default all")
    parser.add_argument("--out", type=Path, help="page whose table is replaced")
    parser.add_argument("--keep", type=Path, help="folder for results that differ")
    options = parser.parse_args()
    commands.load()
    rows: list[tuple[str, str, Counter[str]]] = []
    with TemporaryDirectory() as temporary:
        place = Path(temporary)
        make_data(place)
        for job in jobs(place):
            if options.jobs and not job.name.startswith(tuple(options.jobs)):
                continue
            trials = Trials(job, place, np.random.default_rng(options.seed), options.keep)
            for name, runs in disturbances(trials, options.kills, options.others):
                rows.append((job.name, name, Counter(trial() for trial in runs)))
                print(table_of(rows[-1:]).splitlines()[-1], flush=True)
    slowest = max(seconds_to_tell(arguments) for arguments in MISSING)
    text = (
        f"{HEADING}\n\n{table_of(rows)}\n\nAn error about a missing file takes {slowest:.1f} s.\n"
    )
    print(text)
    if options.out is not None:
        before = options.out.read_text(encoding="utf-8").partition(HEADING)[0]
        options.out.write_text(before + text, encoding="utf-8")
    if any(told for _, _, outcomes in rows for told in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
