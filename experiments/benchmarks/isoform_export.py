"""Seconds that an export takes beside the fit, and where they go, in one run.

    python experiments/benchmarks/isoform_export.py cells.h5ad
    python experiments/benchmarks/isoform_export.py cells.h5ad --epochs 1 --cells 20

Fit, export and check run with their defaults, each in a process of its own; seconds are seconds of
computing, which do not depend on other work of the machine. With fewer epochs or cells the costs of
all are extrapolated. A second export, in a process that has compiled its loops, is profiled.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from processes import Cost, run_python

EPOCHS = 60


def profile(fit: Path, cells: Path, out: Path) -> None:
    """Export twice, and print the seconds of computing of the parts of the second as JSON."""
    from sections import watched

    from exvae.experiments.isoforms import fitting
    from exvae.experiments.isoforms.exporting import export

    loaded = fitting.load(fit, "cpu")
    export(loaded, cells, out)
    with watched() as sections:
        export(loaded, cells, out)
    print(json.dumps(sections.seconds))


def exvae(*arguments: object) -> Cost:
    """Run a command of exvae."""
    return run_python(["-m", "exvae", "isoforms", *arguments])


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Fit, export and check; print costs, ratios and the parts of the export."""
    import h5py

    with h5py.File(options.cells) as file:
        all_cells = len(file["X/indptr"]) - 1
    number = min(options.cells_to_export or all_cells, all_cells)
    fit, few, out = folder / "fit", folder / "few.h5ad", folder / "out.h5ad"
    fitting = exvae("fit", options.cells, "--out", fit, "--epochs", options.epochs, "--json")
    # Of the training alone, as pictures and start are made once.
    epoch = json.loads(fitting.printed)["seconds"] / options.epochs
    print(f"fit, {options.epochs} epochs: {fitting.computing:.1f} s; an epoch {epoch:.2f} s")
    whole = fitting.computing + (EPOCHS - options.epochs) * epoch
    run_python([Path(__file__).with_name("isoform_cost.py"), "--take", options.cells, few, number])
    start = run_python(["-m", "exvae", "info", fit]).computing
    exvae("export", fit, few, "--out", out)  # compiles its loops
    exported = exvae("export", fit, few, "--out", out)
    seconds = start + (exported.computing - start) * all_cells / number
    print(f"export of {number} cells: {exported.computing:.1f} s, of all: {seconds:.1f} s")
    print(f"memory at the peak: {exported.memory_mib / 2**10:.2f} GiB")
    print(f"export / fit of {EPOCHS} epochs ({whole:.0f} s): {seconds / whole:.2f}")
    if options.check:
        checked = exvae("check", fit, few, "--out", folder / "check").computing
        print(f"check: {checked:.1f} s; check / fit: {checked / whole:.2f}")
    profiled = json.loads(run_python([__file__, "--profile", fit, few, out]).printed)
    for part, own in profiled.items():
        print(f"{part:<30} {own:6.2f} s")
    print(f"{'all':<30} {sum(profiled.values()):6.2f} s")


def main() -> None:
    """Measure and report, or do one of the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path, nargs="?", help="from exvae isoforms import")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the fit")
    parser.add_argument("--cells", dest="cells_to_export", type=int, help="cells to export")
    parser.add_argument("--check", action="store_true", help="time the check, too")
    parser.add_argument("--profile", nargs=3, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.profile:
        profile(*options.profile)
        return
    with TemporaryDirectory() as temporary:
        measure(options, Path(temporary))


if __name__ == "__main__":
    main()
