"""Cells that stay on disk are those that would be read into memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from exvae.data.cell_batches import batch_source
from exvae.data.cell_matrices import MATRICES
from exvae.data.cells import summarise
from exvae.data.errors import DataError, DataWarning
from exvae.data.h5ad.reading import read_cells
from exvae.data.initial_values import InitialValues
from exvae.data.stored_cells import StoredCells, store_cells

from ..small_data import NUM_CELLS, draw_cells
from .cell_table import KINDS, NUMBERS, table

# Bytes of a window that holds all cells, and of one that holds a few.
ALL, FEW = 1 << 28, 3000
# Opens a file of cells, then another, and prints by how much the second raised the peak (MiB).
_PEAK = """
import sys
from pathlib import Path
from exvae.data.stored_cells import store_cells
peaks = []
for path in map(Path, sys.argv[1:]):
    store_cells(path)
    lines = Path("/proc/self/status").read_text().splitlines()
    peaks += [int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM")]
print(peaks[1] - peaks[0])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    draw_cells().write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def same_matrices(one, other) -> None:
    for name in ("counts", "reads"):
        own, others = getattr(one, name), getattr(other, name)
        own, others = (getattr(each, "counts", each) for each in (own, others))
        np.testing.assert_array_equal(own.toarray(), others.toarray())
    for own, others in zip(one.bootstraps, other.bootstraps, strict=True):
        np.testing.assert_array_equal(own.toarray(), others.toarray())
    for own, others in zip(one.summary, other.summary, strict=True):
        np.testing.assert_array_equal(own, others)


@pytest.mark.parametrize("window", [ALL, FEW])
def test_matrices_are_those_of_cells_in_memory(path: Path, window: int) -> None:
    cells, stored = read_cells(path, "batch"), store_cells(path, "batch", window)
    positions = np.random.default_rng(0).permutation(NUM_CELLS)
    reader = stored.reader(MATRICES)
    for own in np.array_split(positions, 5):
        same_matrices(cells.matrices.take(own), reader.take(own))
    same_matrices(cells.matrices, stored.in_memory().matrices)
    for name in ("names", "batches", "num_bootstraps", "genes"):
        np.testing.assert_array_equal(getattr(cells, name), getattr(stored, name))
    assert stored.fingerprint == cells.fingerprint
    for name in ("rounded", "summary", "reads"):
        np.testing.assert_array_equal(stored.sizes(name), cells.sizes(name))


def test_isoforms_are_selected_by_name(path: Path) -> None:
    cells, stored = read_cells(path), store_cells(path, window=FEW)
    names = ["isoform7", "isoform2", "isoform20", "isoform3"]
    chosen, of_stored = cells.selected(names), stored.selected(names)
    same_matrices(chosen.matrices, of_stored.reader(MATRICES).take(np.arange(NUM_CELLS)))
    assert of_stored.fingerprint == chosen.fingerprint != cells.fingerprint
    np.testing.assert_array_equal(of_stored.sizes("summary"), chosen.sizes("summary"))
    again = of_stored.selected(["isoform20", "isoform7"])
    same_matrices(cells.selected(["isoform20", "isoform7"]).matrices, again.in_memory().matrices)
    with pytest.raises(DataError, match="lacks 1 of the 2 isoforms"):
        stored.selected(["isoform1", "another"])


@pytest.mark.parametrize("observes", ["counts", "estimates", "bootstrap_mean", "bootstrap_summary"])
def test_minibatches_are_those_of_cells_in_memory(path: Path, observes: str) -> None:
    sources = [
        batch_source(own, observes) for own in (read_cells(path), store_cells(path, None, FEW))
    ]
    for positions in np.array_split(np.random.default_rng(1).permutation(NUM_CELLS), 4):
        found = []
        for source in sources:
            torch.manual_seed(0)
            found.append(source.batch(positions, num_bootstraps=2))
        for one, other in zip(*found, strict=True):
            assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))


def few_bootstraps(tmp_path: Path) -> Path:
    """Write cells that all have six bootstraps, whose values tell their numbers."""
    adata = draw_cells()
    del adata.obsm["reads"], adata.uns["reads"]
    for name in [name for name in adata.layers if name.startswith("infRep")]:
        del adata.layers[name]
    values = 1.0 + np.random.default_rng(0).poisson(3.0, (6, *adata.shape))
    values = [
        csr_matrix((own + number / 8).astype(np.float32)) for number, own in enumerate(values)
    ]
    adata.layers.update({f"infRep{number + 1}": own for number, own in enumerate(values)})
    adata.obs["n_bootstraps"] = 6
    adata.X = sum(values) / 6
    summary = summarise(values)
    statistics = ("mean", "sum_of_squares")
    for name, own in zip(("bootstrap_mean", "bootstrap_ss"), statistics, strict=True):
        adata.layers[name] = summary.matrix(own, adata.n_vars)
    zeros = np.zeros(adata.shape, np.int16)
    adata.layers["bootstrap_zeros"] = zeros
    adata.write_h5ad(tmp_path / "few.h5ad")
    return tmp_path / "few.h5ad"


def numbers_of(rows: torch.Tensor) -> list[list[int]]:
    """Give the numbers of the bootstraps of cells, three of each."""
    return (rows[:, 0] % 1 * 8).int().reshape(-1, 3).tolist()


def test_a_training_reads_no_more_bootstraps_than_the_guide(tmp_path: Path) -> None:
    path = few_bootstraps(tmp_path)
    stored = store_cells(path, window=FEW)
    source, whole = batch_source(stored, "estimates"), batch_source(read_cells(path), "estimates")
    options = source.training_options(3)
    order = np.random.default_rng(0).permutation(NUM_CELLS)
    order = order[source.arranged(order)]
    found = []
    for start in range(0, NUM_CELLS, 5):
        own = order[start : start + 5]
        batch, everything = source.batch(own, **options), whole.batch(own)
        assert batch.offsets.diff().tolist() == [3] * len(own)
        torch.testing.assert_close(batch.obs, everything.obs)
        sets = everything.bootstraps.unflatten(0, (len(own), 6))
        for rows, numbers, cell in zip(
            batch.bootstraps.unflatten(0, (len(own), 3)),
            numbers_of(batch.bootstraps),
            sets,
            strict=True,
        ):
            assert len(set(numbers)) == 3
            torch.testing.assert_close(rows, cell[numbers])
            found.append(tuple(sorted(numbers)))
    assert len(set(found)) > 1, "windows have other bootstraps"
    # All others read all bootstraps.
    torch.testing.assert_close(source.batch(order).bootstraps, whole.batch(order).bootstraps)
    again = batch_source(stored, "estimates")
    again.training_options(3)
    np.testing.assert_array_equal(again.arranged(order), source.arranged(order))
    torch.testing.assert_close(
        again.batch(order[:5], **options).bootstraps, source.batch(order[:5], **options).bootstraps
    )


@pytest.mark.parametrize("case", ["one window", "other numbers", "all read", "in memory"])
def test_all_bootstraps_are_read_where_that_is_as_good(tmp_path: Path, case: str) -> None:
    path, window = few_bootstraps(tmp_path), ALL if case == "one window" else FEW
    stored = read_cells(path) if case == "in memory" else store_cells(path, window=window)
    if case == "other numbers":
        stored = replace(stored, num_bootstraps=np.arange(NUM_CELLS) % 2 + 5)
    names = ("summary", "bootstraps")
    assert stored.reader_of_few(names, 6 if case == "all read" else 3) is None


def test_start_values_are_those_of_cells_in_memory(path: Path) -> None:
    positions, values = np.arange(3, NUM_CELLS), []
    for cells in (read_cells(path, "batch"), store_cells(path, "batch", FEW)):
        own = InitialValues(batch_source(cells, "bootstrap_mean"), positions)
        genes = torch.from_numpy(np.unique(cells.genes, return_inverse=True)[1])
        single = torch.arange(cells.num_isoforms)
        values.append(
            [
                *own.expression,
                *own.inputs,
                *own.overdispersion(genes),
                *own.overdispersion(single),
                own.noise_variances(relative=True),
            ]
        )
    for one, other in zip(*values, strict=True):
        assert torch.equal(one, other)


def test_statistics_are_computed_where_the_file_has_none(tmp_path: Path) -> None:
    for statistics in (False, True):
        path = tmp_path / f"{statistics}.h5ad"
        table(numbers=NUMBERS, statistics=statistics).write_h5ad(path)
        stored, expected = store_cells(path, window=FEW), read_cells(path).summary
        found = stored.reader(("summary",)).take(np.arange(len(NUMBERS))).summary
        for own, others in zip(expected, found, strict=True):
            np.testing.assert_array_equal(own, others)


def test_faults_are_found_before_anything_is_asked_for(tmp_path: Path) -> None:
    made = draw_cells()
    made.layers["infRep2"][20, 3] = -1.0
    made.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(DataError, match="infRep2.* holds -1.0 in cell cell20"):
        store_cells(tmp_path / "cells.h5ad")


def test_cells_off_centre_are_told_as_of_cells_in_memory(tmp_path: Path) -> None:
    made = draw_cells()
    made.X = made.X * 3
    made.write_h5ad(tmp_path / "cells.h5ad")
    told = []
    for read in (read_cells, store_cells):
        with pytest.warns(DataWarning, match="are not centred on X") as warned:
            read(tmp_path / "cells.h5ad")
        told.append(str(warned[0].message))
    assert told[0] == told[1]


def test_a_matrix_stored_by_columns_is_refused(tmp_path: Path) -> None:
    table(KINDS["CSC"]).write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(DataError, match=r"X is stored by columns \(CSC\)"):
        store_cells(tmp_path / "cells.h5ad")


def test_a_dense_file_is_read_by_rows(tmp_path: Path) -> None:
    table(KINDS["dense"], numbers=NUMBERS).write_h5ad(tmp_path / "cells.h5ad")
    stored = store_cells(tmp_path / "cells.h5ad", window=FEW)
    assert stored.fingerprint == read_cells(tmp_path / "cells.h5ad").fingerprint


def test_the_file_is_closed_with_the_cells(path: Path) -> None:
    stored = store_cells(path)
    file = stored.file.file
    assert file
    del stored
    assert not file


def test_cells_of_other_batches_are_recoded(path: Path) -> None:
    stored = store_cells(path, "batch").recoded(["batch1", "batch0", "other"])
    assert isinstance(stored, StoredCells)
    expected = 1 - anndata.read_h5ad(path).obs["batch"].astype(str).str[-1].astype(int)
    np.testing.assert_array_equal(stored.batches, expected)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_opening_takes_no_memory_for_the_size_of_the_file(path: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.h5ad"
    large.write_bytes(path.read_bytes())
    with h5py.File(large, "r+") as file:
        file["obsm/more"] = np.ones((NUM_CELLS, (256 << 20) // NUM_CELLS), np.int8)
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, path, large], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 32
