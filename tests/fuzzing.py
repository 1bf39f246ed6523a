"""Small real files with random damage, given to their readers.

A reader either reads what it is given or raises a DataError: never another exception, a crash or a
wait. ``python -m tests.fuzzing FIRST:END [TARGET ...]`` from the root of the repository tries the
inputs of many seeds.
"""

from __future__ import annotations

import json
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from exvae.data.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
# Seconds that a reader may compute, and may take on a busy machine, and bytes that it may take
# beyond what its process has.
LIMIT, WAIT, MEMORY = 5.0, 60.0, 3 << 30
READ, REFUSED = "read", "refused"
MODULES = ("tests.data.test_fuzzing", "tests.experiments.test_fuzzing")
_FIELD = re.compile(rb"[^\t\n\r ,:;\"{}\[\]]+")
_EXTREMES = [b"", b"0", b"-1", b"nan", b"-inf", b"1e308", b"1e999", b"0.5", b"2147483648", b"NA",
             b"268435456", b"9223372036854775808", b"1" * 40, b"\xff\xfe", b"\0", b"null", b"[]",
             b"\xc3\xa4", b'"', b"x" * 300, b"1\n2", b"true", b"{}"]  # fmt: skip


class Target(NamedTuple):
    """A reader and what it reads.

    Attributes
    ----------
    write
        Function that writes a good input into an empty folder and gives its path.
    read
        Function that reads that path.
    files
        Pattern of the names of the files that are damaged.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    files: str = "*"


class _TooLong(BaseException):
    """The time limit is over; no reader takes it for a failure to read."""


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage the content of a file in one or several ways."""
    for _ in range(rng.integers(1, 4)):
        content = _KINDS[rng.integers(len(_KINDS))](content, rng)
    return content


def _flipped(content: bytes, rng: np.random.Generator) -> bytes:
    values = np.frombuffer(content, np.uint8).copy()
    if len(values):
        places = rng.integers(len(values), size=rng.integers(1, 9))
        values[places] = rng.integers(256, size=len(places))
    return values.tobytes()


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content) + 1)]


def _without_a_part(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = np.sort(rng.integers(len(content) + 1, size=2))
    return content[:start] + content[min(stop, start + 200) :]


def _with_a_part_twice(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = np.sort(rng.integers(len(content) + 1, size=2))
    return content[:stop] + content[start:]


def _with_numbers_of_a_machine(content: bytes, rng: np.random.Generator) -> bytes:
    """Write an extreme whole number over eight, four or one bytes."""
    size = int(rng.choice([1, 4, 8]))
    number = [0, 1, (1 << (8 * size - 1)) - 1, (1 << (8 * size)) - 1][rng.integers(4)]
    start = rng.integers(max(1, len(content) - size))
    return content[:start] + number.to_bytes(size, "little") + content[start + size :]


def _with_other_fields(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace a field of a text by an extreme one, or exchange two."""
    fields = [match.span() for match in _FIELD.finditer(content[: 1 << 16])]
    if len(fields) < 2:
        return content
    first, second = (fields[place] for place in sorted(rng.choice(len(fields), 2, replace=False)))
    if rng.random() < 0.6:
        return content[: first[0]] + _EXTREMES[rng.integers(len(_EXTREMES))] + content[first[1] :]
    one, other = content[slice(*first)], content[slice(*second)]
    return content[: first[0]] + other + content[first[1] : second[0]] + one + content[second[1] :]


_KINDS = (
    _flipped,
    _cut,
    _without_a_part,
    _with_a_part_twice,
    _with_numbers_of_a_machine,
    *(_with_other_fields,) * 4,
)


@contextmanager
def _limited_time() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooLong

    limits = (
        (signal.SIGPROF, signal.ITIMER_PROF, LIMIT),
        (signal.SIGALRM, signal.ITIMER_REAL, WAIT),
    )
    before = {number: signal.signal(number, stop) for number, _, _ in limits}
    for _, timer, seconds in limits:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, timer, _ in limits:
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def damage_h5(path: Path, rng: np.random.Generator) -> None:
    """Damage one part of an HDF5 file, whose structure stays whole."""
    with h5py.File(path, "a") as file:
        places: list[str] = []
        file.visit(places.append)
        place = places[rng.integers(len(places))]
        names = [name for name in file[place].attrs if name != "shape"]
        if names and rng.random() < 0.3:
            name = names[rng.integers(len(names))]
            del file[place].attrs[name]
            if rng.random() < 0.7:
                file[place].attrs[name] = _VALUES[rng.integers(len(_VALUES))]
        elif rng.random() < 0.2:
            del file[place]
        else:
            _replace(file, place, places[rng.integers(len(places))], rng)


def _replace(file: h5py.File, place: str, other: str, rng: np.random.Generator) -> None:
    """Replace an element by damaged values, by other values, or by a copy of another element."""
    stored, attributes = file[place], dict(file[place].attrs)
    values = stored[()] if isinstance(stored, h5py.Dataset) else None
    if np.ndim(values) == 0 or rng.random() < 0.3:
        values = _VALUES[rng.integers(len(_VALUES))]
    elif rng.random() < 0.3:
        values = values[: rng.integers(len(values) + 1)]
    elif values.dtype.kind in "iuf" and values.size:
        kind = ["i1", "u8", "i8", "f2", "f8", ">i4", values.dtype.str][rng.integers(7)]
        with np.errstate(all="ignore"):
            values = values.astype(kind)
            numbers = [-1, 0, 1 << 20, 1 << 30, np.nan, np.inf, 1e300]
            extreme = np.array(numbers[rng.integers(len(numbers))]).astype(kind)
        values.reshape(-1)[rng.integers(values.size)] = extreme
    else:
        values = rng.permutation(values)
    copied = rng.random() < 0.2 and not f"{place}/".startswith(f"{other}/")
    if copied and not f"{other}/".startswith(f"{place}/"):
        del file[place]
        file.copy(other, file, place)
        return
    del file[place]
    file[place] = values
    file[place].attrs.update(attributes)


# Values of attributes and datasets that nobody expects.
_VALUES: list[Any] = [0, -1, 1.5, "", "csr_matrix", "dataframe", "array", b"\xff", np.arange(3),
                      np.zeros((2, 2)), ["a", "b"], np.zeros(0), "\u00e4", np.array([b"a"]),
                      np.float16(1), h5py.Empty("f"), "categorical", True]  # fmt: skip


class Tries:
    """Tries of targets in this process; each target's good input is written once."""

    def __init__(self, targets: Mapping[str, Target], folder: Path) -> None:
        self._targets, self._folder = targets, folder
        self._places: dict[str, Path] = {}

    def __call__(self, name: str, seed: int) -> str:
        """Damage a file and read it; give ``read``, ``refused``, or what is wrong."""
        target = self._targets[name]
        folder = self._folder / re.sub(r"\W", "_", name)
        if name not in self._places:
            folder.mkdir(parents=True)
            self._places[name] = target.write(folder)
            target.read(self._places[name])
        rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
        files = sorted(path for path in folder.rglob(target.files) if path.is_file())
        path = files[rng.integers(len(files))]
        content = path.read_bytes()
        try:
            if path.suffix in (".h5", ".h5ad") and rng.random() < 0.8:
                damage_h5(path, rng)
            else:
                path.write_bytes(self._damaged(path, content, rng))
            return _outcome(target, self._places[name])
        finally:
            path.write_bytes(content)

    @staticmethod
    def _damaged(path: Path, content: bytes, rng: np.random.Generator) -> bytes:
        """Damage a file; of a packed one also what it holds."""
        if path.suffix == ".gz" and rng.random() < 0.7:
            packing = zlib.compressobj(wbits=31)
            inner = damaged(zlib.decompress(content, wbits=31), rng)
            return packing.compress(inner) + packing.flush()
        return damaged(content, rng)


def _outcome(target: Target, place: Path) -> str:
    try:
        with warnings.catch_warnings(), _limited_time():
            warnings.simplefilter("ignore")
            target.read(place)
    except DataError as error:
        message = str(error)
        return REFUSED if message and "\n" not in message else f"message {message!r}"
    except _TooLong:
        return f"took more than {LIMIT} s"
    except BaseException as error:
        steps = traceback.extract_tb(error.__traceback__)
        own = [step for step in steps if "exvae/" in step.filename and "tests" not in step.filename]
        where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
        return f"{type(error).__name__}: {str(error).splitlines()[:1]} at {where}"
    return READ


class Worker:
    """Tries in another process, which may crash or hang; a context manager.

    Parameters
    ----------
    module
        Name of the module of tests whose ``TARGETS`` are tried.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def __call__(self, name: str, seed: int) -> str:
        """Damage a file and read it; give ``read``, ``refused``, or what is wrong."""
        if self._process is None:
            command = [sys.executable, "-m", "tests.fuzzing", "--worker", self._module]
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self._process.stdout.readline()
        self._process.stdin.write(json.dumps([name, seed]) + "\n")
        self._process.stdin.flush()
        answered, _, _ = select.select([self._process.stdout], [], [], 1.5 * WAIT)
        line = self._process.stdout.readline() if answered else ""
        if line:
            return json.loads(line)
        if not answered:
            self._process.kill()
        status = self._process.wait()
        self._stop()
        return f"crashed with status {status}" if answered else "hangs"

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def faults(
    attempt: Callable[[str, int], str], names: Iterable[str], seeds: Iterable[int]
) -> tuple[Counter[str], dict[str, list[tuple[str, int]]]]:
    """Try targets.

    Returns
    -------
    counts
        Number of inputs that were read, and of those that were refused.
    found
        Target and seed of every other outcome.
    """
    counts: Counter[str] = Counter()
    found: dict[str, list[tuple[str, int]]] = {}
    seeds = list(seeds)
    for name in names:
        for seed in seeds:
            outcome = attempt(name, seed)
            if outcome in (READ, REFUSED):
                counts[outcome] += 1
            else:
                found.setdefault(outcome, []).append((name, seed))
    return counts, found


def _targets_of(module: str) -> Mapping[str, Target]:
    from importlib import import_module

    return import_module(module).TARGETS


def _work(module: str) -> None:
    """Answer what a :class:`Worker` asks."""
    targets = _targets_of(module)
    answers, sys.stdout = sys.stdout, sys.stderr
    used = int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        attempt = Tries(targets, Path(folder))
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(attempt(*json.loads(line))), file=answers, flush=True)


def _main(arguments: list[str]) -> Any:
    if arguments[0] == "--worker":
        return _work(arguments[1])
    seeds, wanted = range(*map(int, arguments[0].split(":"))), set(arguments[1:])
    for module in MODULES:
        names = [name for name in _targets_of(module) if not wanted or name in wanted]
        with Worker(module) as attempt:
            for name in names:
                counts, found = faults(attempt, [name], seeds)
                print(f"{name}: {counts[READ]} read, {counts[REFUSED]} refused", flush=True)
                for outcome, tries in found.items():
                    shown = [seed for _, seed in tries[:5]]
                    print(f"    {len(tries)} {outcome}, seeds {shown}", flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
