"""Made-up cells on disk, many of them in a short time: a few thousand are drawn and repeated.

The chunks of the file are copied as they are, so that nothing is compressed twice. Every cell has
as many isoforms with reads as any other, which lets chunks end where cells end.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem

from exvae.data.h5ad.writing import H5adRows
from exvae.data.quantified.cell_rows import SparseRow

# Isoforms of a cell with reads, and those of them that are zero in some bootstraps: 4 of 10.
EXPRESSED, UNCERTAIN, ZEROS = 5120, 2560, 4
# Cells that are drawn; their chunks of any matrix are whole.
DISTINCT = 2048
# Types of cells, isoforms of a gene, and standard deviation of the log abundance of isoforms.
TYPES, GENE_SIZE, LOG_ABUNDANCE_SD = 8, 3, 1.5


def make_cells(out: Path, cells: int, isoforms: int, bootstraps: int) -> None:
    """Write made-up cells to an ``.h5ad`` as an import writes it; types of cells lie together.

    Cells are a multiple of :data:`DISTINCT` or fewer; bootstraps a multiple of ten.
    """
    distinct = min(cells, DISTINCT)
    if cells % distinct or bootstraps % 10 or isoforms < EXPRESSED:
        raise ValueError("choose cells, bootstraps and isoforms as documented")
    generator = np.random.default_rng(0)
    abundance = generator.lognormal(0.0, LOG_ABUNDANCE_SD, (TYPES, isoforms))
    zeros_of = np.arange(UNCERTAIN)[:, None] + np.arange(bootstraps) * ZEROS
    is_zero = zeros_of % bootstraps < ZEROS * bootstraps // 10
    with H5adRows(out, isoforms) as file:
        for number in range(distinct):
            file.append(*_rows(generator, abundance[number * TYPES // distinct], is_zero))
        names = [f"ENSMUST{number:011d}" for number in range(isoforms)]
        gene = [f"ENSMUSG{number // GENE_SIZE:011d}" for number in range(isoforms)]
        var = pd.DataFrame({"gene": pd.Categorical(gene)}, index=pd.Index(names))
        file.finish(_obs(distinct, distinct, bootstraps), var, {})
    if cells > distinct:
        with h5py.File(out, "r+") as file:
            _repeat(file, cells // distinct)
            del file["obs"]
            write_elem(file, "obs", _obs(cells, distinct, bootstraps))


def _obs(cells: int, distinct: int, bootstraps: int) -> pd.DataFrame:
    kind = np.arange(cells) % distinct * TYPES // distinct
    return pd.DataFrame(
        {
            "n_bootstraps": np.full(cells, bootstraps, np.int32),
            "cell_type": pd.Categorical([f"type {own}" for own in kind]),
        },
        index=[f"cell_{number}" for number in range(cells)],
    )


def _rows(
    generator: np.random.Generator, abundance: np.ndarray, is_zero: np.ndarray
) -> tuple[dict[str, SparseRow], dict[str, np.ndarray]]:
    """Draw a cell; the likelier an isoform is expressed, the more abundant it is."""
    rates = abundance * generator.gamma(0.5, size=len(abundance))
    chosen = np.argpartition(-rates, EXPRESSED)[:EXPRESSED]
    chosen = chosen[np.argsort(rates[chosen])]
    level = np.maximum(30.0 * rates[chosen], 1.5)
    num_bootstraps = is_zero.shape[1]
    drawn = np.maximum(generator.poisson(level, (num_bootstraps, EXPRESSED)), 1.0)
    uncertain = generator.permutation(UNCERTAIN)
    drawn[:, uncertain] *= ~is_zero.T
    drawn[:, UNCERTAIN:] += generator.random(EXPRESSED - UNCERTAIN).round(2) * (
        generator.random(EXPRESSED - UNCERTAIN) < 0.3
    )
    order = np.argsort(chosen)
    chosen, drawn = chosen[order].astype(np.int32), drawn[:, order]
    drawn = drawn.astype(np.float32).astype(np.float64)
    positive = drawn > 0
    mean = drawn.sum(0) / positive.sum(0)
    squares = np.square(np.where(positive, drawn - mean, 0.0)).sum(0)
    zeros = np.full(len(abundance), num_bootstraps, np.int16)
    zeros[chosen] -= positive.sum(0).astype(np.int16)
    sparse = {
        "X": SparseRow(chosen, drawn.mean(0).astype(np.float32)),
        "layers/bootstrap_mean": SparseRow(chosen, mean.astype(np.float32)),
        # Kept where it is zero, so that chunks stay whole.
        "layers/bootstrap_ss": SparseRow(chosen, squares.astype(np.float32)),
    }
    for number, row in enumerate(drawn, start=1):
        sparse[f"layers/infRep{number}"] = SparseRow.of(row, chosen)
    return sparse, {"layers/bootstrap_zeros": zeros}


def _repeat(file: h5py.File, times: int) -> None:
    """Repeat the rows of all matrices, chunk by chunk."""
    for place in ("X", *(f"layers/{name}" for name in file["layers"])):
        stored = file[place]
        if isinstance(stored, h5py.Dataset):
            _repeat_chunks(stored, times)
            continue
        for name in ("data", "indices"):
            _repeat_chunks(stored[name], times)
        indptr, rows = stored["indptr"][:], len(stored["indptr"]) - 1
        stored["indptr"].resize(rows * times + 1, axis=0)
        for number in range(1, times):
            own = slice(number * rows + 1, (number + 1) * rows + 1)
            stored["indptr"][own] = indptr[1:] + number * indptr[-1]
        stored.attrs["shape"] = np.array([rows * times, stored.attrs["shape"][1]])


def _repeat_chunks(dataset: h5py.Dataset, times: int) -> None:
    size, chunk = len(dataset), dataset.chunks[0]
    if size % chunk:
        raise ValueError(f"{dataset.name}: {size} values are no whole chunks of {chunk}")
    dataset.resize(size * times, axis=0)
    rest = (0,) * (dataset.ndim - 1)
    for start in range(0, size, chunk):
        mask, raw = dataset.id.read_direct_chunk((start, *rest))
        for number in range(1, times):
            dataset.id.write_direct_chunk((number * size + start, *rest), raw, mask)
