"""Cells quantified by oarfish and piscem-infer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.quantified.directories import find_cells, read_quantification
from exvae.data.quantified.importing import ImportOptions, import_cells
from exvae.data.quantified.overview import list_cells

from .quantifier_output import Cell, draw_cell, write_kallisto_h5, write_table

CELLS = {"S0": draw_cell(seed=0, bootstraps=12), "S1": draw_cell(seed=1, bootstraps=12)}


def write_oarfish(folder: Path, name: str, cell: Cell) -> None:
    folder.mkdir(exist_ok=True)
    columns = {"tname": cell.transcripts, "len": cell.lengths, "num_reads": cell.counts}
    write_table(folder / f"{name}.quant", columns)


def write_piscem(folder: Path, name: str, cell: Cell) -> None:
    folder.mkdir(exist_ok=True)
    columns = {
        "target_name": cell.transcripts,
        "len": cell.lengths,
        "eeln": cell.effective_lengths,
        "tpm": cell.tpm,
        "ecount": cell.counts,
    }
    write_table(folder / f"{name}.quant", columns)


formats = pytest.mark.parametrize(
    ("write", "quantifier"), [(write_oarfish, "oarfish"), (write_piscem, "piscem-infer")]
)


@formats
def test_cells_of_one_folder_and_their_bootstraps(
    write: Callable[[Path, str, Cell], None], quantifier: str, tmp_path: Path
) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason='needs the extra "parquet"')
    parquet = pytest.importorskip("pyarrow.parquet")
    for name, cell in CELLS.items():
        write(tmp_path / "root", name, cell)
        table = pyarrow.table({f"bootstrap.{b}": row for b, row in enumerate(cell.bootstraps)})
        path = tmp_path / "root" / f"{name}.infreps.pq"
        parquet.write_table(table, path, compression="zstd")
    found = find_cells([tmp_path / "root"])
    assert list(found.cells) == ["S0", "S1"]
    assert not found.notes
    for name, cell in CELLS.items():
        read = read_quantification(found.cells[name], 11)
        np.testing.assert_array_equal(read.counts, cell.counts.astype(np.float32))
        np.testing.assert_array_equal(read.bootstraps, cell.bootstraps[:11].astype(np.float32))
        effective = cell.lengths if quantifier == "oarfish" else cell.effective_lengths
        np.testing.assert_array_equal(read.effective_lengths, effective)
        assert read.quantifier == quantifier
    listed, _ = list_cells([tmp_path / "root"])
    assert [cell.bootstraps for cell in listed] == [12, 12]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"S1\.infreps\.pq: truncated or damaged"):
        read_quantification(found.cells["S1"])


@formats
def test_without_bootstraps(
    write: Callable[[Path, str, Cell], None], quantifier: str, tmp_path: Path
) -> None:
    write(tmp_path / "root", "S0", CELLS["S0"])
    with pytest.raises(DataError, match=f"no bootstraps; .* {quantifier} --num-bootstraps 30"):
        read_quantification(tmp_path / "root" / "S0.quant")
    listed, _ = list_cells([tmp_path / "root"])
    assert listed[0].problem.startswith("has no bootstraps")


def test_other_tables_are_no_cells(tmp_path: Path) -> None:
    (tmp_path / "S0.quant").write_text("name\tvalue\na\t1\n")
    with pytest.raises(DataError, match="holds no cell"):
        find_cells([tmp_path])


def test_a_package_that_is_missing_is_no_fault_of_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    write_kallisto_h5(tmp_path / "root" / "A0", CELLS["S0"])
    write_oarfish(tmp_path / "root", "S1", CELLS["S1"])
    (tmp_path / "root" / "S1.infreps.pq").write_bytes(b"PAR1")
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=r"S1\.infreps\.pq: is Parquet.* pip install pyarrow"):
            options = ImportOptions(skip_bad=skip_bad)
            import_cells([tmp_path / "root"], tmp_path / "cells.h5ad", options=options)
