"""Layouts of folders in which people have quantified cells."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.quantified.directories import find_cells, read_quantification
from exvae.data.quantified.importing import ImportOptions, import_cells
from exvae.data.quantified.sheets import read_sheet

from .quantifier_output import (
    Cell,
    draw_cell,
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_salmon,
)

CELLS = {f"S{number}": draw_cell(seed=number) for number in range(12)}
FIRST_TWO = ["S0", "S1"]


def pack(folder: Path) -> None:
    """Pack every file, as many pipelines do."""
    for path in [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".gz"]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def write_flat_h5(folder: Path, name: str, cell: Cell) -> None:
    write_kallisto_h5(folder, cell).joinpath("abundance.h5").rename(folder / name)


def write_flat_text(folder: Path, number: int, cell: Cell) -> None:
    """Write what ``quant-tcc --matrix-to-files`` writes about a cell."""
    write_kallisto_plaintext(folder / "own", cell)
    (folder / "own" / "abundance.tsv").rename(folder / f"abundance_{number}.tsv")
    for path in (folder / "own").glob("bs_*"):
        path.rename(folder / path.name.replace("abundance_", f"abundance_{number}_"))
    (folder / "own" / "run_info.json").unlink()
    (folder / "own").rmdir()


def sample_kallisto(root: Path) -> None:
    for name in FIRST_TWO:
        write_kallisto_h5(root / name / "kallisto", CELLS[name])


def sample_any_folder(root: Path) -> None:
    for name in FIRST_TWO:
        write_salmon(root / name / "out", CELLS[name])


def kallisto_sample(root: Path) -> None:
    for name in FIRST_TWO:
        write_kallisto_plaintext(root / "kallisto" / name, CELLS[name])


def flat_h5(root: Path) -> None:
    for name in FIRST_TWO:
        write_flat_h5(root, f"{name}_abundance.h5", CELLS[name])


def flat_h5_of_other_names(root: Path) -> None:
    for name in FIRST_TWO:
        write_flat_h5(root, f"{name}.h5", CELLS[name])


def folders_of_quant_tcc(root: Path) -> None:
    for number, cell in enumerate(CELLS.values(), start=1):
        unknown = {"aux/num_processed": np.zeros(1, np.int32)}
        write_kallisto_h5(root / "quant" / f"abundance_{number}", cell, **unknown)
    (root / "matrix.cells").write_text("".join(f"{name}\n" for name in CELLS))


def files_of_quant_tcc(root: Path) -> None:
    for number, cell in enumerate(CELLS.values(), start=1):
        write_flat_text(root / "quant", number, cell)
    (root / "quant" / "matrix.cells").write_text("".join(f"{name}\n" for name in CELLS))


def packed(write: Callable[[Path], None]) -> Callable[[Path], None]:
    def write_and_pack(root: Path) -> None:
        write(root)
        names = root / "matrix.cells"
        kept = names.read_bytes() if names.exists() else None
        pack(root)
        if kept is not None:
            names.write_bytes(kept)

    return write_and_pack


def salmon_converted_by_wasabi(root: Path) -> None:
    for name in FIRST_TWO:
        write_salmon(root / name, CELLS[name])
        write_kallisto_h5(root / name, CELLS[name], **{"aux/kallisto_version": None})


def both_texts_and_h5(root: Path) -> None:
    for name in FIRST_TWO:
        write_kallisto_plaintext(root / name, CELLS[name])
        write_kallisto_h5(root / name, CELLS[name])


LAYOUTS = {
    "SAMPLE/kallisto": sample_kallisto,
    "SAMPLE/out": sample_any_folder,
    "kallisto/SAMPLE": kallisto_sample,
    "SAMPLE_abundance.h5": flat_h5,
    "SAMPLE.h5": flat_h5_of_other_names,
    "quant-tcc folders": folders_of_quant_tcc,
    "quant-tcc files": files_of_quant_tcc,
    "packed h5": packed(sample_kallisto),
    "packed text": packed(kallisto_sample),
    "packed salmon": packed(sample_any_folder),
    "packed flat": packed(flat_h5),
    "salmon and wasabi": salmon_converted_by_wasabi,
    "h5 and text": both_texts_and_h5,
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_layouts_give_every_cell_its_name(layout: Callable[[Path], None], tmp_path: Path) -> None:
    layout(tmp_path / "root")
    found = find_cells([tmp_path / "root"])
    names = list(found.cells)
    assert names == (list(CELLS) if len(names) > 2 else FIRST_TWO)
    assert not found.notes
    assert not found.incomplete
    for name, place in found.cells.items():
        cell = read_quantification(place)
        np.testing.assert_array_equal(cell.counts, CELLS[name].counts.astype(np.float32))
        np.testing.assert_array_equal(cell.bootstraps, CELLS[name].bootstraps.astype(np.float32))


def test_cells_of_two_plates_are_called_by_both(tmp_path: Path) -> None:
    for plate in ("P1", "P2"):
        for name in FIRST_TWO:
            write_kallisto_h5(tmp_path / plate / "run" / name, CELLS[name])
    found = find_cells([tmp_path])
    assert list(found.cells) == ["P1_S0", "P1_S1", "P2_S0", "P2_S1"]
    assert "the same name" in found.notes[0]


def test_one_cell_is_not_called_kallisto(tmp_path: Path) -> None:
    write_kallisto_h5(tmp_path / "S0" / "kallisto", CELLS["S0"])
    assert list(find_cells([tmp_path]).cells) == ["S0"]


def test_a_cell_in_two_formats_is_not_taken_for_two(tmp_path: Path) -> None:
    write_kallisto_h5(tmp_path / "S0" / "kallisto", CELLS["S0"])
    write_salmon(tmp_path / "S0" / "salmon", CELLS["S0"])
    with pytest.raises(DataError, match="same name as the cell .*--sheet"):
        find_cells([tmp_path])


def test_numbered_folders_without_names(tmp_path: Path) -> None:
    folders_of_quant_tcc(tmp_path)
    (tmp_path / "matrix.cells").unlink()
    found = find_cells([tmp_path])
    assert list(found.cells) == [f"abundance_{number}" for number in range(1, 13)]
    assert "matrix.cells" in found.notes[0]
    (tmp_path / "matrix.cells").write_text("S0\nS1\n")
    with pytest.raises(DataError, match=r"matrix\.cells: has 2 names and none for .*abundance_3"):
        find_cells([tmp_path])


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    flat_h5(tmp_path)
    (tmp_path / "transcripts.h5").write_bytes(b"no HDF5")
    (tmp_path / "S9_bs_abundance_0.tsv").write_text("target_id\n")
    (tmp_path / "notes").mkdir()
    found = find_cells([tmp_path])
    assert list(found.cells) == FIRST_TWO
    (note,) = found.notes
    for name in ("transcripts.h5", "S9_bs_abundance_0.tsv", "notes"):
        assert str(tmp_path / name) in note


def test_what_is_beside_cells_stops_no_import(tmp_path: Path) -> None:
    sample_kallisto(tmp_path)
    (tmp_path / "bus").mkdir()
    for name in ("matrix.ec", "run_info.json"):
        (tmp_path / "bus" / name).write_text("")
    (tmp_path / "alevin").mkdir()
    (tmp_path / "alevin" / "quants_mat.gz").write_bytes(b"")
    (tmp_path / "S0" / "reads.fastq.gz").symlink_to("gone")
    found = find_cells([tmp_path])
    assert list(found.cells) == FIRST_TWO
    assert not found.incomplete
    for name in ("bus", "alevin"):
        assert str(tmp_path / name) in found.notes[0]
    # One that is given by itself is told apart from cells.
    ((place, reason),) = find_cells([tmp_path / "S0", tmp_path / "bus"]).incomplete
    assert place == tmp_path / "bus"
    assert reason.startswith("holds matrices")


def test_matrices_of_quant_tcc_alone(tmp_path: Path) -> None:
    (tmp_path / "matrix.abundance.mtx").write_text("")
    with pytest.raises(DataError, match="without bootstraps; run kallisto quant-tcc"):
        find_cells([tmp_path])


def test_genes_alone(tmp_path: Path) -> None:
    (tmp_path / "alevin").mkdir()
    (tmp_path / "alevin" / "quants_mat.mtx").write_text("")
    with pytest.raises(DataError, match="alevin-fry, which give genes alone"):
        find_cells([tmp_path])


@pytest.mark.parametrize("name", ["adata.loom", "filtered_feature_bc_matrix.h5"])
def test_counts_of_genes_in_other_formats(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "counts_unfiltered"
    folder.mkdir()
    (folder / name).write_bytes(b"")
    message = f"{folder}: holds counts of genes .loom or 10x Genomics., without isoforms"
    with pytest.raises(DataError, match=message):
        find_cells([tmp_path])
    flat_h5(tmp_path)
    found = find_cells([tmp_path])
    assert list(found.cells) == FIRST_TWO
    assert str(folder) in found.notes[0]


def test_a_sheet_names_cells(tmp_path: Path) -> None:
    sample_kallisto(tmp_path / "root")
    write_flat_h5(tmp_path / "root", "other.h5", CELLS["S2"])
    sheet, out = tmp_path / "sheet.csv", tmp_path / "cells.h5ad"
    # From the folder of the sheet, or from one that is given.
    sheet.write_text("name,path\ntwo,root/S1/kallisto\none,root/S0\nthree,root/other.h5\n")
    import_cells([], out, options=ImportOptions(sheet=sheet))
    data = anndata.read_h5ad(out)
    assert data.obs_names.tolist() == ["two", "one", "three"]
    totals = [CELLS[name].counts.sum() for name in ("S1", "S0", "S2")]
    np.testing.assert_allclose(data.obs["total_counts"], totals)
    sheet.write_text("path,name,plate\nS1,two,1\nS0,one,1\n")
    summary = import_cells([tmp_path / "root"], out, options=ImportOptions(sheet=sheet))
    assert summary.cells == 2
    assert "lacks 1 cells that were found" in summary.notes[0]
    assert "other.h5" in summary.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell,path\na,root\n", "needs the columns name and path"),
        ("name,path\na,root/S0\na,root/S1\n", "has the name a twice"),
        ("name,path\na,root/S9\n", "root/S9: does not exist"),
        ("name,path\na,root/S9\nb,root/S8\n", "the first is .*root/S9; a, b: does not exist"),
        ("name,path\na,root/S0\nb,root/S0\n", "a and b are the same cell, .*root/S0"),
        (
            "name,path\na,root/S0\nc,root/S1\nb,root/S0/kallisto/abundance.h5\n",
            "a and b are the same cell, .*root/S0/kallisto/abundance.h5; give each cell once",
        ),
        ("name,path\na,root\n", "holds 2 cells"),
        ("name,path\na,\n", "a line without name or path"),
        ("name,path\n", "names no cell"),
        ("name,path\na,sheet.csv\n", "is no file of estimates"),
    ],
)
def test_sheets_that_do_not_name_cells(text: str, message: str, tmp_path: Path) -> None:
    sample_kallisto(tmp_path / "root")
    (tmp_path / "sheet.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        options = ImportOptions(sheet=tmp_path / "sheet.csv")
        import_cells([], tmp_path / "cells.h5ad", options=options)


@pytest.mark.parametrize(
    "text",
    [
        "name, path\none, root/S0\ntwo, root/S1\n",
        "name\tpath\none\troot/S0\ntwo\troot/S1\n",
        "name;path\none;root/S0\ntwo ;root/S1 \n",
        '"name" "path"\n"1" "one" "root/S0"\n"2" "two" "root/S1"\n',
        "# plates\nname,path\none,root/S0\ntwo,root/S1\n",
    ],
    ids=["spaces", "tabs", "semicolons", "R", "comment"],
)
def test_sheets_with_spaces_and_other_separators(text: str, tmp_path: Path) -> None:
    sample_kallisto(tmp_path / "root")
    (tmp_path / "sheet.csv").write_text(text)
    cells = read_sheet(tmp_path / "sheet.csv")
    kallisto = [tmp_path / "root" / name / "kallisto" for name in FIRST_TWO]
    assert cells == dict(zip(["one", "two"], kallisto, strict=True))


def test_paths_of_a_sheet_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, sheet = tmp_path / "home", tmp_path / "sheet.csv"
    sample_kallisto(home / "cells")
    monkeypatch.setenv("HOME", str(home))
    sheet.write_text("name,path\none,~/cells/S0\n")
    assert read_sheet(sheet) == {"one": home / "cells" / "S0" / "kallisto"}
