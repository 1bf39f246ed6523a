"""Cost of an experiment with thousands of cells: seconds, memory and disk of each command.

    python experiments/benchmarks/isoform_cost.py --cells 5000 --isoforms 140000 --layers 10

The cells are made up: 750 000 reads of isoforms whose abundance spans many orders of magnitude, so
that with the defaults some 10 000 of 140 000 isoforms have reads in a bootstrap. ``filter`` runs on
all isoforms, ``fit`` on the rest for one epoch, from which the cost of all epochs is extrapolated,
and ``export`` on the first few cells. Each command runs in a process of its own; the operating
system measures its peak memory and seconds of computing, which, unlike the time that passes, do not
depend on other work of the machine.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from processes import Cost, run_python

# This process stays small: Linux counts the memory before exec as part of a child's peak.

EPOCHS = 60
READS = 750_000
# Standard deviation of the log abundance of isoforms, and shape of the bursts of expression.
LOG_ABUNDANCE_SD, BURST_SHAPE = 4.0, 0.2
# Share of the isoforms whose counts are not whole, as reads are shared with others.
AMBIGUOUS = 0.15


def make_cells(out: Path, cells: int, isoforms: int, bootstraps: int, layers: int) -> None:
    """Write made-up cells row by row; counts of a bootstrap scatter around the estimates."""
    import numpy as np
    import pandas as pd

    from exvae.data.h5ad.writing import H5adRows
    from exvae.data.progress import with_progress
    from exvae.data.quantified.cell_rows import cell_rows
    from exvae.data.quantified.quantifications import Quantification

    generator = np.random.default_rng(0)
    abundance = generator.lognormal(0.0, LOG_ABUNDANCE_SD, isoforms)
    # No isoform takes nearly all reads.
    abundance = np.minimum(abundance, np.quantile(abundance, 0.9995))
    # This factor makes counts of ambiguous isoforms broken numbers.
    unit = np.where(generator.random(isoforms) < AMBIGUOUS, generator.uniform(0.5, 1, isoforms), 1)
    lengths = generator.integers(300, 5000, isoforms).astype(np.int32)
    names = np.array([f"ENSMUST{number:011d}" for number in range(isoforms)])

    def draw() -> Quantification:
        rates = abundance * generator.gamma(BURST_SHAPE, size=isoforms)
        counts = generator.poisson(READS * rates / rates.sum())
        seen = np.flatnonzero(counts)
        drawn = np.zeros((bootstraps, isoforms), np.float32)
        drawn[:, seen] = generator.poisson(counts[seen], (bootstraps, len(seen))) * unit[seen]
        return Quantification(
            names, lengths, lengths - 199.5, (counts * unit).astype(np.float32), drawn, "none", ""
        )

    with H5adRows(out, isoforms) as file:
        for _ in with_progress(range(cells), cells, "make"):
            file.append(*cell_rows(draw(), layers).matrices())
        obs = pd.DataFrame(
            {"n_bootstraps": np.full(cells, bootstraps, np.int32)},
            index=[f"cell_{number}" for number in range(cells)],
        )
        gene = [f"ENSMUSG{number // 3:011d}" for number in range(isoforms)]
        file.finish(obs, pd.DataFrame({"gene": pd.Categorical(gene)}, index=pd.Index(names)), {})


def take_cells(source: Path, out: Path, number: int) -> None:
    """Write the first cells of a file."""
    import anndata

    from exvae.data.h5ad.reading import open_cells

    with open_cells(source) as file:
        rows = slice(0, min(number, file.shape[0]))
        taken = anndata.AnnData(file.read_rows("X", rows), file.obs[rows], file.var)
        for name in file.layers:
            taken.layers[name] = file.read_rows(f"layers/{name}", rows)
    taken.write_h5ad(out)


def read_here(path: Path) -> None:
    """Read cells as a fit does, and no more."""
    from exvae.data.cell_batches import CellTensors
    from exvae.data.h5ad.reading import read_cells

    CellTensors(read_cells(path)).cells.fingerprint  # noqa: B018  (a fit computes it)


def exvae(*arguments: object) -> Cost:
    """Run a command of exvae, which reports in JSON."""
    return run_python(["-m", "exvae", *arguments, "--json"])


def report(what: str, cost: Cost, out: Path | None = None, more: str = "") -> None:
    """Print a line about the cost of a command."""
    disk = "" if out is None else f", {out.stat().st_size / 2**30:.2f} GiB on disk"
    print(
        f"{what}: {cost.seconds:.0f} s ({cost.computing:.0f} s of computing), "
        f"{cost.memory_mib / 2**10:.2f} GiB at the peak{disk}{more}",
        flush=True,
    )


def measure_all(options: argparse.Namespace, folder: Path) -> None:
    """Make cells and run one command after another."""
    sizes = (options.cells, options.isoforms, options.bootstraps, options.layers)
    cells, filtered = folder / "cells.h5ad", folder / "filtered.h5ad"
    fit, few, exported = folder / "fit", folder / "few.h5ad", folder / "expression.h5ad"
    print("{} cells x {} isoforms x {} bootstraps, {} in the file".format(*sizes), flush=True)
    if not cells.exists():
        report("make", run_python([__file__, "--make", cells, *sizes]), cells)
    filtering = exvae(
        "isoforms", "filter", cells, "--out", filtered, "--min-cells", options.min_cells
    )
    left = json.loads(filtering.printed)
    more = f", {left['isoforms']} isoforms left with {left['reads_kept']:.2%} of the reads"
    report("filter", filtering, filtered, more)
    report("read", run_python([__file__, "--read", filtered]))
    fitting = exvae("isoforms", "fit", filtered, "--out", fit, "--epochs", 1)
    epoch = json.loads(fitting.printed)["seconds"]
    whole = fitting.seconds + (EPOCHS - 1) * epoch
    more = f", the epoch {epoch:.0f} s; extrapolated: {EPOCHS} epochs {whole / 3600:.2f} hours"
    report("fit, one epoch", fitting, more=more)
    taken = min(options.export_cells, options.cells)
    run_python([__file__, "--take", filtered, few, taken])
    start = exvae("info", fit)
    exporting = exvae("isoforms", "export", fit, few, "--out", exported)
    scale = options.cells / taken / 3600
    hours, computing = (scale * (exporting[i] - start[i]) for i in range(2))
    added = (exported.stat().st_size - few.stat().st_size) / taken * options.cells / 2**30
    report(
        f"export of {taken} cells",
        exporting,
        more=f"; extrapolated: all cells {hours:.2f} hours ({computing:.2f} hours of computing), "
        f"{added:.1f} GiB on disk on top of the cells",
    )


def main() -> None:
    """Measure and report, or do one of the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--isoforms", type=int, default=140_000)
    parser.add_argument("--bootstraps", type=int, default=30)
    parser.add_argument("--layers", type=int, default=10, help="bootstraps kept in the file")
    parser.add_argument("--min-cells", type=int, default=50, help="of the filter")
    parser.add_argument("--export-cells", type=int, default=20, help="cells to export")
    parser.add_argument("--folder", type=Path, help="folder in which to keep the files")
    parser.add_argument("--make", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--take", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_cells(Path(options.make[0]), *map(int, options.make[1:]))
    elif options.take:
        source, out, number = options.take
        take_cells(Path(source), Path(out), int(number))
    elif options.read:
        read_here(options.read)
    elif options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        measure_all(options, options.folder)
    else:
        with TemporaryDirectory() as temporary:
            measure_all(options, Path(temporary))


if __name__ == "__main__":
    main()
