"""Compare ``exvae isoforms import`` with pytximport: time, and memory for more and more cells.

    python experiments/benchmarks/isoform_import.py [FOLDER] --repeats 5

FOLDER holds directories of kallisto with ``abundance.h5``, the only format whose bootstraps
pytximport reads; without FOLDER a small set is made. Both read the estimates and all bootstraps and
write them to one ``.h5ad``, in turns, each time in a process of its own. Ten times the cells are
links to the same directories under other names. Memory is the sum of the peaks of all processes of
an import.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

# This process stays small: Linux counts the memory before exec as part of a child's peak.

METHODS = ("exvae", "pytximport")
QUANTIFIER_FILE = "abundance.h5"


def make_cells(folder: Path, cells: int, isoforms: int = 300, bootstraps: int = 10) -> None:
    """Write cells as kallisto does; expression varies widely and bootstraps are multinomial."""
    import h5py
    import numpy as np

    generator = np.random.default_rng(0)
    names = np.array([f"transcript_{number}" for number in range(isoforms)], dtype=np.bytes_)
    lengths = generator.integers(300, 5000, isoforms).astype(np.int32)
    for cell in range(cells):
        counts = generator.multinomial(20_000, generator.dirichlet(np.full(isoforms, 0.1)))
        directory = folder / f"cell_{cell:04d}"
        directory.mkdir(parents=True)
        with h5py.File(directory / QUANTIFIER_FILE, "w") as file:
            file["est_counts"] = counts.astype(float)
            file["aux/ids"], file["aux/lengths"] = names, lengths
            file["aux/eff_lengths"] = lengths - 200.0
            file["aux/num_bootstrap"] = np.array([bootstraps], np.int32)
            for number in range(bootstraps):
                drawn = generator.multinomial(counts.sum(), counts / counts.sum())
                file[f"bootstrap/bs{number}"] = drawn.astype(float)


def link_cells(directories: Sequence[Path], times: int, folder: Path) -> None:
    """Link to every directory ``times`` times, under different names."""
    folder.mkdir()
    for copy in range(times):
        for directory in directories:
            (folder / f"{directory.name}_{copy}").symlink_to(directory.resolve())


def cells_in(folder: Path) -> list[Path]:
    """Directories of kallisto in a folder, sorted."""
    return sorted(path.parent for path in folder.glob(f"*/{QUANTIFIER_FILE}"))


def import_here(method: str, folder: Path, out: Path, processes: int | None) -> float:
    """Import all cells in this process, and give the seconds without loading of libraries."""
    if method == "exvae":
        from exvae.data.quantified.importing import ImportOptions, import_cells

        started = time.perf_counter()
        import_cells(cells_in(folder), out, options=ImportOptions(num_processes=processes))
    else:
        from pytximport import tximport

        started = time.perf_counter()
        tximport(
            [directory / QUANTIFIER_FILE for directory in cells_in(folder)],
            "kallisto",
            return_transcript_data=True,
            inferential_replicates=True,
            ignore_transcript_version=False,
            output_path=out,
            output_format="h5ad",
        )
    return time.perf_counter() - started


def measure(method: str, folder: Path, processes: int | None) -> dict[str, float]:
    """Import all cells of a folder in a process of its own.

    Returns
    -------
    dict
        ``seconds`` of the import, ``whole`` seconds with start and loading of libraries,
        ``memory_mib`` at the peak (NaN without /proc) and ``file_mib``.
    """
    with TemporaryDirectory() as temporary:
        out = Path(temporary) / "cells.h5ad"
        command = [sys.executable, __file__, str(folder), "--measure", method, str(out)]
        if processes is not None:
            command += ["--processes", str(processes)]
        log = Path(temporary) / "log.txt"
        started = time.perf_counter()
        with log.open("w") as errors:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            memory = peak_memory(child)
        whole = time.perf_counter() - started
        if child.returncode:
            raise RuntimeError(f"{method} failed: {log.read_text()[-2000:]}")
        seconds = json.loads(child.stdout.read().splitlines()[-1])
        child.stdout.close()
        file_mib = out.stat().st_size / 2**20
    return {"seconds": seconds, "whole": whole, "memory_mib": memory, "file_mib": file_mib}


def peak_memory(child: subprocess.Popen) -> float:
    """Wait for a process; sum its peak memory and the peaks of its descendants (MiB)."""
    peaks: dict[int, float] = {}
    while child.poll() is None:
        for process in tree(child.pid):
            try:
                status = Path(f"/proc/{process}/status").read_text()
                # VmHWM grows only, so that the last look is the largest.
                peaks[process] = float(status.split("VmHWM:")[1].split()[0]) / 2**10
            except (OSError, IndexError):
                continue  # it has just ended
        time.sleep(0.01)
    return sum(peaks.values()) if peaks else float("nan")


def tree(process: int) -> list[int]:
    """Ids of a process and of all its descendants."""
    try:
        threads = Path(f"/proc/{process}/task").iterdir()
        children = [child for each in threads for child in (each / "children").read_text().split()]
    except OSError:
        return [process]
    return [process, *(grandchild for child in children for grandchild in tree(int(child)))]


def compare_speed(folder: Path, methods: Sequence[str], repeats: int) -> None:
    """Print the seconds of each method, and their ratio."""
    runs: dict[str, list[dict[str, float]]] = {method: [] for method in methods}
    for _ in range(repeats):  # in turns, so that a machine that slows down does so for both
        for method in methods:
            runs[method].append(measure(method, folder, None))
    print(f"{'':12}{'seconds':>10}{'with start':>12}{'memory (MiB)':>14}{'file (MiB)':>12}")
    medians = {
        method: {name: statistics.median(run[name] for run in of) for name in of[0]}
        for method, of in runs.items()
    }
    for method, values in medians.items():
        print(
            f"{method:12}{values['seconds']:10.2f}{values['whole']:12.2f}"
            f"{values['memory_mib']:14.0f}{values['file_mib']:12.1f}"
        )
    if len(methods) == 2:
        ours, other = (medians[method] for method in METHODS)
        ratios = [
            one["seconds"] / two["seconds"]
            for one, two in zip(*(runs[method] for method in METHODS), strict=True)
        ]
        print(
            f"exvae takes {ours['seconds'] / other['seconds']:.2f} times the seconds of pytximport "
            f"({min(ratios):.2f} to {max(ratios):.2f}), {ours['whole'] / other['whole']:.2f} times "
            "with start"
        )


def compare_memory(directories: Sequence[Path], methods: Sequence[str], processes: int) -> None:
    """Print the peak memory for all cells and for ten times as many."""
    for method in methods:
        peaks = []
        for times in (1, 10):
            with TemporaryDirectory() as temporary:
                folder = Path(temporary) / "cells"
                link_cells(directories, times, folder)
                measured = measure(method, folder, processes)
            cells = times * len(directories)
            peaks.append(measured["memory_mib"])
            print(
                f"{method}, {cells} cells: {measured['memory_mib']:.0f} MiB at the peak, "
                f"{measured['seconds']:.1f} seconds"
            )
        print(f"{method}: ten times the cells take {peaks[1] / peaks[0]:.2f} times the memory")


def main() -> None:
    """Import and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="of directories of kallisto")
    parser.add_argument("--cells", type=int, default=40, help="cells of the set that is made")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--processes", type=int, help="of exvae, where memory is compared")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        method, out = arguments.measure
        print(json.dumps(import_here(method, arguments.folder, Path(out), arguments.processes)))
        return
    methods = [name for name in METHODS if name in arguments.methods]
    if "pytximport" in methods and importlib.util.find_spec("pytximport") is None:
        print("pytximport: is not installed; pip install '.[peers]'", file=sys.stderr)
        methods.remove("pytximport")
    with TemporaryDirectory() as temporary:
        folder = arguments.folder
        if folder is None:
            folder = Path(temporary)
            make_cells(folder, arguments.cells)
        directories = cells_in(folder)
        if not directories:
            parser.error(f"{folder} holds no directory with {QUANTIFIER_FILE}")
        print(f"{len(directories)} cells")
        compare_speed(folder, methods, arguments.repeats)
        print()
        compare_memory(directories, methods, arguments.processes or 2)


if __name__ == "__main__":
    main()
