"""Damaged files of cells and of corpora are read or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import scipy.sparse
import torch

from exvae.data.cells import Cells
from exvae.data.corpus_formats import read_corpus
from exvae.data.h5ad.reading import read_cells
from exvae.data.isoform_truth import read_truth
from exvae.data.quantified.annotations import read_cell_table
from exvae.data.quantified.cell_rows import cell_rows
from exvae.data.quantified.directories import find_cells, read_quantification
from exvae.data.quantified.filtering import filter_isoforms
from exvae.data.quantified.genes import read_genes
from exvae.data.quantified.sheets import read_sheet
from exvae.data.read_batches import ReadTensors
from exvae.data.reads.division import divide_reads

from ..fuzzing import Target, Worker, faults
from ..small_data import draw_cells
from .cell_table import table
from .corpus_formats.fruit import FORMATS
from .quantified.quantifier_output import (
    draw_cell,
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_salmon,
)
from .quantified.test_oarfish import write_oarfish

CELL = draw_cell(seed=3, isoforms=12, bootstraps=3)


def quantified(write: Callable[..., Path]) -> Target:
    return Target(lambda folder: write(folder / "cell", CELL).parent, read_folder)


def read_folder(folder: Path) -> None:
    for place in find_cells([folder]).cells.values():
        cell_rows(read_quantification(place))


def oarfish(folder: Path) -> Path:
    write_oarfish(folder, "A1", CELL)
    columns = {f"bootstrap.{number}": row for number, row in enumerate(CELL.bootstraps)}
    pyarrow.parquet.write_table(
        pyarrow.table(columns), folder / "A1.infreps.pq", compression="zstd"
    )
    return folder


def h5ad(convert: Callable, statistics: bool) -> Target:
    def write(folder: Path) -> Path:
        table(convert, statistics=statistics).write_h5ad(folder / "cells.h5ad")
        return folder / "cells.h5ad"

    return Target(write, read_h5ad)


def read_h5ad(path: Path) -> None:
    out = path.with_name("out.h5ad")
    try:
        filter_isoforms(path, out, 1)
    finally:
        out.unlink(missing_ok=True)
    read_cells(path, "batch")


def h5ad_with_reads(folder: Path) -> Path:
    draw_cells().write_h5ad(folder / "cells.h5ad")
    return folder / "cells.h5ad"


def read_h5ad_with_reads(path: Path) -> None:
    """Divide the reads of all cells among isoforms, as a fit does in each step."""
    cells = read_cells(path)
    if cells.reads is None:
        return
    source = ReadTensors(cells)
    rates = torch.from_numpy(source.estimates(np.arange(cells.num_cells)).toarray() + 1.0)
    drawn, expected = divide_reads(cells.reads, np.arange(cells.num_cells), rates)
    reads = torch.from_numpy(np.asarray(cells.reads.counts.sum(1))).ravel()
    for divided in (drawn, expected):
        torch.testing.assert_close(divided.sum(1).double(), reads.double(), rtol=1e-3, atol=1e-3)


def lines(name: str, *rows: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text("".join(f"{row}\n" for row in rows), "utf-8")
        return folder / name

    return write


def sheet(folder: Path) -> Path:
    write_kallisto_h5(folder / "kept" / "S0", CELL)
    return lines("sheet.csv", "name,path", "a,kept/S0")(folder)


def truth(folder: Path) -> Path:
    np.savez(
        folder / "truth.npz",
        expected=np.ones((7, 5)),
        cell_type=np.array(["a"] * 7),
        transcripts=np.array([f"iso{n}" for n in range(5)]),
    )
    return folder / "truth.npz"


@cache
def cells_of_truth() -> Cells:
    return read_cells(table())


def json_lines(folder: Path) -> Path:
    rows = ('{"text": "Rain and wind. Äpfel!", "label": "w"}', '{"text": "goal match", "id": 3}')
    return lines("news.jsonl", *rows)(folder)


GENES = ("target_id\tgene\tname", "T1.1\tG1\tActb", "T2.1\tG1\tActb", "T3.2\tG2\tMyc")
NAMES = ["T1.1", "T2.1", "T3.2"]
TARGETS = {
    "kallisto HDF5": quantified(write_kallisto_h5),
    "kallisto text": quantified(write_kallisto_plaintext),
    "salmon": quantified(write_salmon),
    "oarfish": Target(oarfish, read_folder),
    "h5ad CSR": h5ad(scipy.sparse.csr_matrix, True),
    "h5ad CSC": h5ad(scipy.sparse.csc_matrix, False),
    "h5ad dense": h5ad(np.asarray, False),
    "h5ad with reads": Target(h5ad_with_reads, read_h5ad_with_reads),
    "genes": Target(lines("t2g.tsv", *GENES), lambda path: read_genes(path, NAMES)),
    "table of cells": Target(
        lines("cells.csv", "cell,type,score", 'a,"T, x",1', "b,,2.5"),
        lambda path: read_cell_table(path, ["a", "b"], ("n_bootstraps",)),
    ),
    "sheet": Target(sheet, lambda path: read_sheet(path, []), "sheet.csv"),
    "truth": Target(truth, lambda path: read_truth(path, cells_of_truth())),
    "corpus JSON lines": Target(json_lines, partial(read_corpus, text="text")),
    "corpus CSV": Target(
        lines("news.csv", "text,label", '"Rain, and wind.",w', "goal match,s"),
        partial(read_corpus, label="label"),
    ),
    **{f"corpus {name}": Target(write, read_corpus) for name, write in FORMATS.items()},
}


@pytest.fixture(scope="module")
def attempt() -> Iterator[Worker]:
    with Worker("tests.data.test_fuzzing") as worker:
        yield worker


def test_a_sample_of_damaged_files(attempt: Worker) -> None:
    counts, found = faults(attempt, TARGETS, range(3))
    assert not found
    assert counts["refused"] > len(TARGETS)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_many_damaged_files(attempt: Worker, name: str) -> None:
    _, found = faults(attempt, [name], range(300))
    assert not found
