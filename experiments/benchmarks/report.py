"""Seconds that the report of a fit takes beside the posterior draws, and the size of its page.

    python experiments/benchmarks/report.py cells.h5ad --cells 5000

The cells are repeated under other names until there are enough. Export takes the same draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np

import exvae
from exvae.experiments.isoforms.expression import draw_expression
from exvae.experiments.isoforms.settings import POSTERIOR_SAMPLES


def repeated(cells: anndata.AnnData, number: int) -> anndata.AnnData:
    """Repeat cells until there are so many, each with a name of its own."""
    if number <= cells.n_obs:
        return cells[:number].copy()
    copies = -(-number // cells.n_obs)
    keys = [str(copy) for copy in range(copies)]
    parts = dict(zip(keys, [cells] * copies, strict=True))
    found = anndata.concat(parts, merge="same", uns_merge="same", index_unique="-")
    return found[:number].copy()


def computing(job: Callable[[], object]) -> float:
    """Seconds of computing that a job takes."""
    start = time.process_time()
    job()
    return time.process_time() - start


def main() -> None:
    """Fit, draw, write the page and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path, help="from exvae isoforms import")
    parser.add_argument("--cells", type=int, default=5000, dest="number", help="number of cells")
    parser.add_argument("--epochs", type=int, default=1, help="of the fit")
    options = parser.parse_args()
    adata = repeated(anndata.read_h5ad(options.cells), options.number)
    model = exvae.IsoformModel(adata).train(options.epochs, progress=False)
    fit = model._trained()
    source = fit.source(fit.conform(model._own_cells()))

    def draw() -> None:
        for _ in draw_expression(fit, source, np.arange(adata.n_obs), POSTERIOR_SAMPLES):
            pass

    with TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        seconds = computing(lambda: exvae.report(model, path=page))
        size = page.stat().st_size
    draws = computing(draw)
    print(f"{adata.n_obs} cells of {adata.n_vars} isoforms, a page of {size / 1e6:.1f} MB")
    print(f"report: {seconds:.0f} s of computing, of which draws take {draws:.0f} s")


if __name__ == "__main__":
    main()
